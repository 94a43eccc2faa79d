// How a time is taken: warm-up, then samples, and their median.
#pragma once

#include <functional>
#include <vector>

namespace bench {

struct Timing {
  double median_us = 0;  // of one run
  double min_us = 0;
  int samples = 0;
};

// Warms up for at least 3 runs and 0.1 s, then takes samples for at least 0.5 s and 20 of them, or, when
// a run is slow, until 5 s and 5 samples. A sample is the mean of as many runs as take 50 us together.
Timing measure(const std::function<void()>& run);

// Several runs in turn, A B A B, so that a slow moment of the machine hits no single one. Warms each up as
// above but for 0.05 s, then takes a sample of each for at least 0.5 s a run and 9 rounds, or, when one is
// slow, until 2 s a run and 3 rounds.
std::vector<Timing> measure_in_turn(const std::vector<std::function<void()>>& runs);

}  // namespace bench
