// What the CPU backend and the choice of a device ask of the cost model beside rondo/calibration.h.
#pragma once

#include "core/backend.h"
#include "rondo/calibration.h"

namespace rondo {

// How the threads of a call share the steps of a layer: one thread runs them all; each runs all steps of some
// rows; or each runs some units of all rows, and they meet after every step.
enum class Loop : std::uint8_t { kOne, kRows, kUnits };

// `threads` work on the products over the whole sequence, and on the steps as `loop` says.
struct Division {
  int threads = 1;
  Loop loop = Loop::kOne;
  double us = 0;  // predicted
};
struct Threads {
  int most = 1;
  bool meet = true;  // whether they can wait for one another
  bool operator==(const Threads&) const = default;
};
// All of them, with the best loop for that.
Division divide(const Work& work, const CpuCost& cost, Threads threads);
// One thread, and all of them by each loop that suits the sizes: the fastest by prediction first.
struct Divisions {
  static constexpr int kMost = 4;
  Division all[kMost];
  int count = 0;
};
Divisions divisions(const Work& work, const CpuCost& cost, Threads threads);
// The first of them.
Division choose_division(const Work& work, const CpuCost& cost, Threads threads);

// Of a pass's arrays, and of parameters with their gradients, between host and device.
double predict_copies_us(const Work& work, const CudaCost& cost);
double predict_parameter_copies_us(const Work& work, const CudaCost& cost);

// calibration() where only a CPU is in question, for which no GPU is looked for, or GPUs too.
Calibration calibration_for(std::optional<Device::Kind> kind);

}  // namespace rondo
