// Networks on a device whose memory is not the host's: every named case gives the CPU's bits.
#include <gtest/gtest.h>

#include "cases.h"
#include "core/device_memory.h"
#include "cpu/layer.h"
#include "fake_gpu.h"
#include "network_fixture.h"
#include "problem.h"
#include "rejected.h"
#include "segments.h"

namespace rondo::testing {
namespace {

// Computes by the CPU's kernels, so its results are the same bits.
class FakeLayers final : public LayerBackend {
 public:
  FakeLayers(FakeMemory& memory, std::unique_ptr<LayerBackend> cpu) : memory_(memory), cpu_(std::move(cpu)) {}
  std::size_t saved_bytes(std::int64_t flat) const override { return cpu_->saved_bytes(flat); }
  std::size_t workspace_bytes(std::int64_t flat, std::int64_t n) const override {
    return cpu_->workspace_bytes(flat, n);
  }
  std::string path() const override { return "fake gpu"; }
  bool on_host() const override { return false; }
  std::unique_ptr<Packed> pack(const void* parameters) const override {
    const auto open = memory_.open(parameters);
    return cpu_->pack(parameters);
  }
  void forward(const LayerForward& call) override {
    const auto open = opened(call);
    expect_here(call.h_n, call.c_n);
    cpu_->forward(call);
  }
  void backward(const LayerBackward& call) override {
    const auto open = opened(call);
    expect_here(call.dy.data, call.dh_n, call.dc_n, call.dx.data, call.dh0, call.dc0, call.dparameters);
    cpu_->backward(call);
  }
  void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) override {
    const auto open = memory_.open(to);
    cpu_->send_index(to, from, count);
  }
  void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, from.data, from.index);
    cpu_->copy_rows(to, from, count, width);
  }
  void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                  std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, a.data, a.index, b.data, b.index);
    cpu_->merge_rows(how, to, a, b, count, width);
  }
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, draw.index);
    cpu_->draw_mask(to, draw, count, width);
  }

 private:
  template <class... Pointers>
  void expect_here(const Pointers*... pointers) const {
    (memory_.expect_here(pointers), ...);
  }
  FakeMemory::Open opened(const LayerCall& c) {
    return memory_.open(c.x.data, c.y.data, c.h0, c.c0, c.c.data, c.masks.input, c.masks.recurrent,
                        c.masks.connect, c.masks.zoneout_h, c.masks.zoneout_c, c.saved, c.workspace);
  }

  FakeMemory& memory_;
  std::unique_ptr<LayerBackend> cpu_;
};

std::unique_ptr<LayerBackend> make_cpu_layers(const Request& request) {
  if (request.config.dtype == DType::kF32) return std::make_unique<cpu::Layers<float>>(request);
  return std::make_unique<cpu::Layers<double>>(request);
}

// The one fake GPU of this process, registered at the first use.
FakeMemory& fake_gpu() {
  static FakeMemory* const memory = [] {
    auto* made = new FakeMemory;
    backends();
    register_backend(std::make_unique<FakeGpu>(*made, [made](const Request& request) {
      return std::make_unique<FakeLayers>(*made, make_cpu_layers(request));
    }));
    return made;
  }();
  return *memory;
}

template <class T>
void expect_same(const Problem& on_cpu) {
  Problem p = on_cpu;
  const Data data = draw(p);
  const Solution<T> expected = train_by_rnn<T>(p, data, data.upstream);
  p.device = kFakeGpu;
  const Solution<T> got = train_by_rnn<T>(p, data, data.upstream);
  EXPECT_EQ(expected.results.y, got.results.y);
  EXPECT_EQ(expected.results.y_reverse, got.results.y_reverse);
  EXPECT_EQ(expected.results.h_n, got.results.h_n);
  EXPECT_EQ(expected.results.c_n, got.results.c_n);
  EXPECT_EQ(expected.gradients.dx, got.gradients.dx);
  EXPECT_EQ(expected.gradients.dparameters, got.gradients.dparameters);
  EXPECT_EQ(expected.gradients.dh0, got.gradients.dh0);
  EXPECT_EQ(expected.gradients.dc0, got.gradients.dc0);
}

