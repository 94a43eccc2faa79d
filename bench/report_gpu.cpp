// Where the GPU's times are from: this run, another one, or published figures.
#include <rondo/calibration.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/published.h"
#include "bench/report_parts.h"

namespace bench {
namespace {

// The fastest GPU row of each case; those whose data come from the host before those whose data are there.
std::map<Case, const Row*> gpu_rows(const std::vector<ResultFile>& files) {
  std::map<Case, const Row*> rows;
  for (const ResultFile& file : files) {
    for (const Row& row : file.rows) {
      if (!row.ran() || !row.runner.starts_with("cuda:")) continue;
      const Row*& best = rows[row.what];
      const bool nearer = best != nullptr && best->data == "device" && row.data == "host";
      if (best == nullptr || nearer || (best->data == row.data && row.us < best->us)) best = &row;
    }
  }
  return rows;
}

GpuHalf measured(GpuHalf::From from, const std::string& name, const std::vector<ResultFile>& files) {
  auto times = std::make_shared<std::map<Case, double>>();
  for (const auto& [what, row] : gpu_rows(files)) (*times)[what] = row->us;
  return {.from = from, .name = name, .time_us = [times](const Case& what) -> std::optional<double> {
            const auto found = times->find(what);
            if (found == times->end()) return std::nullopt;
            return found->second;
          }};
}

std::optional<rondo::Cell> cell_of(const std::string& name) {
  if (name == "lstm") return rondo::Cell::kLstm;
  if (name == "gru") return rondo::Cell::kGru;
  if (name == "rnn") return rondo::Cell::kSimpleRnn;
  return std::nullopt;
}

// The coefficients are of f32, and of the plain cells.
std::optional<double> predicted_us(const Case& what, bool data_on_host) {
  const auto cell = cell_of(what.cell);
  if (!cell || what.dtype != "f32" || !what.option.empty()) return std::nullopt;
  rondo::Work work;
  work.config.cell = *cell;
  work.config.input_size = what.i;
  work.config.hidden_size = what.h;
  work.config.num_layers = what.layers;
  if (what.bidirectional) work.config.direction = rondo::Direction::kBidirectional;
  work.phase = what.phase == "training" ? rondo::Phase::kTraining : rondo::Phase::kInference;
  work.n = what.n;
  work.data_on_host = data_on_host;
  // Of a stream each step is a call of its own.
  const bool steps = what.phase == "step";
  work.t = steps ? 1 : what.t;
  static const rondo::Calibration published = rondo::published_calibration();
  return rondo::predict_us(work, published.cuda) * (steps ? static_cast<double>(what.t) : 1.0);
}

// The newest file of results for a GPU that is kept with the sources; empty: none.
std::filesystem::path kept_results() {
  std::filesystem::path newest;
  std::string date;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(RONDO_BENCH_RESULTS, error)) {
    if (entry.path().extension() != ".json" || !is_result_file(entry.path())) continue;
    const ResultFile file = read_results(entry.path());
    if (gpu_rows({file}).empty() || file.context.text("date") < date) continue;
    newest = entry.path();
    date = file.context.text("date");
  }
  return newest;
}

GpuHalf from_file(const std::filesystem::path& path) {
  const std::vector<ResultFile> files{read_results(path)};
  const Context& context = files.front().context;
  if (gpu_rows(files).empty()) throw FileError(path, "has no row that ran on a GPU (runner cuda:N)");
  const std::string name = context.text("gpu").empty() ? "a GPU without a name" : context.text("gpu");
  return measured(GpuHalf::From::kOtherRun, name + ", run of " + context.text("date"), files);
}

// Of one further step of one layer and direction, whatever the length.
double predicted_step_us(const nlohmann::json& figure) {
  Case what{.cell = figure["cell"],
            .phase = figure["phase"],
            .dtype = "f32",
            .math = "strict",
            .t = 1000,
            .n = figure["n"],
            .i = figure["i"],
            .h = figure["h"],
            .layers = figure["layers"],
            .bidirectional = figure["bidirectional"]};
  const double shorter = predicted_us(what, false).value_or(0);
  what.t = 2000;
  return (predicted_us(what, false).value_or(0) - shorter) / 1000 / static_cast<double>(what.layers) /
         (what.bidirectional ? 2 : 1);
}

std::string figure_text(const nlohmann::json& figure) {
  std::string text = cell_name(figure["cell"]) + " H " + figure["h"].dump() + ", N " + figure["n"].dump();
  if (figure["layers"] > 1) text += ", " + figure["layers"].dump() + " layers";
  if (figure["bidirectional"]) text += ", both directions";
  return text + ", " + figure["dtype"].get<std::string>() + ": " + figure["what"].get<std::string>();
}

}  // namespace

GpuHalf find_gpu_half(const Results& results, const std::string& choice) {
  if (results.files.empty()) return {};
  if (choice.empty() && !gpu_rows(results.files).empty()) {
    return measured(GpuHalf::From::kSameRun, results.context().text("gpu"), results.files);
  }
  const std::filesystem::path path = choice.empty() ? kept_results() : std::filesystem::path(choice);
  if (choice != "published" && !path.empty()) return from_file(path);
  return {.from = GpuHalf::From::kPublished,
          .name = "predicted from published figures, not measured",
          .time_us = [](const Case& what) { return predicted_us(what, true); }};
}

void add_published_figures(report::Page& page, const Results& results) {
  if (results.gpu.from != GpuHalf::From::kPublished) return;
  const nlohmann::json published = nlohmann::json::parse(kPublishedFigures);
  report::Table table{.header = {"figure", "GPU", "published, a step", "predicted, a step", "source"}};
  for (const auto& figure : published["figures"]) {
    table.rows.push_back({figure_text(figure), figure["gpu"], time_text(figure["us_per_step"]),
                          time_text(predicted_step_us(figure)), figure["source"]});
  }
  page.paragraph(
      "The prediction is Rondo's cost model with coefficients from published figures of cuDNN: " +
      published["coefficients"].get<std::string>() +
      " It is right to within a small factor, not more: kernels for small sizes, as cuDNN's persistent ones, "
      "need less time for a step than it says, old GPUs more.");
  page.details(
      "Published times of a step (of one layer and direction) beside what the model says of a further step "
      "of the same sizes in f32",
      table);
}

}  // namespace bench
