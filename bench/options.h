// Every option beside the plain cell.
#pragma once

#include <set>
#include <string>

namespace bench {

struct OptionsRun {
  int threads = 1;
  std::int64_t t = 100, h = 128;
  std::set<std::string> names;  // empty: all
  std::string json;             // empty: none
};

// A table of the time of each option over that of the plain cell, at N = 1 and 32, inference and training, on
// the CPU: level two, both taking samples in turn.
void run_options(const OptionsRun& run);

}  // namespace bench
