// The rows of all files by case, and names and numbers as the page has them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <tuple>

#include "bench/report_parts.h"

namespace bench {
namespace {

// One page is of one machine.
void check_alike(const std::filesystem::path& path, const Context& context, const Context& first,
                 const std::filesystem::path& first_path) {
  for (const char* name : {"cpu", "isa", "threads", "gpu"}) {
    // Files without a GPU's rows may stand beside one that has them.
    if (std::string(name) == "gpu" && (context.text(name).empty() || first.text(name).empty())) continue;
    if (context.text(name) != first.text(name)) {
      throw FileError(path, std::string(name) + " is \"" + context.text(name) + "\", but \"" +
                                first.text(name) + "\" in " + first_path.string() +
                                "; a page is of one machine");
    }
  }
}

double size_in(const Case& what, Vary vary) {
  switch (vary) {
    case Vary::kT:
      return static_cast<double>(what.t);
    case Vary::kN:
      return static_cast<double>(what.n);
    case Vary::kH:
    case Vary::kHAndN:
      return static_cast<double>(what.h);
  }
  return 0;
}

// What the cases of a group have in common.
Case common(Case what, Vary vary) {
  if (vary == Vary::kT) what.t = 0;
  if (vary == Vary::kN || vary == Vary::kHAndN) what.n = 0;
  if (vary == Vary::kH || vary == Vary::kHAndN) {
    if (what.i == what.h) what.i = 0;
    what.h = 0;
  }
  return what;
}

bool enough(const Group& group, Vary vary) {
  std::set<double> sizes, batches;
  for (const Case& what : group.cases) {
    sizes.insert(size_in(what, vary));
    batches.insert(static_cast<double>(what.n));
  }
  if (vary == Vary::kHAndN) return sizes.size() >= 3 && batches.size() >= 3 && group.cases.size() >= 9;
  return sizes.size() >= 3;
}

// The most cases, of the most runners, around the middle of the sizes in use.
std::tuple<std::size_t, std::size_t, double> rank(const Results& results, const Group& group) {
  std::size_t rows = 0;
  for (const Case& what : group.cases) rows += results.cases.at(what).size();
  const double h = group.what.h > 0 ? std::abs(std::log2(static_cast<double>(group.what.h)) - 7) : 0;
  return {group.cases.size(), rows, -h};
}

}  // namespace

Results read_all(const std::vector<std::string>& paths) {
  Results results;
  for (const std::string& path : paths) {
    if (is_regret_file(path)) {
      results.regrets.push_back(read_regret(path));
    } else {
      results.files.push_back(read_results(path));
    }
  }
  const std::filesystem::path first =
      results.files.empty() ? results.regrets.front().path : results.files.front().path;
  for (const ResultFile& file : results.files) check_alike(file.path, file.context, results.context(), first);
  for (const RegretFile& file : results.regrets)
    check_alike(file.path, file.context, results.context(), first);
  for (const ResultFile& file : results.files) {
    for (const Row& row : file.rows) {
      if (row.ran()) {
        results.cases[row.what].emplace(row.runner, &row);
      } else {
        results.failed.push_back(&row);
      }
    }
  }
  return results;
}

std::string cell_name(const std::string& cell) {
  if (cell == "lstm") return "LSTM";
  if (cell == "gru") return "GRU";
  return cell == "rnn" ? "SimpleRNN" : cell;
}

std::string time_text(double us) {
  const char* unit = us < 1e3 ? "µs" : us < 1e6 ? "ms" : "s";
  const double value = us < 1e3 ? us : us < 1e6 ? us / 1e3 : us / 1e6;
  return report::fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0) + " " + unit;
}

std::string times_text(double ratio) {
  if (ratio >= 9.95) return report::fixed(ratio, 0);
  return report::fixed(ratio, ratio < 1.095 && ratio > 0.905 ? 2 : 1);
}

std::string percent(double share, int digits) { return report::fixed(100 * share, digits) + " %"; }

