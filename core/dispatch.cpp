// The size heuristic: the fastest device by the cost model, and the sentence that says why.
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
  std::string text = to_string(candidate.info.device);
  if (!candidate.support.ok) return text + ": " + candidate.support.reason;
  if (const int threads = candidate.threads; threads > 0) {
    text += " (" + std::to_string(threads) + (threads == 1 ? " thread)" : " threads)");
  }
  text += ": predicted " + in_time_units(candidate.predicted_us);
  if (candidate.copies_us > 0) text += ", " + in_time_units(candidate.copies_us) + " of it copies";
  if (candidate.parameter_copies_us > 0) {
    text += " (" + in_time_units(candidate.parameter_copies_us) +
            " of them parameters and gradients, which lie on the host)";
  }
  return text;
}

}  // namespace

Work work_of(const Request& r) {
  return {r.config, r.phase, r.max_t, r.max_n, r.data_on_host, r.parameters_on_host};
}

const Candidate* fastest(const Work& work, std::span<Candidate> candidates, DeviceChoice forced,
                         const Calibration& calibration, Threads cpu_threads) {
  const Candidate* best = nullptr;
  for (Candidate& candidate : candidates) {
    const Device device = candidate.info.device;
    if (device.kind == Device::Kind::kCpu) {
      const Division division = choose_division(work, calibration.cpu, cpu_threads);
      candidate.threads = division.threads;
      candidate.predicted_us = division.us;
    } else {
      candidate.parameter_copies_us = predict_parameter_copies_us(work, calibration.cuda);
      candidate.copies_us = predict_copies_us(work, calibration.cuda) + candidate.parameter_copies_us;
      candidate.predicted_us = predict_us(work, calibration.cuda);
    }
    if (!candidate.support.ok || (forced && device != *forced)) continue;
    if (best == nullptr || candidate.predicted_us < best->predicted_us) best = &candidate;
  }
  return best;
}

Choice choose_device(const Request& request, std::span<const Candidate> candidates, DeviceChoice forced,
                     const Calibration& calibration, Threads cpu_threads) {
  Choice choice{{}, {}, {candidates.begin(), candidates.end()}};
  const Candidate* best = fastest(work_of(request), choice.candidates, forced, calibration, cpu_threads);
  const auto able = std::count_if(choice.candidates.begin(), choice.candidates.end(),
                                  [](const Candidate& candidate) { return candidate.support.ok; });
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
