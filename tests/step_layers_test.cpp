// The CUDA backend's step path without a GPU: its code on a runtime of the host, against the reference.
#include <gtest/gtest.h>

#include "device_check.h"
#include "random_problems.h"
#include "step_gpu.h"

namespace rondo::testing {
namespace {

class StepLayersOf : public EachNetwork {
 protected:
  void SetUp() override { before_ = step_gpu().memory.allocated(); }
  void TearDown() override { EXPECT_EQ(step_gpu().memory.allocated(), before_) << "device memory was kept"; }

 private:
  std::size_t before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Each, StepLayersOf, ::testing::ValuesIn(network_kinds()), kind_name);

TEST_P(StepLayersOf, EveryCaseMatchesTheReference) { check_every_case(GetParam(), kFakeGpu); }
TEST_P(StepLayersOf, EveryOptionMatchesTheReference) { check_every_option(GetParam(), kFakeGpu); }

class RandomStepLayers : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Seeded, RandomStepLayers, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& instance) { return rondo::to_string(instance.param); });

TEST_P(RandomStepLayers, MatchTheReference) {
  constexpr std::uint64_t kFirstSeed = 5000, kConfigurations = 100;
  step_gpu();
  Measured measured;
  for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kConfigurations; ++seed) {
    if (!selected(std::to_string(seed))) continue;
    SCOPED_TRACE(repeat(std::to_string(seed)));
    for (const Problem& p : random_problems(seed, GetParam(), 2)) {
      check_on_device(p, kFakeGpu, false, measured);
    }
    if (HasFailure()) return;  // one configuration is enough to look at
  }
  std::printf("seeds %d to %d\n", static_cast<int>(kFirstSeed),
              static_cast<int>(kFirstSeed + kConfigurations - 1));
  measured.print(rondo::to_string(GetParam()));
}

TEST_P(StepLayersOf, DrawnMasksAreThoseOfTheCpu) { check_drawn_masks(GetParam(), kFakeGpu); }
TEST_P(StepLayersOf, RunsGiveEqualBits) { check_equal_bits(GetParam(), kFakeGpu); }
TEST_P(StepLayersOf, GradientsAccumulate) { check_gradients_accumulate(GetParam(), kFakeGpu); }
TEST_P(StepLayersOf, StepsMakeTheSequence) { check_steps(GetParam(), kFakeGpu); }

Tensor y_of_cpu(const RnnConfig& config, const Tensor& parameters, const Tensor& x) {
  Rnn rnn(config, Device{});
  std::memcpy(rnn.parameters().data, parameters.view().data,
              static_cast<std::size_t>(parameters.shape().count() * element_bytes(config.dtype)));
  return std::move(rnn.forward(x).y);
}

TEST(StepLayers, WeightsOutliveThePlanThatPackedThem) {
  const RnnConfig config{.cell = Cell::kGru, .input_size = 3, .hidden_size = 5};
  const std::size_t before = step_gpu().memory.allocated();
  const auto plan = [&] { return Plan(config, {.max_t = 4, .max_n = 2, .device = kFakeGpu}); };
  const Tensor parameters = random_tensor(config.dtype, {parameter_count(config)}, 90);
  const Tensor x = random_tensor(config.dtype, {4, 2, 3}, 91);
  {
    const auto there = [](const Tensor& array, DeviceMemory& memory) {
      const auto bytes = static_cast<std::size_t>(array.shape().count()) * sizeof(float);
      memory.reserve(kFakeGpu, bytes);
      backend_of(kFakeGpu).copy(kFakeGpu, memory.data(), array.view().data, bytes);
      return TensorView{memory.data(), array.dtype(), array.shape(), kFakeGpu};
    };
    DeviceMemory a, b, c, work;
    const PackedWeights weights = plan().pack(there(parameters, a));
    Plan second = plan();
    work.reserve(kFakeGpu, second.workspace_bytes());
    Tensor y(config.dtype, {4, 2, 5}), expected = y_of_cpu(config, parameters, x);
    const TensorView y_there = there(y, c);
    second.forward(weights, {.x = there(x, b), .y = y_there, .workspace = work.span()});
    backend_of(kFakeGpu).copy(kFakeGpu, y.view().data, c.data(), 4 * 2 * 5 * sizeof(float));
    expect_near(y, expected, config, "y");
  }
  EXPECT_EQ(step_gpu().memory.allocated(), before);
}

// So it does for the tape and the arrays of the first pass, which are taken after the plan.
TEST(StepLayers, AutoTakesTheCpuWhenTheFirstPassDoesNotFit) {
  FakeMemory& memory = step_gpu().memory;
  const RnnConfig config{.input_size = 512, .hidden_size = 512, .num_layers = 4};
  const Tensor x(DType::kF32, {40, 64, 512});
  const Plan plan(config, {.phase = Phase::kTraining, .max_t = 40, .max_n = 64, .device = kFakeGpu});
  const std::size_t arrays = static_cast<std::size_t>(x.shape().count()) * sizeof(float);
  memory.limit = memory.allocated() + plan.workspace_bytes() + plan.tape_bytes() + arrays;
  Rnn rnn(config, DeviceChoice());
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  memory.limit = SIZE_MAX;
  EXPECT_EQ(rnn.device(), Device{});
  EXPECT_NE(rnn.explain().find("fake gpu: no memory for"), std::string::npos) << rnn.explain();
}

