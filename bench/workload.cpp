// One shape made ready to be run again and again by Rondo.
#include "bench/workload.h"

#include <optional>
#include <string>

#include "bench/device_arrays.h"

namespace bench {
namespace {

using rondo::Shape;
using rondo::Tensor;
using rondo::TensorView;

bool is_gpu(rondo::Device device) { return device.kind == rondo::Device::Kind::kCuda; }

Shape state_shape(const rondo::RnnConfig& config, std::int64_t n) {
  return {config.num_layers * rondo::num_directions(config), n, config.hidden_size};
}

// What inference and training share: a plan on a stream of its own, its parameters and its input.
class PlanWorkload : public Workload {
 public:
  void finish() override { arrays_->synchronize(); }
  std::string path() const override { return plan_.path(); }
  std::string what() const override {
    return graph_ ? "replay of a CUDA graph of " + passes() + ", with weights packed before" : calls();
  }

 protected:
  PlanWorkload(const ShapeOptions& options, rondo::Device device, rondo::Phase phase)
      : config_(config_of(options)),
        arrays_(make_device_arrays(device)),
        plan_(config_, {.phase = phase,
                        .max_t = options.t,
                        .max_n = options.n,
                        .device = device,
                        .stream = arrays_->stream(),
                        .ragged = false}),
        parameters_(arrays_->make(config_.dtype, {rondo::parameter_count(config_)})),
        x_(arrays_->make_random(config_.dtype, {options.t, options.n, options.i}, 1, 1)),
        y_(arrays_->make(config_.dtype, {options.t, options.n, rondo::output_size(config_)})),
        workspace_(arrays_->make_bytes(plan_.workspace_bytes())) {
    Tensor initial(config_.dtype, parameters_.shape);
    rondo::initialize(config_, rondo::Initializer::kPyTorch, 0, initial);
    const std::int64_t bytes = initial.shape().count() * rondo::element_bytes(config_.dtype);
    arrays_->copy(parameters_.data, initial.view().data, static_cast<std::size_t>(bytes));
    weights_ = plan_.pack(parameters_);
  }
  // The passes of a run, which a graph can hold.
  virtual void run_passes() = 0;
  virtual std::string passes() const = 0;
  virtual std::string calls() const { return passes(); }

  // Once everything is ready: a call can be captured after the plan has run.
  void use_graph() {
    run_passes();
    finish();
    arrays_->capture([&] { run_passes(); });
    graph_ = true;
  }
  bool graph() const { return graph_; }

  rondo::RnnConfig config_;
  std::unique_ptr<DeviceArrays> arrays_;  // outlives what is on its stream
  rondo::Plan plan_;
  TensorView parameters_, x_, y_;
  std::span<std::byte> workspace_;
  rondo::PackedWeights weights_;

 private:
  bool graph_ = false;
};

class Inference : public PlanWorkload {
 public:
  Inference(const ShapeOptions& options, rondo::Device device)
      : PlanWorkload(options, device, rondo::Phase::kInference) {
    args_.x = x_;
    args_.y = y_;
    args_.workspace = workspace_;
    if (options.graph) use_graph();
  }
  void run() override {
    if (graph()) return arrays_->replay();
    run_passes();
  }

 private:
  void run_passes() override { plan_.forward(weights_, args_); }
  std::string passes() const override { return "forward"; }

  rondo::ForwardArgs args_;
};

class Training : public PlanWorkload {
 public:
  Training(const ShapeOptions& options, rondo::Device device)
      : PlanWorkload(options, device, rondo::Phase::kTraining),
        tape_memory_(arrays_->make_bytes(plan_.tape_bytes())) {
    const Shape states = state_shape(config_, options.n);
    const auto zeros = [&](const Shape& shape) { return arrays_->make(config_.dtype, shape); };
    forward_.x = x_;
    forward_.y = y_;
    forward_.h0 = zeros(states);
    forward_.workspace = backward_.workspace = workspace_;
    backward_.dy = arrays_->make_random(config_.dtype, y_.shape, 0.01, 2);
    backward_.dx = zeros(x_.shape);
    backward_.dh0 = zeros(states);
    backward_.dparameters = zeros(parameters_.shape);
    if (config_.cell == rondo::Cell::kLstm) {
      forward_.c0 = zeros(states);
      backward_.dc0 = zeros(states);
    }
    if (options.graph) use_graph();
  }
  void run() override {
    if (graph()) return arrays_->replay();
    weights_ = plan_.pack(parameters_);
    run_passes();
  }

 private:
  void run_passes() override {
    rondo::Tape tape(tape_memory_);
    forward_.tape = &tape;
    plan_.forward(weights_, forward_);
    plan_.backward(weights_, tape, backward_);
  }
  std::string passes() const override { return "forward, backward"; }
  std::string calls() const override { return "pack, forward, backward"; }

  std::span<std::byte> tape_memory_;
  rondo::ForwardArgs forward_;
  rondo::BackwardArgs backward_;
};

// A Tensor of the host, as level one takes it.
Tensor random_tensor(rondo::DType dtype, const Shape& shape, double bound, unsigned seed) {
  const auto host = make_device_arrays(rondo::Device{});
  const TensorView values = host->make_random(dtype, shape, bound, seed);
  Tensor tensor(dtype, shape);
  const std::int64_t bytes = shape.count() * rondo::element_bytes(dtype);
  host->copy(tensor.view().data, values.data, static_cast<std::size_t>(bytes));
  return tensor;
}

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
  std::string what() const override { return "T calls of Rnn::step on arrays of the host"; }

 private:
  rondo::Rnn rnn_;
  rondo::State state_;
  Tensor x_;
  std::int64_t steps_;
};

}  // namespace

std::unique_ptr<Workload> make_workload(const ShapeOptions& options, rondo::Device device) {
  if (options.phase == "inference") return std::make_unique<Inference>(options, device);
  if (options.phase == "training") return std::make_unique<Training>(options, device);
  if (options.graph) {
    throw rondo::InvalidArgument("--graph: --phase is step, expected inference or training");
  }
  return std::make_unique<Steps>(options, device);
}

Timing measure(Workload& workload, const ShapeOptions& options, rondo::Device device) {
  Effort effort = effort_of(options);
  if (is_gpu(device)) effort = on_gpu(effort);
  return measure([&] { workload.run(); }, [&] { workload.finish(); }, effort);
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

std::string RnnWorkload::what() const {
  return training_ ? "forward, backward, gradients read, parameters changed" : "forward";
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

Runner describe_runner(rondo::Device device, const Workload& workload) {
  Runner runner = describe_runner(device);
  runner.path = workload.path();
  runner.run = workload.what();
  runner.waits = is_gpu(device);
  return runner;
}

}  // namespace bench
