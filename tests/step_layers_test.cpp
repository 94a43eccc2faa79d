// The CUDA backend's step path without a GPU: its code on a runtime of the host, against the reference.
#include "cuda/step_layers-inl.h"

#include <gtest/gtest.h>

#include "device_solve.h"
#include "host_runtime.h"
#include "network_fixture.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

struct StepGpu {
  FakeMemory memory;
  HostCounts counts;
};

// The one of this process, registered at the first use.
StepGpu& step_gpu() {
  static StepGpu* const gpu = [] {
    auto* made = new StepGpu;
    backends();
    register_backend(std::make_unique<FakeGpu>(
        made->memory, [made](const Request& request) -> std::unique_ptr<LayerBackend> {
          // One a plan, so that what a plan has not reserved is not there.
          auto runtime = std::make_shared<HostRuntime>(made->memory, made->counts);
          if (request.config.dtype == DType::kF32) {
            return std::make_unique<cuda::StepLayers<float, HostRuntime>>(request, std::move(runtime));
          }
          return std::make_unique<cuda::StepLayers<double, HostRuntime>>(request, std::move(runtime));
        }));
    return made;
  }();
  return *gpu;
}

template <class T>
void check(Problem p, bool every_path, Measured& measured) {
  p.device = kFakeGpu;
  const Data data = draw_clear_of_kinks<T>(p);
  SCOPED_TRACE(rondo::to_string(p.config) + " T=" + std::to_string(p.t) + " N=" + std::to_string(p.n) +
               " seed " + std::to_string(p.seed));
  const Truth<T> truth(p, data);
  Data unmasked = data;
  unmasked.call.input_masks = unmasked.call.recurrent_masks = unmasked.call.layer_masks = {};
  Truth<T>(p, unmasked)
      .compare_forward("inference", OnDevice<T>(p, data, Phase::kInference).infer(), measured);
  for (Paths paths : every_path ? all_paths(p.config.cell) : std::vector<Paths>{Paths::kAll}) {
    const auto upstream = select(data.upstream, paths);
    const Solution<T> s = OnDevice<T>(p, data, Phase::kTraining).train(upstream);
    if (paths == Paths::kAll) truth.compare_forward("training", s.results, measured);
    truth.compare_backward(to_string(paths), s.gradients, upstream, measured);
  }
  const Solution<T> s = train_by_rnn<T>(p, data, data.upstream);
  truth.compare_forward("Rnn", s.results, measured);
  truth.compare_backward("Rnn", s.gradients, data.upstream, measured);
}
void check(const Problem& p, bool every_path, Measured& measured) {
  if (p.config.dtype == DType::kF32) check<float>(p, every_path, measured);
  if (p.config.dtype == DType::kF64) check<double>(p, every_path, measured);
}

std::string repeat(const std::string& name) {
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  return "repeat it with: RONDO_TEST_CASE=" + name + " step_layers_test --gtest_filter='*" + test + "'";
}

class StepLayersOf : public EachNetwork {
 protected:
  void SetUp() override { before_ = step_gpu().memory.allocated(); }
  void TearDown() override { EXPECT_EQ(step_gpu().memory.allocated(), before_) << "device memory was kept"; }

 private:
  std::size_t before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Each, StepLayersOf, ::testing::ValuesIn(network_kinds()), kind_name);

TEST_P(StepLayersOf, EveryCaseMatchesTheReference) {
  Measured measured;
  for (const Case& c : cases()) {
    if (!selected(c.name)) continue;
    SCOPED_TRACE(std::string(c.name) + " (" + c.reason + "); " + repeat(c.name));
    check(problem_of(c, GetParam().cell, GetParam().dtype), true, measured);
    if (HasFailure()) return;
  }
  measured.print(kind_name({GetParam(), 0}));
}

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
    for (const Problem& p : random_problems(seed, GetParam(), 2)) check(p, false, measured);
    if (HasFailure()) return;  // one configuration is enough to look at
  }
  std::printf("seeds %d to %d\n", static_cast<int>(kFirstSeed),
              static_cast<int>(kFirstSeed + kConfigurations - 1));
  measured.print(rondo::to_string(GetParam()));
}

