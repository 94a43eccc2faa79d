// One row of a set by all runners of Rondo, timed by Google Benchmark.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/context.h"
#include "bench/sets.h"
#include "bench/workload.h"

namespace bench {

// Who runs a row: "cpu/1", "cpu" with all threads, "cuda:0", or "auto", what the library chooses by itself.
struct RowRunner {
  std::string name;
  rondo::DeviceChoice device;
  int threads = 1;           // of the CPU
  bool all_threads = false;  // whatever the cost model says
};

struct RowResult {
  RowRunner runner;
  std::string error;       // why it did not run; "" where it did
  double estimate_us = 0;  // above 0: skipped for this estimate
  std::string label, chosen;
  double predicted_us = 0;
  std::vector<double> samples_us;  // one a repetition
  double cpu_us = 0;
  long iterations = 0;
};

struct RowPlan {
  SetRow row;
  bool of_options = false;  // of a set that sets options beside the plain cell: all by the same code
  bool on_device = false;   // a GPU's arrays, instead of the host's
  double seconds = 0.5;
  // Asked before each repetition: after true none begins, and those that have ended count.
  bool (*stopped)() = [] { return false; };
};
std::vector<RowResult> run_row(const RowPlan& plan, const std::vector<RowRunner>& runners);

}  // namespace bench
