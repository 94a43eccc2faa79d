// Many shapes by one process.
#include "bench/rows.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <istream>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "bench/once.h"
#include "bench/workload.h"

namespace bench {
namespace {

// A row that is ready to be run.
struct Row {
  std::string text;
  ShapeOptions options;
  rondo::Device device;
  std::unique_ptr<Workload> workload;
};

Row make_row(const std::string& text) {
  Row row{.text = text};
  CLI::App app("a row", "row");
  add_shape_options(app, row.options);
  app.parse(text);
  rondo::set_num_threads(row.options.threads);
  if (!row.options.once.empty()) return row;
  row.device = resolve_device(row.options);
  row.workload = make_workload(row.options, row.device);
  return row;
}

std::string error_line(const std::string& text, const std::string& why) {
  nlohmann::ordered_json line;
  line["error"] = why;
  line["row"] = text;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void run_rows(std::istream& rows, std::ostream& results) {
  Row row;
  for (std::string text; std::getline(rows, text);) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      if (text != row.text || !row.workload) {
        row = {};  // its memory first
        row = make_row(text);
      }
      if (!row.options.once.empty()) {
        results << once_line(row.options) << std::endl;
        row = {};
        continue;
      }
      const Timing timing = measure(*row.workload, row.options, row.device);
      results << json_line(row.options, timing, describe_runner(row.device, *row.workload)) << std::endl;
    } catch (const std::exception& error) {
      row = {};
      results << error_line(text, error.what()) << std::endl;
    }
  }
}

}  // namespace bench