class DeviceMemoryOf : public EachNetwork {
 protected:
  void SetUp() override { before_ = fake_gpu().allocated(); }
  void TearDown() override { EXPECT_EQ(fake_gpu().allocated(), before_) << "device memory was kept"; }

 private:
  std::size_t before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Each, DeviceMemoryOf, ::testing::ValuesIn(network_kinds()), kind_name);

TEST_P(DeviceMemoryOf, EveryCaseGivesTheBitsOfTheCpu) {
  const RnnConfig kind = GetParam().config(1, 1);
  const CellChoice cell{"", kind.cell, kind.activation.kind, kind.gru_reset};
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    if (kind.dtype == DType::kF32) expect_same<float>(problem_of(c, cell, DType::kF32));
    if (kind.dtype == DType::kF64) expect_same<double>(problem_of(c, cell, DType::kF64));
  }
}

// Two windows with the state carried, ragged rows and drawn masks, and a step down between them.
struct Trained {
  Tensor y, gradients, h, c;  // c: or dx
};
Trained train(const RnnConfig& config, Device device) {
  Rnn rnn(config, device);
  const Tensor x = random_tensor(config.dtype, {6, 4, config.input_size}, 60);
  const Tensor dy = random_tensor(config.dtype, {6, 4, output_size(config)}, 61);
  const std::int32_t lengths[] = {6, 0, 3, 6};
  Trained trained;
  State state;
  Tape tape;
  for (std::uint64_t window = 0; window < 2; ++window) {
    ForwardOptions options;
    options.lengths = {lengths, {4}};
    options.state = &state;
    options.dropout = {.seed = 5, .offset = window};
    options.tape = &tape;
    rnn.zero_gradients();
    for (int times = 0; times < 2; ++times) {  // gradients accumulate, also across a look at them
      trained.y = rnn.forward(x, options).y;   // which backward reads
      rnn.backward(tape, {.dy = dy});
      trained.gradients = copy_of(rnn.gradients());
    }
    const std::vector<double> step = values_of(trained.gradients);
    std::vector<double> moved = values_of(rnn.parameters());
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= 0.01 * step[i];
    const Tensor next = make_tensor(config.dtype, rnn.parameters().shape, moved);
    std::memcpy(rnn.parameters().data, next.view().data, moved.size() * element_bytes(config.dtype));
  }
  trained.h = copy_of(state.h());
  if (config.cell == Cell::kLstm) trained.c = copy_of(state.c());
  return trained;
}

TEST_P(DeviceMemoryOf, TrainingWithStateGivesTheBitsOfTheCpu) {
  RnnConfig config = GetParam().config(5, 19, 2);
  config.dropout = config.recurrent_dropout = config.layer_dropout = 0.25;
  const Trained cpu = train(config, Device{}), gpu = train(config, kFakeGpu);
  EXPECT_TRUE(same_bits(cpu.y, gpu.y));
  EXPECT_TRUE(same_bits(cpu.gradients, gpu.gradients));
  EXPECT_TRUE(same_bits(cpu.h, gpu.h));
  EXPECT_TRUE(same_bits(cpu.c, gpu.c));
}

// Masks, resets and checkpoints, whose lists of rows go there. On one network of each kind of merge.
Trained train_masked(const RnnConfig& config, Device device) {
  const Steps steps = draw_steps(7, 9, 5);
  Rnn rnn(config, device);
  const Tensor x = random_tensor(config.dtype, {7, 9, config.input_size}, 62);
  const std::int64_t width = output_size(config);
  const Tensor dy = random_tensor(
      config.dtype, config.outputs == Outputs::kLast ? Shape{9, width} : Shape{7, 9, width}, 63);
  const Tensor h0 =
      random_tensor(config.dtype, {config.num_layers * num_directions(config), 9, state_size(config)}, 64);
  Tape tape;
  ForwardOptions options{.h0 = h0,
                         .lengths = {steps.lengths.data(), Shape{9}},
                         .mask = {steps.mask.data(), Shape{7, 9}},
                         .resets = {steps.resets.data(), Shape{7, 9}}};
  options.dropout.seed = 3;
  options.tape = &tape;
  ForwardResult out = rnn.forward(x, options);
  BackwardResult back = rnn.backward(tape, {.dy = dy, .dh_n = h0});
  return {std::move(out.y), copy_of(rnn.gradients()), std::move(out.h_n), std::move(back.dx)};
}

