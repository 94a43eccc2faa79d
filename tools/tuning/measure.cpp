// Networks of level one, timed in turn.
#include "tuning/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "tuning/fit.h"

namespace tuning {
namespace {

class Network {
 public:
  Network(const rondo::Work& work, const Side& side)
      : side_(side),
        rnn_(work.config, side.device),
        x_(work.config.dtype, {work.t, work.n, work.config.input_size}),
        dy_(work.config.dtype, {work.t, work.n, rondo::output_size(work.config)}),
        training_(work.phase == rondo::Phase::kTraining) {
    fill(x_, 1);
    fill(dy_, 0.01F);
    const SideSettings settings(side_.threads, side_.all_threads);
    run();
    const double us = time(1);
    passes_us_ = std::max(us, 0.1);
  }
  Network(const Network&) = delete;

  double sample(double us) {
    const SideSettings settings(side_.threads, side_.all_threads);
    return time(std::max<long>(1, std::lround(us / passes_us_)));
  }

 private:
  static void fill(rondo::Tensor& tensor, float bound) {
    std::uint32_t state = 1;
    for (float& e : tensor.span<float>()) {
      state = state * 1664525 + 1013904223;
      e = bound * (static_cast<float>(state >> 8) * 0x1p-23F - 1);
    }
  }
  void run() {
    if (!training_) {
      rnn_.forward(x_);
      return;
    }
    rondo::Tape tape;
    const rondo::ForwardResult out = rnn_.forward(x_, {.tape = &tape});
    rnn_.backward(tape, {.dy = dy_});
    // From a GPU an optimizer of the host fetches gradients, and sends parameters there; the model counts
    // both.
    if (side_.threads > 0) return;
    rnn_.gradients();
    rnn_.parameters_changed();
  }
  double time(long passes) {
    const auto start = std::chrono::steady_clock::now();
    for (long i = 0; i < passes; ++i) run();
    const auto taken = std::chrono::steady_clock::now() - start;
    return std::chrono::duration<double, std::micro>(taken).count() / static_cast<double>(passes);
  }

  const Side& side_;
  rondo::Rnn rnn_;
  rondo::Tensor x_, dy_;
  bool training_;
  double passes_us_ = 0;
};

}  // namespace

std::vector<Side> cpu_sides() {
  const int all = rondo::num_threads();
  std::vector<Side> sides = {{"cpu/1", {}, 1, false}};
  if (all > 1) sides.push_back({"cpu", {}, all, true});
  return sides;
}

Side cpu_by_model() { return {"cpu", {}, rondo::num_threads(), false}; }

std::optional<Side> gpu_side() {
  const rondo::DeviceChoice asked = rondo::device_from_environment();
  if (asked && asked->kind == rondo::Device::Kind::kCpu) return {};
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (info.device.kind != rondo::Device::Kind::kCuda || !info.usable) continue;
    if (asked && info.device != *asked) continue;
    const Side side{rondo::to_string(info.device), info.device, 0, false};
    try {
      Network({.config = {.input_size = 8, .hidden_size = 8}}, side).sample(1);
      return side;
    } catch (const rondo::DeviceError& error) {  // what cuBLAS and cuDNN lack shows with the first network
      std::fprintf(stderr, "%s is left out: %s\n", side.name.c_str(), error.what());
    }
  }
  return {};
}

SideSettings::SideSettings(int threads, bool all_threads) {
  rondo::set_num_threads(threads);
  if (!all_threads) return;
  rondo::set_division_trials(false);
  before_ = rondo::calibration();
  // What meetings cost stays, since by it the threads divide rows or units, as they would unforced.
  rondo::Calibration eager = *before_;
  eager.cpu.handover_us = eager.cpu.training_handover_us = 1e-6;
  rondo::set_calibration(eager);
}
SideSettings::~SideSettings() {
  rondo::set_num_threads(0);
  if (!before_) return;
  rondo::set_division_trials(true);
  rondo::set_calibration(before_);
}

void add_samples(const rondo::Work& work, std::span<const Side> sides, const Effort& effort,
                 std::vector<std::vector<double>>& samples) {
  std::vector<std::unique_ptr<Network>> networks;
  for (const Side& side : sides) networks.push_back(std::make_unique<Network>(work, side));
  samples.resize(sides.size());
  for (int i = 0; i < effort.samples; ++i) {
    for (std::size_t s = 0; s < sides.size(); ++s)
      samples[s].push_back(networks[s]->sample(effort.sample_us));
  }
}

std::vector<double> quantiles(const std::vector<std::vector<double>>& samples, double q) {
  std::vector<double> of_sides;
  for (const std::vector<double>& side : samples) of_sides.push_back(quantile(side, q));
  return of_sides;
}

}  // namespace tuning
