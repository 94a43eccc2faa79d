// How a time is taken: warm-up, then samples, and their median.
#include "bench/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Warms up for at least so many runs and microseconds; how many runs then take a sample's time together.
int warm_up(const std::function<void()>& run, const std::function<void()>& finish, const Effort& effort) {
  const Clock::time_point begin = Clock::now();
  double fastest_us = 1e300;
  const auto enough = [&](int runs) {
    return runs >= effort.warm_up_runs && (microseconds_since(begin) >= effort.warm_up_us || runs >= 100000);
  };
  for (int runs = 0; !enough(runs); ++runs) {
    const Clock::time_point start = Clock::now();
    run();
    finish();
    fastest_us = std::min(fastest_us, microseconds_since(start));
  }
  return std::max(1, static_cast<int>(std::ceil(effort.sample_us / std::max(fastest_us, 0.01))));
}

// The mean of so many runs, in microseconds.
double sample(const std::function<void()>& run, const std::function<void()>& finish, int runs) {
  const Clock::time_point start = Clock::now();
  for (int k = 0; k < runs; ++k) run();
  finish();
  return microseconds_since(start) / runs;
}

Timing timing_of(std::vector<double> samples, int runs_per_sample) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), static_cast<int>(samples.size()), runs_per_sample};
}

}  // namespace

Effort brief(Effort effort) {
  effort.warm_up_us = 3e4;
  effort.warm_up_runs = 2;
  effort.enough_us = 1.5e5;
  effort.enough_samples = 5;
  effort.slow_us = 4e5;
  effort.slow_samples = 1;
  return effort;
}

Effort lasting(double seconds) {
  const double us = seconds * 1e6;
  return {.warm_up_us = us / 2,
          .warm_up_runs = 3,  // the first ones of a process find new memory
          .enough_us = us,
          .enough_samples = 5,
          .slow_us = 4 * us,
          .slow_samples = 1};
}

Effort effort_of(const ShapeOptions& options) {
  if (options.seconds > 0) {
    // New threads, and those that slept, may begin on one CPU, from where a scheduler takes some milliseconds
    // to part them.
    constexpr double kParting = 5e4;
    Effort effort = lasting(options.seconds);
    if (options.threads > 1) effort.warm_up_us = std::max(effort.warm_up_us, kParting);
    return effort;
  }
  return options.brief ? brief({}) : Effort{};
}

Effort on_gpu(Effort effort) {
  effort.sample_us = 2000;
  return effort;
}

Timing measure(const std::function<void()>& run, const std::function<void()>& finish, const Effort& effort) {
  const int runs_per_sample = warm_up(run, finish, effort);
  std::vector<double> samples;
  const Clock::time_point begin = Clock::now();
  const auto enough = [&] {
    const double us = microseconds_since(begin);
    const int count = static_cast<int>(samples.size());
    return (count >= effort.enough_samples && us >= effort.enough_us) ||
           (count >= effort.slow_samples && us >= effort.slow_us);
  };
  while (!enough()) samples.push_back(sample(run, finish, runs_per_sample));
  return timing_of(std::move(samples), runs_per_sample);
}

std::vector<Timing> measure_in_turn(const std::vector<std::function<void()>>& runs) {
  const std::function<void()> nothing = [] {};
  std::vector<int> runs_per_sample;
  for (const auto& run : runs) runs_per_sample.push_back(warm_up(run, nothing, {.warm_up_us = 5e4}));
  std::vector<std::vector<double>> samples(runs.size());
  const Clock::time_point begin = Clock::now();
  const auto enough = [&](int rounds) {
    const double us = microseconds_since(begin) / static_cast<double>(runs.size());
    return (rounds >= 9 && us >= 5e5) || (rounds >= 3 && us >= 2e6);
  };
  for (int rounds = 0; !enough(rounds); ++rounds) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      samples[i].push_back(sample(runs[i], nothing, runs_per_sample[i]));
    }
  }
  std::vector<Timing> timings;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    timings.push_back(timing_of(std::move(samples[i]), runs_per_sample[i]));
  }
  return timings;
}

}  // namespace bench