TEST(StepLayers, ProductsMayRoundToTf32WhereThatWasAskedFor) {
  const HostDevice& device = step_gpu().device;
  for (const MathMode mode : {MathMode::kStrict, MathMode::kTf32}) {
    RnnConfig config{.cell = Cell::kGru, .input_size = 3, .hidden_size = 5, .num_layers = 2};
    config.math_mode = mode;
    config.recurrent_dropout = 0.5;
    const std::int64_t products = device.products, tf32 = device.tf32_products;
    train(config, kFakeGpu);
    EXPECT_GT(device.products, products);
    EXPECT_EQ(device.tf32_products - tf32, mode == MathMode::kTf32 ? device.products - products : 0);
  }
}

// The parameters are there by then, and do not stay.
TEST(StepLayers, AutoTakesTheCpuWhenPackedWeightsDoNotFit) {
  FakeMemory& memory = step_gpu().memory;
  const RnnConfig config{.input_size = 512, .hidden_size = 512, .num_layers = 4};
  const Plan plan(config, {.max_t = 2, .max_n = 64, .device = kFakeGpu});
  const auto parameters = static_cast<std::size_t>(parameter_count(config)) * sizeof(float);
  memory.limit = memory.allocated() + plan.workspace_bytes() + parameters + 1000;
  Rnn rnn(config, DeviceChoice());
  rnn.forward(Tensor(DType::kF32, {2, 64, 512}));
  EXPECT_EQ(memory.allocated(), 0U) << "the device keeps what the CPU does not use";
  memory.limit = SIZE_MAX;
  EXPECT_EQ(rnn.device(), Device{});
  EXPECT_NE(rnn.explain().find("fake gpu: no memory for"), std::string::npos) << rnn.explain();
}

TEST(StepLayers, ASendThatPlanningDidNotReserveIsAFault) {
  FakeMemory& memory = step_gpu().memory;
  HostRuntime runtime(memory, step_gpu().device);
  const Request request{.config = {.input_size = 3, .hidden_size = 4}, .max_t = 5, .max_n = 2};
  cuda::StepLayers<float, HostRuntime> layers(request,
                                              std::shared_ptr<HostRuntime>(&runtime, [](HostRuntime*) {}));
  constexpr std::int64_t kWords = 10;  // more than the layers themselves send
  layers.reserve_index(kWords);
  std::byte from[kWords * sizeof(std::int64_t) + 1] = {};
  void* to = runtime.allocate(sizeof from);
  runtime.send(to, from, sizeof from - 1);
  EXPECT_THROW(runtime.send(to, from, sizeof from), std::logic_error);
  runtime.release(to);
}

// Products and pointwise launches of a pass of t steps.
struct Counts {
  std::int64_t products = 0, launches = 0;
  Counts operator-(const Counts& o) const { return {products - o.products, launches - o.launches}; }
  bool operator==(const Counts&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << c.products << " products, " << c.launches << " launches";
}
struct PassCounts {
  Counts forward, backward;
};
PassCounts count(const RnnConfig& config, std::int64_t t) {
  const HostDevice& device = step_gpu().device;
  const auto now = [&] { return Counts{device.products, device.launches}; };
  Rnn rnn(config, kFakeGpu);
  const Tensor x = random_tensor(config.dtype, {t, 3, config.input_size}, 80);
  const Tensor dy = random_tensor(config.dtype, {t, 3, output_size(config)}, 81);
  Tape tape;
  const Counts start = now();
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  const Counts middle = now();
  rnn.backward(tape, {.dy = dy});
  return {middle - start, now() - middle};
}

// What cuda/step_layers-inl.h says of its launches.
TEST_P(StepLayersOf, AStepTakesAProductAndALaunch) {
  RnnConfig config = GetParam().config(5, 6);
  const bool before = config.cell == Cell::kGru && config.gru_reset == GruReset::kBefore;
  const auto expect_each = [&](const Counts& step) {
    const PassCounts short_pass = count(config, 4), long_pass = count(config, 9);
    const Counts five{5 * step.products, 5 * step.launches};
    EXPECT_EQ(long_pass.forward - short_pass.forward, five);
    EXPECT_EQ(long_pass.backward - short_pass.backward, five);
  };
  expect_each(before ? Counts{2, 2} : Counts{1, 1});
  config.gate_masks = GateMasks::kPerGate;  // of which there are none
  expect_each(before ? Counts{2, 2} : Counts{1, 1});
  config.gate_masks = GateMasks::kShared;
  config.recurrent_dropout = 0.5;
  expect_each(before ? Counts{2, 2} : Counts{1, 1});
  config.gate_masks = GateMasks::kPerGate;
  expect_each({num_gates(config.cell), before ? 2 : 1});

  config = GetParam().config(5, 6);
  config.dropconnect = config.zoneout_h = 0.5;
  config.preactivation_clip = 1;
  expect_each(before ? Counts{2, 2} : Counts{1, 1});
  if (config.cell == Cell::kSimpleRnn || before) return;
  config.layer_norm = true;
  expect_each({1, GetParam().lstm() ? 8 : 4});
  if (!GetParam().lstm()) return;
  config.layer_norm = false;
  config.projection_size = 3;
  expect_each({2, 2});
}

}  // namespace
}  // namespace rondo::testing
