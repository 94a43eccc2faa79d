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

// Warms up for at least 3 runs and so many microseconds; how many runs then take 50 us together.
int warm_up(const std::function<void()>& run, double least_us) {
  const Clock::time_point begin = Clock::now();
  double fastest_us = 1e300;
  for (int runs = 0; runs < 3 || (microseconds_since(begin) < least_us && runs < 100000); ++runs) {
    const Clock::time_point start = Clock::now();
    run();
    fastest_us = std::min(fastest_us, microseconds_since(start));
  }
  return std::max(1, static_cast<int>(std::ceil(50 / std::max(fastest_us, 0.01))));
}

// The mean of so many runs, in microseconds.
double sample(const std::function<void()>& run, int runs) {
  const Clock::time_point start = Clock::now();
  for (int k = 0; k < runs; ++k) run();
  return microseconds_since(start) / runs;
}

Timing timing_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), static_cast<int>(samples.size())};
}

}  // namespace

Timing measure(const std::function<void()>& run) {
  const int runs_per_sample = warm_up(run, 1e5);
  std::vector<double> samples;
  const Clock::time_point begin = Clock::now();
  const auto enough = [&] {
    const double us = microseconds_since(begin);
    return (samples.size() >= 20 && us >= 5e5) || (samples.size() >= 5 && us >= 5e6);
  };
  while (!enough()) samples.push_back(sample(run, runs_per_sample));
  return timing_of(std::move(samples));
}

std::vector<Timing> measure_in_turn(const std::vector<std::function<void()>>& runs) {
  std::vector<int> runs_per_sample;
  for (const auto& run : runs) runs_per_sample.push_back(warm_up(run, 5e4));
  std::vector<std::vector<double>> samples(runs.size());
  const Clock::time_point begin = Clock::now();
  const auto enough = [&](int rounds) {
    const double us = microseconds_since(begin) / static_cast<double>(runs.size());
    return (rounds >= 9 && us >= 5e5) || (rounds >= 3 && us >= 2e6);
  };
  for (int rounds = 0; !enough(rounds); ++rounds) {
    for (std::size_t i = 0; i < runs.size(); ++i) samples[i].push_back(sample(runs[i], runs_per_sample[i]));
  }
  std::vector<Timing> timings;
  for (auto& of_one : samples) timings.push_back(timing_of(std::move(of_one)));
  return timings;
}

}  // namespace bench
