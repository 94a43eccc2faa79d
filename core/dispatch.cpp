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
  if (candidate.parameter_copies_us > 0) {
    text += " (" + in_time_units(candidate.parameter_copies_us) +
            " of them parameters and gradients, which lie on the host)";
  }
  return text;
}

}  // namespace

const Calibration& published_calibration() {
  // CPU: 80 to 100 GFLOP/s and about 100 GB/s from the second-level cache a core. GPU: 40 to 100 us a cuDNN
  // call, 3 to 12 us a step of its standard algorithm, 5 to 10 us and 50 GB/s (PCIe 5, pinned) a copy, and
  // half of the f32 rate of an H100's data sheet (67 TFLOP/s). Midpoints.
  static const Calibration published{
      {.fixed_us = 0.5, .step_floor_us = 0.05, .flops_per_us = 9e4, .weight_bytes_per_us = 1e5},
      {.fixed_us = 70,
       .step_floor_us = 7,
       .flops_per_us = 3.3e7,
       .weight_bytes_per_us = 3e6,
       .copy_fixed_us = 7.5,
       .copy_bytes_per_us = 5e4},
      "published figures"};
  return published;
}

double predict_us(const Request& r, const DeviceCost& cost, int threads) {
  const RnnConfig& c = r.config;
  // Doubles, since products of sizes may pass 64 bits.
  const auto n = static_cast<double>(r.max_n), t = static_cast<double>(r.max_t);
  const auto h = static_cast<double>(c.hidden_size), layers = static_cast<double>(c.num_layers);
  const auto inputs = static_cast<double>(c.input_size), inner = static_cast<double>(layer_input_size(c, 1));
  const double cores = std::max(1, threads);
  // A backward step costs two products of the forward step's size.
  const double calls = r.phase == Phase::kTraining ? 2 : 1, passes = r.phase == Phase::kTraining ? 3 : 1;
  const auto element = static_cast<double>(element_bytes(c.dtype));
  const double rate = cost.flops_per_us * cores * 4 / element;  // given for f32; vectors hold bytes
  const double column = num_gates(c.cell) * h, bytes = column * h * element;
  const double step =
      std::max({cost.step_floor_us, 2 * column * h * n / rate, bytes / (cost.weight_bytes_per_us * cores)});
  // From the second layer on all are alike.
  const double products = 2 * column * (inputs + (layers - 1) * inner) * t * n / rate;
  return cost.fixed_us * calls + passes * num_directions(c) * (layers * t * step + products);
}

double predict_copies_us(const Request& r, const DeviceCost& cost) {
  if (!r.data_on_host || cost.copy_bytes_per_us <= 0) return 0;
  const RnnConfig& c = r.config;
  const double directions = num_directions(c), t = static_cast<double>(r.max_t);
  const double outputs = c.merge == Merge::kNone ? directions : 1, states = c.cell == Cell::kLstm ? 2 : 1;
  const double x = t * static_cast<double>(c.input_size);
  const double y = (c.outputs == Outputs::kLast ? 1 : t) * static_cast<double>(output_size(c));
  const double state = static_cast<double>(c.num_layers) * directions * static_cast<double>(c.hidden_size);
  const double row = (x + outputs * y + states * state) * static_cast<double>(element_bytes(c.dtype));
  // x goes there; y, h_n and c_n come back. Backward's dy, dx, dh0 and dc0 are of the same sizes.
  const double passes = r.phase == Phase::kTraining ? 2 : 1;
  return passes * ((1 + outputs + states) * cost.copy_fixed_us +
                   row * static_cast<double>(r.max_n) / cost.copy_bytes_per_us);
}

double predict_parameter_copies_us(const Request& r, const DeviceCost& cost) {
  if (!r.parameters_on_host || r.phase != Phase::kTraining || cost.copy_bytes_per_us <= 0) return 0;
  const double bytes =
      static_cast<double>(parameter_count(r.config)) * static_cast<double>(element_bytes(r.config.dtype));
  // Each step of an optimizer: gradients come back, set to zero they go there, and so do the new parameters.
  return 3 * (cost.copy_fixed_us + bytes / cost.copy_bytes_per_us);
}

Choice choose_device(const Request& request, std::span<const Candidate> candidates, DeviceChoice forced,
                     const Calibration& calibration, int cpu_threads) {
  Choice choice{{}, {}, {candidates.begin(), candidates.end()}};
  const Candidate* best = nullptr;
  int able = 0;
  for (Candidate& candidate : choice.candidates) {
    const Device device = candidate.info.device;
    const bool cpu = device.kind == Device::Kind::kCpu;
    const DeviceCost& cost = cpu ? calibration.cpu : calibration.cuda;
    candidate.parameter_copies_us = cpu ? 0 : predict_parameter_copies_us(request, cost);
    candidate.copies_us = cpu ? 0 : predict_copies_us(request, cost) + candidate.parameter_copies_us;
    candidate.predicted_us = predict_us(request, cost, cpu ? cpu_threads : 1) + candidate.copies_us;
    if (!candidate.support.ok || (forced && device != *forced)) continue;
    ++able;
    if (best == nullptr || candidate.predicted_us < best->predicted_us) best = &candidate;
  }
  std::string others;
  for (const Candidate& candidate : choice.candidates) {
    if (&candidate != best) others += "; " + described(candidate);
  }
  if (best == nullptr) {
    if (!forced) throw DeviceError("no device can run this" + others);
    for (const Candidate& candidate : choice.candidates) {
      if (candidate.info.device != *forced) continue;
      throw DeviceError(to_string(*forced) +
                        " was asked for and cannot be used: " + candidate.support.reason);
    }
    throw DeviceError(to_string(*forced) + " was asked for and does not exist" + others);
  }
  const char* why = forced      ? ", which was asked for"
                    : able == 1 ? ", the only device that can run this"
                                : ", the fastest by prediction";
  choice.device = best->info.device;
  choice.reason = described(*best) + why + others + "; coefficients: " + calibration.origin;
  return choice;
}

}  // namespace rondo
