// How much is measured of a row.
#pragma once

#include <functional>

namespace bench::bars {

struct Effort {
  int rounds = 5;
  double seconds = 0.02;  // of an engine's samples in a round, where a run is not slower
  unsigned seed = 0;      // of the order within rounds
};

// Asked again and again: after true no more is measured, and the row is void.
using Stopped = std::function<bool()>;

}  // namespace bench::bars
