// How a time is taken: warm-up, then samples, and their median.
#pragma once

#include <functional>
#include <vector>

#include "bench/shape_options.h"

namespace bench {

struct Timing {
  double median_us = 0;  // of one run
  double min_us = 0;
  int samples = 0;
  int runs_per_sample = 1;
};

// How long is measured. What is here serves one shape by itself; brief() serves rows that are measured
// several times over, in turn with another engine.
struct Effort {
  double sample_us = 50;  // a sample is of as many runs as take this together
  double warm_up_us = 1e5;
  int warm_up_runs = 3;
  double enough_us = 5e5;  // samples are taken for so long, and so many of them,
  int enough_samples = 20;
  double slow_us = 5e6;  // or, when a run is slow, for so long and so many of them
  int slow_samples = 5;
};
Effort brief(Effort effort);
// Of a row that is asked for in rounds: short, since the median is over these.
Effort lasting(double seconds);
Effort effort_of(const ShapeOptions& options);
// On a GPU a sample is of more runs, so that waiting for the device at its end weighs little.
Effort on_gpu(Effort effort);

// Warms up, then takes samples. A sample is the mean of its runs; finish() ends it and is part of its time:
// it waits for a device that computes while the host goes on.
Timing measure(const std::function<void()>& run, const std::function<void()>& finish = [] {},
               const Effort& effort = {});

// Several runs in turn, A B A B, so that a slow moment of the machine hits no single one. Warms each up for
// 0.05 s, then takes a sample of each for at least 0.5 s a run and 9 rounds, or, when one is slow, until 2 s a
// run and 3 rounds.
std::vector<Timing> measure_in_turn(const std::vector<std::function<void()>>& runs);

}  // namespace bench
