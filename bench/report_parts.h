// The parts of the page of results. Each adds what the files have data for, and nothing else.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/result_file.h"
#include "tools/report/report.h"

namespace bench {

// The rows of a case, by runner.
using Runners = std::map<std::string, const Row*>;

// Where the GPU's times are from.
struct GpuHalf {
  enum class From { kNone, kSameRun, kOtherRun, kPublished };
  From from = From::kNone;
  std::string name;                                           // of the GPU, or of the prediction
  std::function<std::optional<double>(const Case&)> time_us;  // copies included where it is predicted
  bool measured() const { return from == From::kSameRun || from == From::kOtherRun; }
};

struct Results {
  std::vector<ResultFile> files;
  std::vector<RegretFile> regrets;
  std::map<Case, Runners> cases;   // rows that ran
  std::vector<const Row*> failed;  // or were skipped
  GpuHalf gpu;

  const Context& context() const { return files.empty() ? regrets.front().context : files.front().context; }
};

// FileError when one is damaged, or of another machine than the others.
Results read_all(const std::vector<std::string>& paths);
// choice: as ReportOptions::gpu.
GpuHalf find_gpu_half(const Results& results, const std::string& choice);

// One plot of the page, whose name --plot takes.
struct Plot {
  std::string name, heading;
  std::vector<std::string> panels;  // SVG
  std::string caption;
  int columns = 3;  // of a file of its own
  report::Legend legend = {};
};
// Empty where the files have no data for it.
using Plots = std::vector<Plot>;
Plots crossover_plots(const Results& results);
Plots thread_plots(const Results& results);
Plots line_plots(const Results& results);
Plots streaming_plots(const Results& results);
Plots limit_plots(const Results& results);
Plots regret_plots(const Results& results);
Plots peer_plots(const Results& results);
Plots option_plots(const Results& results);

void add_facts(report::Page& page, const Results& results);
void add_published_figures(report::Page& page, const Results& results);
void add_peer_table(report::Page& page, const Results& results);
void add_regret_table(report::Page& page, const Results& results);
void add_rows(report::Page& page, const Results& results);
std::vector<std::string> headlines(const Results& results);
std::vector<std::string> headlines_of_maps(const Results& results);
std::vector<std::string> headlines_of_shares(const Results& results);
std::vector<std::string> headlines_of_peers(const Results& results);

// Names and numbers as the page has them.
std::string cell_name(const std::string& cell);  // "LSTM"
std::string time_text(double us);                // "12.3 ms"
std::string times_text(double ratio);            // "1.4", "23", "150"
std::string percent(double share, int digits);   // "12 %"
std::string case_text(const Case& what);         // "LSTM, training, T 100, N 32, I 128, H 128"
std::string runner_name(const std::string& runner, int threads);
std::string runner_color(const std::string& runner);
bool is_peer(const std::string& runner);

const Row* find_row(const Runners& runners, const std::string& runner);  // null: none
std::optional<double> best_cpu_us(const Runners& runners);
std::optional<double> gpu_us(const Results& results, const Case& what);
double geometric_mean(const std::vector<double>& values);  // of one at least
double quantile(std::vector<double> values, double share);

// A panel of one cell and phase: of all groups of cases that differ in the sizes named alone, the one with
// the most of them.
struct Group {
  Case what;  // 0 for the sizes that vary; i is 0 where it follows h
  std::vector<Case> cases;
};
enum class Vary { kT, kN, kH, kHAndN };
std::vector<Group> groups(const Results& results, Vary vary, const std::function<bool(const Case&)>& wanted);

}  // namespace bench
