// A run that fits the cost model to this machine.
#pragma once

#include <functional>
#include <vector>

#include "tuning/fit.h"
#include "tuning/measure.h"

namespace tuning {

// For at most so long, on the CPU and on a GPU where there is one; progress gets the part that is done, 0 to
// 1, and says whether to go on. Fewer samples than that where it stopped.
// Meanwhile the published calibration is in use, and afterwards the file's.
std::vector<Sample> collect(double seconds, const std::function<bool(double)>& progress);

// One decision: the time of what is chosen over the smaller time, minus one.
struct Decision {
  rondo::Work work;
  std::vector<double> us, predicted_us;  // of both sides
  std::size_t chosen = 0;
  double regret() const;
};
// sides: one thread and all of them; or the CPU and a GPU.
Decision decide(const rondo::Work& work, std::span<const Side> sides, const std::vector<double>& us,
                const rondo::Calibration& calibration);

struct Score {
  double mean = 0, p95 = 0, within_25 = 0, worst = 0;
  bool passed() const { return mean <= 0.05 && within_25 >= 0.95; }
};
Score score(const std::vector<Decision>& decisions);

}  // namespace tuning