Tensor y_of_cpu(const RnnConfig& config, const Tensor& parameters, const Tensor& x) {
  Rnn rnn(config, Device{});
  std::memcpy(rnn.parameters().data, parameters.view().data,
              static_cast<std::size_t>(parameters.shape().count() * element_bytes(config.dtype)));
  return std::move(rnn.forward(x).y);
}

struct Trained {
  Tensor y, h_n, dx, dh0, gradients;
};
Trained train(const RnnConfig& config, Device device) {
  Rnn rnn(config, device);
  const std::int64_t t = 6, n = 5;
  const Tensor x = random_tensor(config.dtype, {t, n, config.input_size}, 60);
  const Tensor dy = random_tensor(config.dtype, {t, n, output_size(config)}, 61);
  const std::int32_t lengths[] = {6, 0, 3, 6, 5};
  Tape tape;
  ForwardOptions options;
  options.lengths = {lengths, {n}};
  options.dropout = {.seed = 5, .offset = 7};
  options.tape = &tape;
  ForwardResult out = rnn.forward(x, options);
  BackwardResult back = rnn.backward(tape, {.dy = dy});
  return {std::move(out.y), std::move(out.h_n), std::move(back.dx), std::move(back.dh0),
          copy_of(rnn.gradients())};
}

TEST_P(StepLayersOf, DrawnMasksAreThoseOfTheCpu) {
  RnnConfig config = GetParam().config(5, 19, 2);
  config.direction = Direction::kBidirectional;
  config.dropout = config.recurrent_dropout = config.layer_dropout = 0.4;
  for (GateMasks gates : {GateMasks::kShared, GateMasks::kPerGate}) {
    for (LayerMasks layers : {LayerMasks::kPerStep, LayerMasks::kPerSequence}) {
      config.gate_masks = gates;
      config.layer_masks = layers;
      const Trained cpu = train(config, Device{}), gpu = train(config, kFakeGpu);
      expect_near(gpu.y, cpu.y, config, "y");
      expect_near(gpu.h_n, cpu.h_n, config, "h_n");
      expect_near(gpu.dx, cpu.dx, config, "dx", true);
    }
  }
}

TEST_P(StepLayersOf, RunsGiveEqualBits) {
  RnnConfig config = GetParam().config(5, 19, 2);
  config.direction = Direction::kBidirectional;
  config.dropout = config.recurrent_dropout = 0.4;
  const Trained first = train(config, kFakeGpu), second = train(config, kFakeGpu);
  EXPECT_TRUE(same_bits(first.y, second.y));
  EXPECT_TRUE(same_bits(first.h_n, second.h_n));
  EXPECT_TRUE(same_bits(first.dx, second.dx));
  EXPECT_TRUE(same_bits(first.dh0, second.dh0));
  EXPECT_TRUE(same_bits(first.gradients, second.gradients));
}

TEST_P(StepLayersOf, StepsMakeTheSequence) {
  const RnnConfig config = GetParam().config(5, 19, 2);
  Rnn rnn(config, kFakeGpu);
  const Tensor x = random_tensor(config.dtype, {7, 3, 5}, 70);
  const ForwardResult whole = rnn.forward(x);
  State state = rnn.make_state(3);
  for (std::int64_t t = 0; t < 7; ++t) {
    ConstTensorView x_t = steps_of(x, t, 1), y_t = steps_of(whole.y, t, 1);
    x_t = {x_t.data, x_t.dtype, Shape{3, 5}};
    y_t = {y_t.data, y_t.dtype, Shape{3, 19}};
    expect_near(rnn.step(x_t, state), y_t, config, "step " + std::to_string(t));
  }
  expect_near(state.h(), whole.h_n, config, "h");
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
  HostRuntime runtime(memory, step_gpu().counts);
  const Request request{.config = {.input_size = 3, .hidden_size = 4}, .max_t = 5, .max_n = 2};
  StackPlan plan(request, std::make_unique<cuda::StepLayers<float, HostRuntime>>(
                              request, std::shared_ptr<HostRuntime>(&runtime, [](HostRuntime*) {})));
  std::byte from[10 * sizeof(std::int64_t) + 1] = {};  // 5 steps of 2 rows are the most that a pass sends
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
  const HostCounts& counts = step_gpu().counts;
  const auto now = [&] { return Counts{counts.products, counts.launches}; };
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
}

}  // namespace
}  // namespace rondo::testing
