// rondo-bench regret: what the library's choice costs beside the best one.
#pragma once

#include <string>

namespace bench {

struct RegretOptions {
  double tune_seconds = 20;
  int shapes = 0;  // of those that are scored, the first so many; 0: all
  int rounds = 5;  // over the shapes
  std::string json;
};

// Fits the cost model in one run and scores it in another, over shapes that the first did not have. Between
// the CPU and a GPU where there is one; else between one thread and all of them. 0, or 1 where a bar is
// missed: a mean regret of 5 %, and 95 % of the shapes within 25 %; 130 after an interruption.
int run_regret(const RegretOptions& options);

}  // namespace bench
