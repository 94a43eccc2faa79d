// One shape made ready to be run again and again by Rondo.
#include "bench/workload.h"

#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>

namespace bench {
namespace {

using rondo::Shape;
using rondo::Tensor;

// Drawn as Real, and stored as T.
template <class T, class Real = T>
void fill_uniform(std::span<T> values, double bound, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<Real> uniform(static_cast<Real>(-bound), static_cast<Real>(bound));
  for (T& value : values) value = static_cast<T>(uniform(generator));
}

Tensor random_tensor(rondo::DType dtype, const Shape& shape, double bound, unsigned seed) {
  Tensor tensor(dtype, shape);
  if (dtype == rondo::DType::kF32) fill_uniform(tensor.span<float>(), bound, seed);
  if (dtype == rondo::DType::kF64) fill_uniform(tensor.span<double>(), bound, seed);
  if (dtype == rondo::DType::kF16)
    fill_uniform<rondo::Float16, float>(tensor.span<rondo::Float16>(), bound, seed);
  if (dtype == rondo::DType::kBf16)
    fill_uniform<rondo::BFloat16, float>(tensor.span<rondo::BFloat16>(), bound, seed);
  return tensor;
}

// A Tensor serves as aligned memory.
Tensor aligned_memory(std::size_t bytes) {
  return Tensor(rondo::DType::kF64, {static_cast<std::int64_t>(bytes + 7) / 8});
}

Shape state_shape(const rondo::RnnConfig& config, std::int64_t n) {
  return {config.num_layers * rondo::num_directions(config), n, config.hidden_size};
}

// What inference and training share: a plan, its parameters and its input.
class PlanWorkload : public Workload {
 protected:
  PlanWorkload(const ShapeOptions& options, rondo::Device device, rondo::Phase phase)
      : config_(config_of(options)),
        plan_(config_, {.phase = phase, .max_t = options.t, .max_n = options.n, .device = device}),
        parameters_(config_.dtype, {rondo::parameter_count(config_)}),
        x_(random_tensor(config_.dtype, {options.t, options.n, options.i}, 1, 1)),
        y_(config_.dtype, {options.t, options.n, rondo::output_size(config_)}),
        workspace_(aligned_memory(plan_.workspace_bytes())) {
    rondo::initialize(config_, rondo::Initializer::kPyTorch, 0, parameters_);
    weights_ = plan_.pack(parameters_);
  }
  std::span<std::byte> workspace() { return std::as_writable_bytes(workspace_.span<double>()); }

  rondo::RnnConfig config_;
  rondo::Plan plan_;
  Tensor parameters_, x_, y_, workspace_;
  rondo::PackedWeights weights_;
};

class Inference : public PlanWorkload {
 public:
  Inference(const ShapeOptions& options, rondo::Device device)
      : PlanWorkload(options, device, rondo::Phase::kInference) {
    args_.x = x_;
    args_.y = y_;
    args_.workspace = workspace();
  }
  void run() override { plan_.forward(weights_, args_); }

 private:
  rondo::ForwardArgs args_;
};

class Training : public PlanWorkload {
 public:
  Training(const ShapeOptions& options, rondo::Device device)
      : PlanWorkload(options, device, rondo::Phase::kTraining),
        tape_memory_(aligned_memory(plan_.tape_bytes())),
        h0_(config_.dtype, state_shape(config_, options.n)),
        c0_(config_.dtype, state_shape(config_, options.n)),
        dy_(random_tensor(config_.dtype, y_.shape(), 0.01, 2)),
        dx_(config_.dtype, x_.shape()),
        dh0_(config_.dtype, h0_.shape()),
        dc0_(config_.dtype, c0_.shape()),
        dparameters_(config_.dtype, parameters_.shape()) {
    forward_.x = x_;
    forward_.y = y_;
    forward_.h0 = h0_;
    forward_.workspace = backward_.workspace = workspace();
    backward_.dy = dy_;
    backward_.dx = dx_;
    backward_.dh0 = dh0_;
    backward_.dparameters = dparameters_;
    if (config_.cell == rondo::Cell::kLstm) {
      forward_.c0 = c0_;
      backward_.dc0 = dc0_;
    }
  }
  void run() override {
    weights_ = plan_.pack(parameters_);
    rondo::Tape tape(std::as_writable_bytes(tape_memory_.span<double>()));
    forward_.tape = &tape;
    plan_.forward(weights_, forward_);
    plan_.backward(weights_, tape, backward_);
  }