std::string case_text(const Case& what) {
  std::string text = cell_name(what.cell) + ", " + what.phase + ", T " + std::to_string(what.t) + ", N " +
                     std::to_string(what.n) + ", I " + std::to_string(what.i) + ", H " +
                     std::to_string(what.h);
  if (what.layers > 1) text += ", " + std::to_string(what.layers) + " layers";
  if (what.bidirectional) text += ", both directions";
  if (!what.option.empty()) text += ", " + what.option;
  if (what.dtype != "f32") text += ", " + what.dtype;
  if (what.math != "strict") text += ", " + what.math;
  return text;
}

bool is_peer(const std::string& runner) {
  return runner != "cpu" && runner != "cpu/1" && runner != "auto" && !runner.starts_with("cuda:");
}

std::string runner_name(const std::string& runner, int threads) {
  const std::string all = threads == 1 ? "1 thread" : std::to_string(threads) + " threads";
  if (runner == "cpu/1") return "Rondo, 1 thread";
  if (runner == "cpu") return "Rondo, " + all;
  if (runner == "auto") return "Rondo's choice";
  if (runner.starts_with("cuda:")) return "Rondo, GPU";
  if (runner.ends_with("/1")) return runner.substr(0, runner.size() - 2) + ", 1 thread";
  return threads > 0 ? runner + ", " + all : runner;
}

std::string runner_color(const std::string& runner) {
  using namespace report::palette;
  if (runner == "cpu") return kBlue;
  if (runner == "cpu/1") return kGreen;
  if (runner.starts_with("cuda:")) return kOrange;
  if (runner == "auto") return kInk;
  // Where a peer ran on one thread and on all, legends tell the two apart.
  if (runner.starts_with("onednn3")) return kRed;
  if (runner.starts_with("onednn")) return kPurple;
  if (runner.starts_with("onnxruntime")) return kTeal;
  if (runner == "pytorch-cuda" || runner == "pytorch-graph") return kRed;
  return runner.starts_with("pytorch") ? kBrown : kMuted;
}

const Row* find_row(const Runners& runners, const std::string& runner) {
  const auto found = runners.find(runner);
  return found == runners.end() ? nullptr : found->second;
}

std::optional<double> best_cpu_us(const Runners& runners) {
  std::optional<double> best;
  for (const char* runner : {"cpu/1", "cpu"}) {
    const Row* row = find_row(runners, runner);
    if (row != nullptr && (!best || row->us < *best)) best = row->us;
  }
  return best;
}

std::optional<double> gpu_us(const Results& results, const Case& what) {
  if (results.gpu.from == GpuHalf::From::kNone) return std::nullopt;
  return results.gpu.time_us(what);
}

double geometric_mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t next = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[next] - values[below]);
}

std::vector<Group> groups(const Results& results, Vary vary, const std::function<bool(const Case&)>& wanted) {
  std::map<Case, Group> all;
  for (const auto& [what, runners] : results.cases) {
    if (!wanted(what)) continue;
    Group& group = all[common(what, vary)];
    group.what = common(what, vary);
    group.cases.push_back(what);
  }
  std::map<std::pair<std::string, std::string>, Group> best;  // by phase and cell
  for (const auto& [key, group] : all) {
    if (!enough(group, vary)) continue;
    Group& other = best[{key.phase, key.cell}];
    if (other.cases.empty() || rank(results, group) > rank(results, other)) other = group;
  }
  std::vector<Group> chosen;
  for (const auto& [key, group] : best) chosen.push_back(group);
  const auto place = [](const Group& group) {
    return std::pair(group.what.phase, group.what.cell == "lstm" ? 0 : group.what.cell == "gru" ? 1 : 2);
  };
  std::stable_sort(chosen.begin(), chosen.end(),
                   [&](const Group& a, const Group& b) { return place(a) < place(b); });
  return chosen;
}

}  // namespace bench
