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

}  // namespace

Timing measure(const std::function<void()>& run) {
  const Clock::time_point warm_up = Clock::now();
  double fastest_us = 1e300;
  for (int runs = 0; runs < 3 || (microseconds_since(warm_up) < 1e5 && runs < 100000); ++runs) {
    const Clock::time_point start = Clock::now();
    run();
    fastest_us = std::min(fastest_us, microseconds_since(start));
  }
  const int runs_per_sample = std::max(1, static_cast<int>(std::ceil(50 / std::max(fastest_us, 0.01))));

  std::vector<double> samples;
  const Clock::time_point begin = Clock::now();
  const auto enough = [&] {
    const double us = microseconds_since(begin);
    return (samples.size() >= 20 && us >= 5e5) || (samples.size() >= 5 && us >= 5e6);
  };
  while (!enough()) {
    const Clock::time_point start = Clock::now();
    for (int k = 0; k < runs_per_sample; ++k) run();
    samples.push_back(microseconds_since(start) / runs_per_sample);
  }
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), static_cast<int>(samples.size())};
}

}  // namespace bench