 private:
  Tensor tape_memory_, h0_, c0_, dy_, dx_, dh0_, dc0_, dparameters_;
  rondo::ForwardArgs forward_;
  rondo::BackwardArgs backward_;
};

class Steps : public Workload {
 public:
  Steps(const ShapeOptions& options, rondo::Device device)
      : rnn_(config_of(options), device),
        state_(rnn_.make_state(options.n)),
        x_(random_tensor(rnn_.config().dtype, {options.n, options.i}, 1, 1)),
        steps_(options.t) {}
  void run() override {
    for (std::int64_t t = 0; t < steps_; ++t) rnn_.step(x_, state_);
  }

 private:
  rondo::Rnn rnn_;
  rondo::State state_;
  Tensor x_;
  std::int64_t steps_;
};

}  // namespace

rondo::RnnConfig config_of(const ShapeOptions& options) {
  rondo::RnnConfig config;
  config.cell = options.cell == "lstm"  ? rondo::Cell::kLstm
                : options.cell == "gru" ? rondo::Cell::kGru
                                        : rondo::Cell::kSimpleRnn;
  config.input_size = options.i;
  config.hidden_size = options.h;
  config.num_layers = options.layers;
  if (options.bidirectional) config.direction = rondo::Direction::kBidirectional;
  using enum rondo::DType;
  for (const rondo::DType dtype : {kF32, kF64, kF16, kBf16}) {
    if (options.dtype == to_string(dtype)) config.dtype = dtype;
  }
  if (options.math == "tf32") config.math_mode = rondo::MathMode::kTf32;
  return config;
}

std::unique_ptr<Workload> make_workload(const ShapeOptions& options, rondo::Device device) {
  if (options.phase == "inference") return std::make_unique<Inference>(options, device);
  if (options.phase == "training") return std::make_unique<Training>(options, device);
  return std::make_unique<Steps>(options, device);
}

RnnWorkload::RnnWorkload(const ShapeOptions& options, rondo::DeviceChoice device)
    : rnn_(config_of(options), device),
      x_(random_tensor(rnn_.config().dtype, {options.t, options.n, options.i}, 1, 1)),
      dy_(random_tensor(x_.dtype(), {options.t, options.n, rondo::output_size(rnn_.config())}, 0.01, 2)),
      training_(options.phase == "training") {}

void RnnWorkload::run() {
  if (!training_) {
    rnn_.forward(x_);
    return;
  }
  rondo::Tape tape;
  const rondo::ForwardResult out = rnn_.forward(x_, {.tape = &tape});
  rnn_.backward(tape, {.dy = dy_});
  rnn_.gradients();
  rnn_.zero_gradients();
  rnn_.parameters_changed();
}

rondo::Device resolve_device(const ShapeOptions& options) {
  const rondo::DeviceChoice choice = rondo::parse_device(options.device);
  if (choice) return *choice;
  rondo::Rnn rnn(config_of(options));
  const std::int64_t t = options.phase == "step" ? 1 : options.t;
  const Tensor x(rnn.config().dtype, {t, options.n, options.i});
  rondo::Tape tape;
  rnn.forward(x, {.tape = options.phase == "training" ? &tape : nullptr});
  return rnn.device();
}

Runner describe_runner(rondo::Device device) {
  Runner runner{.engine = std::string("rondo ") + rondo::version(),
                .device = rondo::to_string(device),
                .device_name = "",
                .isa = "",
                .threads = rondo::num_threads()};
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (!(info.device == device)) continue;
    // A CPU's name ends with the instruction set that its kernels use: "AMD EPYC, 2 threads, avx2".
    const std::size_t comma = info.name.rfind(", ");
    runner.device_name = info.name.substr(0, comma);
    if (comma != std::string::npos) runner.isa = info.name.substr(comma + 2);
  }
  return runner;
}

}  // namespace bench
