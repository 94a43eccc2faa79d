// Facts of the run, the sentences at the top, and the tables of rows at the end.
#include <algorithm>

#include "bench/report_parts.h"

namespace bench {
namespace {

std::string or_dash(const std::string& text) { return text.empty() ? "–" : text; }

std::string run_time(const Results& results) {
  double seconds = 0;
  for (const ResultFile& file : results.files) {
    const nlohmann::json& json = file.context.json;
    if (json.contains("seconds") && json["seconds"].is_number()) seconds += json["seconds"].get<double>();
  }
  if (seconds <= 0) return "–";
  return seconds < 120 ? report::fixed(seconds, 0) + " s" : report::fixed(seconds / 60, 0) + " min";
}

std::string sets_of(const Results& results) {
  std::vector<std::string> names;
  for (const ResultFile& file : results.files) {
    for (const Row& row : file.rows) {
      if (!row.set.empty() && std::find(names.begin(), names.end(), row.set) == names.end())
        names.push_back(row.set);
    }
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string peers_of(const Context& context) {
  if (!context.json.contains("peers") || !context.json["peers"].is_array()) return "";
  std::string text;
  for (const auto& peer : context.json["peers"]) {
    if (!peer.is_object() || !peer.contains("name") || !peer["name"].is_string()) continue;
    text += (text.empty() ? "" : "; ") + peer["name"].get<std::string>();
    for (const char* field : {"version", "note"}) {
      if (peer.contains(field) && peer[field].is_string() && peer[field] != "") {
        text += std::string(*field == 'v' ? " " : ", ") + peer[field].get<std::string>();
      }
    }
  }
  return text;
}

report::Table rows_table(const Results& results) {
  report::Table table{.header = {"row", "T", "N", "I", "H", "L", "threads", "median", "25 to 75 %", "GFLOP/s",
                                 "limit", "predicted", "what ran"}};
  const auto time_or_dash = [](const std::optional<double>& us) { return us ? time_text(*us) : "–"; };
  for (const ResultFile& file : results.files) {
    for (const Row& row : file.rows) {
      if (!row.ran()) continue;
      const Case& what = row.what;
      table.rows.push_back(
          {row.name, std::to_string(what.t), std::to_string(what.n), std::to_string(what.i),
           std::to_string(what.h), std::to_string(what.layers) + (what.bidirectional ? ", both ways" : ""),
           std::to_string(row.threads), time_text(row.us),
           time_text(row.p25_us) + " to " + time_text(row.p75_us),
           row.gflops ? report::fixed(*row.gflops, 1) : "–", time_or_dash(row.limit_us),
           time_or_dash(row.predicted_us), row.label + (row.chosen.empty() ? "" : " → " + row.chosen)});
    }
  }
  return table;
}

}  // namespace

void add_facts(report::Page& page, const Results& results) {
  const Context& context = results.context();
  std::vector<std::pair<std::string, std::string>> facts{
      {"Processor", or_dash(context.text("cpu"))},
      {"Instruction set", or_dash(context.text("isa"))},
      {"Threads", or_dash(context.text("threads"))},
      {"BLAS", or_dash(context.text("blas"))},
      {"GPU", context.text("gpu").empty() ? "none" : context.text("gpu")},
      {"Engine", or_dash(context.text("engine"))},
      {"Date", or_dash(context.text("date").substr(0, 10))},
      {"Cases", std::to_string(results.cases.size())},
      {"Measured for", run_time(results)}};
  for (const auto& [label, name] : {std::pair("Driver", "driver"), {"CUDA", "cuda"}, {"cuDNN", "cudnn"}}) {
    if (!context.text(name).empty()) facts.emplace_back(label, context.text(name));
  }
  page.facts(facts);
  std::string text = "Commit " + or_dash(context.text("commit").substr(0, 12));
  if (!sets_of(results).empty()) text += "; sets: " + sets_of(results);
  if (!peers_of(context).empty()) text += "; peers: " + peers_of(context);
  if (!context.text("calibration").empty()) text += "; cost model: " + context.text("calibration");
  page.paragraph(text + ". Times are medians of repetitions.");
  if (!context.text("no_gpu").empty()) page.paragraph("No GPU was timed. " + context.text("no_gpu"));
  for (const ResultFile& file : results.files) {
    if (file.context.complete()) continue;
    page.warning("Incomplete: the run of " + file.path.filename().string() +
                 " was interrupted. What is here was measured before; rows are missing.");
  }
}

std::vector<std::string> headlines(const Results& results) {
  std::vector<std::string> lines;
  for (const auto& more :
       {headlines_of_maps(results), headlines_of_peers(results), headlines_of_shares(results)}) {
    lines.insert(lines.end(), more.begin(), more.end());
  }
  return lines;
}

void add_rows(report::Page& page, const Results& results) {
  report::Table failed{.header = {"row", "why it has no time", "estimate"}};
  for (const Row* row : results.failed) {
    failed.rows.push_back({row->name, (row->skipped ? "skipped: " : "") + row->error,
                           row->estimate_us ? time_text(*row->estimate_us) : "–"});
  }
  if (!failed.rows.empty()) {
    page.heading("What did not run");
    if (failed.rows.size() <= 12) {
      page.table(failed);
    } else {
      page.details(std::to_string(failed.rows.size()) + " rows, with their reasons", failed);
    }
  }
  const report::Table table = rows_table(results);
  if (table.rows.empty()) return;
  page.heading("Every row");
  page.details(std::to_string(table.rows.size()) + " rows", table);
}

}  // namespace bench