TEST_P(DeviceMemoryOf, MasksResetsAndCheckpointsGiveTheBitsOfTheCpu) {
  for (const bool of_last : {false, true}) {
    RnnConfig config = GetParam().config(5, 19, 2);
    config.dropout = config.recurrent_dropout = config.layer_dropout = 0.25;
    config.dropconnect = config.zoneout_h = 0.25;
    if (of_last) config.outputs = Outputs::kLast;
    RnnConfig windows = config, product = config;
    windows.checkpoint_every = 3;
    product.direction = Direction::kBidirectional;
    product.merge = Merge::kMul;
    product.masked_outputs = MaskedOutputs::kRepeat;
    for (const RnnConfig& c : {config, windows, product}) {
      const Trained cpu = train_masked(c, Device{}), gpu = train_masked(c, kFakeGpu);
      EXPECT_TRUE(same_bits(cpu.y, gpu.y)) << to_string(c);
      EXPECT_TRUE(same_bits(cpu.gradients, gpu.gradients)) << to_string(c);
      EXPECT_TRUE(same_bits(cpu.h, gpu.h)) << to_string(c);
      EXPECT_TRUE(same_bits(cpu.c, gpu.c)) << to_string(c);
    }
  }
}

TEST_P(DeviceMemoryOf, StepGivesTheBitsOfTheCpu) {
  const RnnConfig config = GetParam().config(5, 19, 2);
  Rnn cpu(config, Device{}), gpu(config, kFakeGpu);
  State of_cpu = cpu.make_state(3), of_gpu = gpu.make_state(3);
  for (std::uint64_t t = 0; t < 3; ++t) {
    const Tensor x = random_tensor(config.dtype, {3, 5}, 70 + t);
    EXPECT_TRUE(same_bits(cpu.step(x, of_cpu), gpu.step(x, of_gpu))) << "step " << t;
  }
  EXPECT_TRUE(same_bits(of_cpu.h(), of_gpu.h()));
  EXPECT_TRUE(same_bits(of_cpu.c(), of_gpu.c()));
}

TEST_P(DeviceMemoryOf, ARefusedForwardLeavesTheTapeGood) {
  const RnnConfig config = GetParam().config(3, 6);
  Rnn rnn(config, kFakeGpu);
  const Tensor x = random_tensor(config.dtype, {4, 2, 3}, 80), wrong(config.dtype, {1, 3, 6});
  const Tensor dy = random_tensor(config.dtype, {4, 2, 6}, 81);
  Tape tape, undisturbed;
  const ForwardResult first = rnn.forward(x, {.tape = &undisturbed});
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  EXPECT_THROW(rnn.forward(x, {.h0 = wrong, .tape = &tape}), InvalidArgument);
  const Tensor expected = std::move(rnn.backward(undisturbed, {.dy = dy}).dx);
  EXPECT_TRUE(same_bits(rnn.backward(tape, {.dy = dy}).dx, expected));
}

// Level two takes views on the device, and refuses those of the host.
TEST_P(DeviceMemoryOf, APlanTakesItsOwnDevicesViews) {
  const RnnConfig config = GetParam().config(3, 6);
  Plan plan(config, {.max_t = 4, .max_n = 2, .device = kFakeGpu});
  const Tensor parameters = random_tensor(config.dtype, {parameter_count(config)}, 90);
  EXPECT_THROW(plan.pack(parameters), InvalidArgument);
  DeviceMemory there, workspace;
  const auto bytes = static_cast<std::size_t>(parameter_count(config) * element_bytes(config.dtype));
  there.reserve(kFakeGpu, bytes);
  backend_of(kFakeGpu).copy(kFakeGpu, there.data(), parameters.view().data, bytes);
  const PackedWeights weights = plan.pack({there.data(), config.dtype, parameters.shape(), kFakeGpu});
  workspace.reserve(kFakeGpu, plan.workspace_bytes());
  const Tensor x = random_tensor(config.dtype, {4, 2, 3}, 91);
  EXPECT_THROW(plan.forward(weights, {.x = x, .workspace = workspace.span()}), InvalidArgument);
}

