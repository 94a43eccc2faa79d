// The size heuristic: fixed + T * L * D * step + whole-sequence products + copies, for each device.
#include "core/dispatch.h"

#include <algorithm>
#include <cstdio>

namespace rondo {
namespace {

std::string in_time_units(double us) {
  char text[32];
  if (us >= 1e4) {
    std::snprintf(text, sizeof text, "%.1f ms", us / 1e3);
  } else {
    std::snprintf(text, sizeof text, us < 10 ? "%.1f us" : "%.0f us", us);
  }
  return text;
}

std::string described(const Candidate& candidate) {
  std::string text = to_string(candidate.info.device) + ": ";
  if (!candidate.support.ok) return text + candidate.support.reason;
  text += "predicted " + in_time_units(candidate.predicted_us);
  if (candidate.copies_us > 0) text += ", " + in_time_units(candidate.copies_us) + " of it copies";
  return text;
}

}  // namespace

const Calibration& published_calibration() {
  // CPU: 80 to 100 GFLOP/s and about 100 GB/s from the second-level cache a core. GPU: 40 to 100 us a cuDNN
  // call, 3 to 12 us a step of its standard algorithm, 5 to 10 us and 50 GB/s (PCIe 5, pinned) a copy, and
  // half of the f32 rate of an H100's data sheet (67 TFLOP/s). Midpoints.
  static const Calibration published{
      {.fixed_us = 0.5, .step_floor_us = 0.05, .flops_per_us = 9e4, .weight_bytes_per_us = 1e5,
       .copy_fixed_us = 0, .copy_bytes_per_us = 0},
      {.fixed_us = 70, .step_floor_us = 7, .flops_per_us = 3.3e7, .weight_bytes_per_us = 3e6,
       .copy_fixed_us = 7.5, .copy_bytes_per_us = 5e4},
      "published figures"};
  return published;
}

double predict_us(const Request& r, const DeviceCost& cost, int threads) {
  const RnnConfig& c = r.config;
  const double gates = num_gates(c.cell), h = static_cast<double>(c.hidden_size);
  const double n = static_cast<double>(r.max_n), t = static_cast<double>(r.max_t);
  const double directions = num_directions(c);
  // A backward step costs two products of the forward step's size.
  const double passes = r.phase == Phase::kTraining ? 3 : 1;
  const double rate = cost.flops_per_us * std::max(1, threads) / (c.dtype == DType::kF64 ? 2 : 1);
  const double weights = gates * h * h * static_cast<double>(element_bytes(c.dtype));
  const double step = std::max({cost.step_floor_us, 2 * gates * h * h * n / rate,
                                weights / (cost.weight_bytes_per_us * std::max(1, threads))});
  double total = cost.fixed_us * (passes > 1 ? 2 : 1);
  for (std::int64_t l = 0; l < c.num_layers; ++l) {
    const double input = 2 * gates * h * static_cast<double>(layer_input_size(c, l)) * t * n / rate;
    total += passes * directions * (t * step + input);
    if (l > 0) {  // from the second layer on all are alike
      total += static_cast<double>(c.num_layers - l - 1) * passes * directions * (t * step + input);
      break;
    }
  }
  return total;
}

double predict_copies_us(const Request& r, const DeviceCost& cost) {
  if (!r.data_on_host || cost.copy_bytes_per_us <= 0) return 0;
  const RnnConfig& c = r.config;
  const double steps = c.outputs == Outputs::kLast ? 1 : static_cast<double>(r.max_t);
  const double n = static_cast<double>(r.max_n);
  const double values = static_cast<double>(r.max_t) * n * static_cast<double>(c.input_size) +
                        steps * n * static_cast<double>(output_size(c));
  const double passes = r.phase == Phase::kTraining ? 2 : 1;
  return passes * (2 * cost.copy_fixed_us +
                   values * static_cast<double>(element_bytes(c.dtype)) / cost.copy_bytes_per_us);
}

Choice choose_device(const Request& request, std::span<const Candidate> candidates, DeviceChoice forced,
                     const Calibration& calibration, int cpu_threads) {
  Choice choice;
  const Candidate* best = nullptr;
  for (Candidate candidate : candidates) {
    const bool cpu = candidate.info.device.kind == Device::Kind::kCpu;
    const DeviceCost& cost = cpu ? calibration.cpu : calibration.cuda;
    Request there = request;
    there.data_on_host = !cpu && request.data_on_host;
    candidate.copies_us = predict_copies_us(there, cost);
    candidate.predicted_us = predict_us(there, cost, cpu ? cpu_threads : 1) + candidate.copies_us;
    choice.candidates.push_back(candidate);
  }
  int able = 0;
  for (const Candidate& candidate : choice.candidates) {
    if (forced && candidate.info.device != *forced) continue;
    if (forced && !candidate.support.ok) {
      throw DeviceError(to_string(*forced) + " was asked for and cannot be used: " + candidate.support.reason);
    }
    if (!candidate.support.ok) continue;
    ++able;
    if (best == nullptr || candidate.predicted_us < best->predicted_us) best = &candidate;
  }
  if (best == nullptr) {
    std::string message = forced ? to_string(*forced) + " was asked for and does not exist" : "no device can run this";
    for (const Candidate& candidate : choice.candidates) message += "; " + described(candidate);
    throw DeviceError(message);
  }
  choice.device = best->info.device;
  choice.reason = described(*best) + (forced      ? ", which was asked for"
                                      : able == 1 ? ", the only device that can run this"
                                                  : ", the fastest by prediction");
  for (const Candidate& candidate : choice.candidates) {
    if (&candidate != best) choice.reason += "; " + described(candidate);
  }
  choice.reason += "; coefficients: " + calibration.origin;
  return choice;
}

}  // namespace rondo
