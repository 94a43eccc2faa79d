// The size heuristic: which device runs a request, and why. A pure function of its arguments.
#pragma once

#include "core/backend.h"

namespace rondo {

// Coefficients of the cost model  time = fixed + T * L * D * step + whole-sequence products + copies.
struct DeviceCost {
  double fixed_us;             // one call, launch or hand-over included
  double step_floor_us;        // the least time of one step of one layer and direction
  double flops_per_us;         // of products, a thread
  double weight_bytes_per_us;  // re-reading the recurrent weights at each step, a thread
  double copy_fixed_us;        // one transfer between host and device, 0 where there is none
  double copy_bytes_per_us;
};
struct Calibration {
  DeviceCost cpu, cuda;
  std::string origin;  // "published figures", or when and where it was measured
};
// Built-in coefficients, from published figures; no measurement of this machine.
const Calibration& published_calibration();

// One device as a candidate: whether it can, and what it would cost.
struct Candidate {
  DeviceInfo info;
  Support support;
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
// missing. cpu_threads scales the CPU's products.
Choice choose_device(const Request& request, std::span<const Candidate> candidates, DeviceChoice forced,
                     const Calibration& calibration, int cpu_threads);

// The model itself, in microseconds; copies apart, of a pass's arrays and of parameters with their gradients.
double predict_us(const Request& request, const DeviceCost& cost, int threads);
double predict_copies_us(const Request& request, const DeviceCost& cost);
double predict_parameter_copies_us(const Request& request, const DeviceCost& cost);

// Candidates of all registered backends for a request, then choose_device with the published figures.
Choice plan_device(const Request& request, DeviceChoice forced);

}  // namespace rondo