// The fake ignores the stream; what is refused about it does not depend on that.
TEST(DeviceMemory, APlanWithAStreamTakesTheCallersTapeAlone) {
  fake_gpu();
  const RnnConfig config{.input_size = 3, .hidden_size = 6};
  int somewhere = 0;
  const PlanOptions options{Phase::kTraining, 4, 2, kFakeGpu, &somewhere};
  Plan plan(config, options);
  const Tensor array = random_tensor(config.dtype, {parameter_count(config)}, 90);
  const Tensor values = random_tensor(config.dtype, {4, 2, 3}, 91);
  const auto there = [](const Tensor& from, DeviceMemory& memory) {
    const auto bytes = static_cast<std::size_t>(from.shape().count()) * sizeof(float);
    memory.reserve(kFakeGpu, bytes);
    backend_of(kFakeGpu).copy(kFakeGpu, memory.data(), from.view().data, bytes);
    return ConstTensorView(memory.data(), from.dtype(), from.shape(), kFakeGpu);
  };
  DeviceMemory parameters, x, work, room;
  const PackedWeights weights = plan.pack(there(array, parameters));
  work.reserve(kFakeGpu, plan.workspace_bytes());
  room.reserve(kFakeGpu, plan.tape_bytes());
  Tape owning, callers(room.span());
  const ConstTensorView view = there(values, x);
  expect_rejected([&] { plan.forward(weights, {.x = view, .tape = &owning, .workspace = work.span()}); },
                  {"the tape owns its memory", "Plan::tape_bytes"});
  plan.forward(weights, {.x = view, .tape = &callers, .workspace = work.span()});
  plan.backward(weights, callers, {.workspace = work.span()});
  expect_rejected([&] { Plan on_cpu(config, {.device = {}, .stream = &somewhere}); },
                  {"PlanOptions: stream is given, expected none for a plan on cpu"});
}

TEST(DeviceMemory, ArraysOnAGpuStartAtMultiplesOf16) {
  fake_gpu();
  const RnnConfig config{.input_size = 3, .hidden_size = 6};
  Plan plan(config, {.max_t = 4, .max_n = 2, .device = kFakeGpu});
  DeviceMemory parameters, x, work;
  parameters.reserve(kFakeGpu, 4096);
  x.reserve(kFakeGpu, 4096);
  work.reserve(kFakeGpu, plan.workspace_bytes());
  const PackedWeights weights =
      plan.pack({parameters.data(), config.dtype, {parameter_count(config)}, kFakeGpu});
  const ConstTensorView off{x.data() + 4, config.dtype, {4, 2, 3}, kFakeGpu};
  expect_rejected([&] { plan.forward(weights, {.x = off, .workspace = work.span()}); },
                  {"forward: x lies 4 bytes past a multiple of 16, expected a multiple of 16 on a GPU"});
}

TEST(DeviceMemory, WhatIsOutOfRangeIsRefusedBeforeTheDeviceSeesIt) {
  fake_gpu();
  Rnn rnn({.input_size = 3, .hidden_size = 6}, kFakeGpu);
  const Tensor x = random_tensor(DType::kF32, {4, 2, 3}, 91);
  const std::int64_t lengths[] = {4, 5};
  expect_rejected(
      [&] {
        rnn.forward(x, {.lengths = {lengths, {2}}});
      },
      {"forward: lengths[1] is 5, expected 0 to T=4"});
  State state = rnn.make_state(2);
  expect_rejected([&] { state.reset_row(2); }, {"reset_row: row is 2, expected 0 to 1"});
  EXPECT_EQ(rnn.forward(x).y.shape(), (Shape{4, 2, 6}));  // the device is none the worse for it
}

