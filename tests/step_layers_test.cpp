// The CUDA backend's step path without a GPU: its code on a runtime of the host, against the reference.
#include "cuda/step_layers-inl.h"

#include <gtest/gtest.h>

#include "device_check.h"
#include "host_runtime.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

struct StepGpu {
  FakeMemory memory;
  HostRuntime runtime{memory};
};

// The one of this process, registered at the first use.
StepGpu& step_gpu() {
  static StepGpu* const gpu = [] {
    auto* made = new StepGpu;
    backends();
    register_backend(std::make_unique<FakeGpu>(
        made->memory, [made](const Request& request) -> std::unique_ptr<LayerBackend> {
          HostRuntime& runtime = made->runtime;
          if (request.config.dtype == DType::kF32) {
            return std::make_unique<cuda::StepLayers<float, HostRuntime>>(request, runtime);
          }
          return std::make_unique<cuda::StepLayers<double, HostRuntime>>(request, runtime);
        }));
    return made;
  }();
  return *gpu;
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
  check_every_case(GetParam(), kFakeGpu);
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
TEST_P(StepLayersOf, StepsMakeTheSequence) { check_steps(GetParam(), kFakeGpu); }

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
  const HostRuntime& runtime = step_gpu().runtime;
  const auto now = [&] { return Counts{runtime.products, runtime.launches}; };
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
