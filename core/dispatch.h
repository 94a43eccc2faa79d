// The size heuristic: which device runs a request, and why. A pure function of its arguments.
#pragma once

#include "core/cost_model.h"

namespace rondo {

// One device as a candidate: whether it can, and what it would cost.
struct Candidate {
  DeviceInfo info;
  Support support;
  int threads = 0;          // of the CPU: one or all, as the cost model prefers
  double predicted_us = 0;  // copies included
  double copies_us = 0;     // those of parameters included
  double parameter_copies_us = 0;
};
struct Choice {
  Device device;
  std::string reason;  // a sentence
  std::vector<Candidate> candidates;
};

// forced: the caller's or the environment's choice; its device is taken or DeviceError says what is
// missing. cpu_threads: the most that the CPU may use.
Choice choose_device(const Request& request, std::span<const Candidate> candidates, DeviceChoice forced,
                     const Calibration& calibration, Threads cpu_threads);
// The same without words: fills in the candidates' predictions, and gives the one to take; null: none can.
const Candidate* fastest(const Work& work, std::span<Candidate> candidates, DeviceChoice forced,
                         const Calibration& calibration, Threads cpu_threads);

// The work of a first pass of its largest sizes.
Work work_of(const Request& request);

// Candidates of all registered backends for a request, then choose_device with the calibration in use.
Choice plan_device(const Request& request, DeviceChoice forced);

}  // namespace rondo
