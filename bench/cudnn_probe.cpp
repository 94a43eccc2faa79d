// One network by cuDNN: planned, run and timed.
#include "bench/cudnn_probe.h"

#include <algorithm>
#include <cmath>

#include "bench/timing.h"

namespace bench {
namespace {

using rondo::cuda::CudnnBackward;
using rondo::cuda::CudnnForward;
using rondo::cuda::CudnnNetwork;
using rondo::cuda::CudnnRnn;
using rondo::cuda::CudnnSizes;

constexpr rondo::Device kGpu{rondo::Device::Kind::kCuda, 0};

// Thousands of networks are asked for, so a few short samples of each have to do.
constexpr Effort kShort{.sample_us = 300,
                        .warm_up_us = 0,
                        .warm_up_runs = 2,
                        .enough_us = 0,
                        .enough_samples = 3,
                        .slow_us = 1e5,
                        .slow_samples = 1};

double rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace

Json json_of(const CudnnNetwork& n) {
  return {{"algorithm", to_string(n.algorithm)},
          {"cell", to_string(n.cell)},
          {"dtype", to_string(n.dtype)},
          {"math", n.math_mode == rondo::MathMode::kTf32 ? "tf32" : "strict"},
          {"h", n.hidden_size},
          {"i", n.input_size},
          {"layers", n.num_layers},
          {"directions", n.directions}};
}

CudnnProbe::CudnnProbe()
    : arrays_(make_device_arrays(kGpu)), handle_(kGpu.index, static_cast<cudaStream_t>(arrays_->stream())) {}

const std::byte* CudnnProbe::values(rondo::DType dtype, std::size_t bytes) {
  std::span<const std::byte>& held = values_[dtype];
  if (held.size() < bytes) {
    const std::size_t element = static_cast<std::size_t>(rondo::element_bytes(dtype));
    const auto count = static_cast<std::int64_t>(std::max(bytes, 2 * held.size()) / element + 1);
    const rondo::TensorView made = arrays_->make_random(dtype, {count}, 0.05, 1);
    held = {static_cast<const std::byte*>(made.data), static_cast<std::size_t>(count) * element};
  }
  return held.data();
}

std::byte* CudnnProbe::room(const std::string& name, std::size_t bytes) {
  std::span<std::byte>& held = rooms_[name];
  if (held.size() < bytes) held = arrays_->make_bytes(std::max(bytes, 2 * held.size()));
  return held.data();
}

bool CudnnProbe::lost() {
  try {
    arrays_->synchronize();
    return false;
  } catch (const std::exception&) {
    return true;
  }
}

// A network with the arrays of a pass.
struct CudnnProbe::Pass {
  Pass(CudnnProbe& probe, const CudnnNetwork& network, const ProbeSequence& of, bool trains)
      : rnn(make_cudnn_rnn(probe.handle_, network)),
        sequence(of.rows()),
        training(trains),
        sizes(rnn->sizes(sequence, trains)) {
    const auto element = rondo::element_bytes(network.dtype), rows = of.t * of.n;
    x_bytes = static_cast<std::size_t>(rows * network.input_size * element);
    y_bytes = static_cast<std::size_t>(rows * network.directions * network.hidden_size * element);
    weights = probe.values(network.dtype, std::max({rnn->weight_bytes(), x_bytes, y_bytes}));
    y = probe.room("y", y_bytes);
    workspace = probe.room("workspace", sizes.workspace + 1);
    if (!training) return;
    reserve = probe.room("reserve", sizes.reserve + 1);
    dx = probe.room("dx", x_bytes);
    dweights = probe.room("dweights", rnn->weight_bytes());
  }
  void run() const {
    const rondo::cuda::CudnnPass shared{.sequence = sequence,
                                        .weights = weights,
                                        .x = weights,  // any values serve, and nobody writes them
                                        .y = y,
                                        .h0 = nullptr,
                                        .c0 = nullptr,
                                        .workspace = workspace,
                                        .reserve = training ? reserve : nullptr,
                                        .room = sizes};
    rnn->forward(CudnnForward{shared, nullptr, nullptr});
    if (!training) return;
    rnn->backward(CudnnBackward{shared, weights, nullptr, nullptr, dx, nullptr, nullptr, dweights});
  }

  std::unique_ptr<CudnnRnn> rnn;
  rondo::Sequence sequence;
  bool training;
  CudnnSizes sizes;
  std::size_t x_bytes, y_bytes;
  const std::byte* weights;
  std::byte *y, *workspace, *reserve = nullptr, *dx = nullptr, *dweights = nullptr;
};

Json CudnnProbe::pass(const CudnnNetwork& network, const ProbeSequence& sequence, bool training) {
  return accepted_or_not([&]() -> Json {
    const Pass pass(*this, network, sequence, training);
    const Timing timing = measure([&] { pass.run(); }, [&] { arrays_->synchronize(); }, kShort);
    return {{"accepted", true},
            {"workspace", pass.sizes.workspace},
            {"reserve", pass.sizes.reserve},
            {"us_per_step", rounded(timing.median_us / static_cast<double>(sequence.t))}};
  });
}

std::vector<std::byte> CudnnProbe::results(const CudnnNetwork& network, const ProbeSequence& sequence) {
  const Pass pass(*this, network, sequence, true);
  const std::vector<std::byte> zeros(pass.rnn->weight_bytes());
  arrays_->copy(pass.dweights, zeros.data(), zeros.size());
  pass.run();
  std::vector<std::byte> all(pass.y_bytes + pass.x_bytes + zeros.size());
  arrays_->copy(all.data(), pass.y, pass.y_bytes);
  arrays_->copy(all.data() + pass.y_bytes, pass.dx, pass.x_bytes);
  arrays_->copy(all.data() + pass.y_bytes + pass.x_bytes, pass.dweights, zeros.size());
  arrays_->synchronize();
  return all;
}

double CudnnProbe::time(const CudnnNetwork& network, const ProbeSequence& sequence, bool training,
                        bool graph) {
  const Pass pass(*this, network, sequence, training);
  const auto finish = [&] { arrays_->synchronize(); };
  pass.run();
  finish();
  if (graph) arrays_->capture([&] { pass.run(); });
  return measure([&] { graph ? arrays_->replay() : pass.run(); }, finish, brief(on_gpu({}))).median_us;
}

double CudnnProbe::copy_us(std::size_t bytes) {
  const std::byte* from = values(rondo::DType::kF32, bytes);
  std::byte* to = room("copy", bytes);
  return measure([&] { arrays_->copy(to, from, bytes); }, [&] { arrays_->synchronize(); }, brief(on_gpu({})))
      .median_us;
}

}  // namespace bench