// One step of an optimizer on the host.
void step_down(Rnn& rnn, const Tensor& x, const Tensor& dy) {
  Tape tape;
  rnn.zero_gradients();
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  rnn.backward(tape, {.dy = dy});
  const auto dw = rnn.gradients().span<float>(), w = rnn.parameters().span<float>();
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= 0.1F * dw[i];
}

TEST(DeviceMemory, ExplainCountsWhatAnOptimizerOnTheHostMoves) {
  fake_gpu();
  const RnnConfig config{.cell = Cell::kLstm, .input_size = 3, .hidden_size = 6};  // 264 parameters
  const Tensor x = random_tensor(DType::kF32, {4, 2, 3}, 91), dy = random_tensor(DType::kF32, {4, 2, 6}, 92);
  Rnn gpu(config, kFakeGpu), cpu(config, Device{});
  gpu.forward(x);
  EXPECT_EQ(gpu.explain().find("; gradients"), std::string::npos) << gpu.explain();
  for (const char* expected : {"once, parameters sent 2 times", "2 times, parameters sent 3 times"}) {
    step_down(gpu, x, dy);
    step_down(cpu, x, dy);
    const std::string crossed = "; gradients were brought to the host " + std::string(expected);
    EXPECT_TRUE(gpu.explain().ends_with(crossed + " (1.1 kB each)")) << gpu.explain();
  }
  gpu.gradients();  // which lie on the host already
  EXPECT_NE(gpu.explain().find("to the host 2 times"), std::string::npos) << gpu.explain();
  EXPECT_EQ(cpu.explain().find("; gradients"), std::string::npos) << cpu.explain();
}

// The fake is no faster by prediction than a real one, so a large network goes to it.
RnnConfig large_config() { return {.input_size = 512, .hidden_size = 512, .num_layers = 4}; }

TEST(DeviceMemory, AutoTakesTheCpuWhenTheDeviceIsFull) {
  FakeMemory& memory = fake_gpu();
  const Tensor x(DType::kF32, {2, 64, 512});
  memory.limit = memory.allocated() + 1000;
  Rnn rnn(large_config(), DeviceChoice());
  rnn.forward(x);
  memory.limit = SIZE_MAX;
  EXPECT_EQ(rnn.device(), Device{});
  EXPECT_NE(rnn.explain().find("fake gpu: no memory for"), std::string::npos) << rnn.explain();
  EXPECT_EQ(memory.allocated(), 0U);
}

TEST(DeviceMemory, AutoTakesTheCpuWhenTheWeightsDoNotFit) {
  FakeMemory& memory = fake_gpu();
  const Tensor x(DType::kF32, {2, 64, 512});
  const Plan plan(large_config(), {.max_t = 2, .max_n = 64, .device = kFakeGpu});
  memory.limit = memory.allocated() + plan.workspace_bytes() + 1000;
  Rnn rnn(large_config(), DeviceChoice()), cpu(large_config(), Device{});
  const ForwardResult out = rnn.forward(x);
  EXPECT_EQ(memory.allocated(), 0U) << "the device keeps what the CPU does not use";
  memory.limit = SIZE_MAX;
  EXPECT_EQ(rnn.device(), Device{});
  EXPECT_NE(rnn.explain().find("fake gpu: no memory for"), std::string::npos) << rnn.explain();
  EXPECT_TRUE(same_bits(out.y, cpu.forward(x).y));
}

TEST(DeviceMemory, AFullDeviceThatWasAskedForIsAnError) {
  FakeMemory& memory = fake_gpu();
  memory.limit = memory.allocated() + 1000;
  Rnn rnn(large_config(), kFakeGpu);
  EXPECT_THROW(rnn.forward(Tensor(DType::kF32, {2, 64, 512})), DeviceError);
  memory.limit = SIZE_MAX;
  EXPECT_EQ(memory.allocated(), 0U);
}

}  // namespace
}  // namespace rondo::testing
