// rondo-bench run: a set of shapes by every runner of the machine, into a file of results.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace bench {

struct SuiteOptions {
  std::vector<std::string> sets;
  std::set<std::string> cells, phases;  // empty: all
  std::string filter;                   // a part of a row's name; "": all
  std::string dtype = "f32", math = "strict";
  std::string data = "host";  // where a GPU's arrays lie: host (level one, copies included) or device
  std::set<std::string> devices = {"cpu", "cuda", "auto"};  // cuda: where there is one
  bool peers = true, peers_on_all_threads = false;          // else on one
  double row_seconds = 0.5;  // for the runs of Rondo of one row, where a run is not slower
  std::string json, markdown;
};

// 0; 130 after an interruption, with the rows that were done in the files.
int run_suite(const SuiteOptions& options);

}  // namespace bench
