// The CUDA backend's path by cuDNN without a GPU: its code on a runtime of the host, whose cuDNN is the
// reference, against the reference; and how it falls back.
#include "cuda/cudnn_layers-inl.h"

#include <gtest/gtest.h>

#include "cuda/make_layers-inl.h"
#include "device_check.h"
#include "host_runtime.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

using cuda::CudnnAlgorithm;

struct CudnnGpu {
  FakeMemory memory;
  HostDevice device;
  cuda::AskedPath asked;
  cuda::DeviceTraits traits = HostRuntime(memory, device).traits();
};

template <class T>
std::unique_ptr<LayerBackend> layers(CudnnGpu& gpu, const Request& request) {
  const auto runtime = std::make_shared<HostRuntime>(gpu.memory, gpu.device);
  return cuda::make_layers<T>(request, cuda::choose_path(request, gpu.traits, gpu.asked), runtime);
}

// The one of this process, registered at the first use.
CudnnGpu& gpu() {
  static CudnnGpu* const made = [] {
    auto* one = new CudnnGpu;
    backends();
    register_backend(std::make_unique<FakeGpu>(one->memory, [one](const Request& request) {
      switch (request.config.dtype) {
        case DType::kF32:
          return layers<float>(*one, request);
        case DType::kF64:
          return layers<double>(*one, request);
        case DType::kF16:
          return layers<Float16>(*one, request);
        default:
          return layers<BFloat16>(*one, request);
      }
    }));
    return one;
  }();
  return *made;
}

// Whether cuDNN is the first to run a problem.
bool by_cudnn(const Problem& p) {
  const Request request{p.config, Phase::kTraining, p.t + p.spare_t, p.n + p.spare_n, kFakeGpu};
  const auto candidates = cuda::choose_path(request, gpu().traits, gpu().asked).candidates;
  return !candidates.empty() && candidates.front().cudnn;
}

class CudnnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    gpu().device.cudnn = {};
    gpu().asked = {};
    before_ = gpu().memory.allocated();
  }
  void TearDown() override { EXPECT_EQ(gpu().memory.allocated(), before_) << "device memory was kept"; }

 private:
  std::size_t before_ = 0;
};
class CudnnLayersOf : public CudnnTest, public ::testing::WithParamInterface<NetworkKind> {};
// cuDNN has no GRU with reset_before.
std::vector<NetworkKind> cudnn_kinds() {
  std::vector<NetworkKind> kinds = kinds_of_16_bits();
  for (const NetworkKind& kind : network_kinds()) {
    const RnnConfig config = kind.config(1, 1);
    if (config.cell != Cell::kGru || config.gru_reset == GruReset::kAfter) kinds.push_back(kind);
  }
  return kinds;
}
INSTANTIATE_TEST_SUITE_P(Each, CudnnLayersOf, ::testing::ValuesIn(cudnn_kinds()), kind_name);

TEST_P(CudnnLayersOf, EveryCaseMatchesTheReference) {
  Measured measured;
  int problems = 0;
  for (const Case& c : cases()) {
    if (!selected(c.name)) continue;
    SCOPED_TRACE(std::string(c.name) + " (" + c.reason + "); " + repeat(c.name));
    const Problem p = problem_of(c, GetParam().cell, GetParam().dtype);
    for (const auto algorithm : {CudnnAlgorithm::kStandard, CudnnAlgorithm::kPersistSmallH}) {
      gpu().asked = {.any_cudnn = false, .algorithm = algorithm};
      if (!by_cudnn(p)) continue;
      ++problems;
      gpu().device.cudnn.passes.clear();
      check_on_device(p, kFakeGpu, true, measured);
      const auto has_steps = [](std::int64_t length) { return length > 0; };
      const bool computes =
          p.n > 0 && (p.lengths.empty() || std::any_of(p.lengths.begin(), p.lengths.end(), has_steps));
      EXPECT_TRUE(!computes || !gpu().device.cudnn.passes.empty()) << "cuDNN was not called";
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(problems, 0);
  measured.print(kind_name({GetParam(), 0}));
}

class RandomCudnnLayers : public CudnnTest, public ::testing::WithParamInterface<DType> {};
INSTANTIATE_TEST_SUITE_P(Seeded, RandomCudnnLayers,
                         ::testing::Values(DType::kF32, DType::kF64, DType::kF16, DType::kBf16),
                         [](const auto& instance) { return rondo::to_string(instance.param); });

TEST_P(RandomCudnnLayers, MatchTheReference) {
  constexpr std::uint64_t kFirstSeed = 7000, kConfigurations = 200;
  Measured measured;
  int cudnn = 0;
  for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kConfigurations; ++seed) {
    if (!selected(std::to_string(seed))) continue;
    SCOPED_TRACE(repeat(std::to_string(seed)));
    for (Problem p : random_problems(seed, GetParam(), 2)) {
      // Masks for the inputs and the state are not cuDNN's.
      p.config.dropout = p.config.recurrent_dropout = 0;
      p.input_masks = p.recurrent_masks = false;
      if (!by_cudnn(p)) continue;
      ++cudnn;
      check_on_device(p, kFakeGpu, false, measured);
    }
    if (HasFailure()) return;  // one configuration is enough to look at
  }
  EXPECT_GT(cudnn, 100);
  std::printf("%d problems of seeds %d to %d\n", cudnn, static_cast<int>(kFirstSeed),
              static_cast<int>(kFirstSeed + kConfigurations - 1));
  measured.print(rondo::to_string(GetParam()));
}

// Passes of cuDNN in one forward and backward over n rows of six steps, planned for `planned` rows.
struct Ran {
  std::string path;
  std::vector<std::string> passes;
  Tensor y, h_n, dx, gradients;
};
Ran run(const RnnConfig& config, Device device, std::int64_t n, std::int64_t planned,
        const std::vector<std::int32_t>& lengths = {}) {
  Rnn rnn(config, device);
  const std::int64_t t = 6;
  const Tensor x = random_tensor(config.dtype, {t, n, config.input_size}, 60);
  const Tensor dy = random_tensor(config.dtype, {t, n, output_size(config)}, 61);
  const Tensor full(config.dtype, {t, planned, config.input_size});
  Tape first;
  rnn.forward(full, {.tape = &first});  // makes the plan
  Tape tape;
  ForwardOptions options;
  if (!lengths.empty()) options.lengths = {lengths.data(), {n}};
  options.dropout = {.seed = 5, .offset = 7};
  options.tape = &tape;
  gpu().device.cudnn.passes.clear();
  ForwardResult out = rnn.forward(x, options);
  BackwardResult back = rnn.backward(tape, {.dy = dy});
  return {rnn.explain(),      gpu().device.cudnn.passes, std::move(out.y),
          std::move(out.h_n), std::move(back.dx),        copy_of(rnn.gradients())};
}
using Passes = std::vector<std::string>;

RnnConfig lstm(std::int64_t i, std::int64_t h, std::int64_t layers = 1) {
  return NetworkKind{cell_choices()[2], DType::kF32}.config(i, h, layers);
}

TEST_F(CudnnTest, EachBatchTakesAnAlgorithmThatSuitsIt) {
  ASSERT_EQ(lstm(1, 1).cell, Cell::kLstm);
  const RnnConfig config = lstm(32, 160);
  EXPECT_EQ(run(config, kFakeGpu, 16, 16).passes,
            (Passes{"forward persist-static", "backward persist-static"}));
  EXPECT_EQ(run(config, kFakeGpu, 15, 16).passes, (Passes{"forward standard", "backward standard"}));
  EXPECT_EQ(run(config, kFakeGpu, 16, 16, {6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5}).passes,
            (Passes{"forward standard ragged", "backward standard ragged"}));
  EXPECT_EQ(run(lstm(5, 7, 3), kFakeGpu, 3, 3).passes, (Passes{"forward small-h", "backward small-h"}));
}

TEST_F(CudnnTest, LayersAreCalledOneByOneWhereSomethingStandsBetween) {
  RnnConfig config = lstm(5, 200, 3);
  const Passes once{"forward standard", "backward standard"};
  const Passes thrice{"forward standard",  "forward standard",  "forward standard",
                      "backward standard", "backward standard", "backward standard"};
  EXPECT_EQ(run(config, kFakeGpu, 3, 3).passes, once);
  config.direction = Direction::kBidirectional;
  EXPECT_EQ(run(config, kFakeGpu, 3, 3).passes, once);
  config.merge = Merge::kNone;
  EXPECT_EQ(run(config, kFakeGpu, 3, 3).passes, once);
  config.layer_dropout = 0.4;
  EXPECT_EQ(run(config, kFakeGpu, 3, 3).passes, thrice);
  config.layer_dropout = 0;
  config.merge = Merge::kSum;
  EXPECT_EQ(run(config, kFakeGpu, 3, 3).passes, thrice);
}

void expect_like_cpu(const RnnConfig& config, const Ran& got, const std::vector<std::int32_t>& lengths = {}) {
  const Ran cpu = run(config, Device{}, got.y.shape()[1], got.y.shape()[1], lengths);
  expect_near(got.y, cpu.y, config, "y");
  expect_near(got.h_n, cpu.h_n, config, "h_n");
  expect_near(got.dx, cpu.dx, config, "dx", true);
  const std::vector<double> expected = values_of(cpu.gradients);
  EXPECT_LE(largest_difference(values_of(got.gradients), expected),
            64 * epsilon(config.dtype) * largest_magnitude(expected));
}

TEST_F(CudnnTest, DropoutBetweenLayersIsThatOfTheCpu) {
  RnnConfig config = lstm(5, 19, 3);
  config.direction = Direction::kBidirectional;
  config.layer_dropout = 0.4;
  for (const LayerMasks masks : {LayerMasks::kPerStep, LayerMasks::kPerSequence}) {
    for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>{}, {6, 0, 3, 6, 5}}) {
      config.layer_masks = masks;
      const Ran ran = run(config, kFakeGpu, 5, 5, lengths);
      EXPECT_EQ(ran.passes.size(), 6U);
      expect_like_cpu(config, ran, lengths);
    }
  }
}

TEST_F(CudnnTest, RunsGiveEqualBits) {
  const RnnConfig config = lstm(5, 19, 2);
  const Ran first = run(config, kFakeGpu, 5, 5, {6, 0, 3, 6, 5}),
            second = run(config, kFakeGpu, 5, 5, {6, 0, 3, 6, 5});
  EXPECT_TRUE(same_bits(first.y, second.y));
  EXPECT_TRUE(same_bits(first.dx, second.dx));
  EXPECT_TRUE(same_bits(first.gradients, second.gradients));
}

// Whatever cuDNN refuses, and whenever, the next path runs it, and explain() says so.
TEST_F(CudnnTest, ARefusalTakesTheNextPath) {
  const RnnConfig config = lstm(32, 160);
  HostCudnnRules& rules = gpu().device.cudnn;
  const auto persists = [](const cuda::CudnnNetwork& n) {
    return n.algorithm == CudnnAlgorithm::kStandard ? std::string() : "no kernel for this GPU";
  };
  for (auto* rule : {&rules.network, &rules.sizes, &rules.forward, &rules.pass}) {
    *rule = persists;
    const Ran ran = run(config, kFakeGpu, 16, 16);
    EXPECT_EQ(ran.passes, (Passes{"forward standard", "backward standard"}));
    EXPECT_NE(ran.path.find("cuDNN persist-static was refused ("), std::string::npos) << ran.path;
    EXPECT_NE(ran.path.find("no kernel for this GPU)"), std::string::npos) << ran.path;
    expect_like_cpu(config, ran);
    *rule = nullptr;
  }
  rules.network = [](const cuda::CudnnNetwork&) { return std::string("there is no libcudnn.so.9"); };
  const Ran ran = run(config, kFakeGpu, 16, 16);
  EXPECT_EQ(ran.passes, Passes{});
  EXPECT_NE(ran.path.find("path: a product and a pointwise kernel a step"), std::string::npos) << ran.path;
  EXPECT_NE(ran.path.find("cuDNN standard was refused (there is no libcudnn.so.9)"), std::string::npos)
      << ran.path;
  expect_like_cpu(config, ran);
}

// A refusal of one batch size alone shows when its sizes are asked for, or at its pass; the standard
// algorithm then runs that one, forward and backward.
TEST_F(CudnnTest, ARefusalOfOneSizeTakesTheStandardAlgorithm) {
  const RnnConfig config = lstm(32, 160);
  const Tensor x = random_tensor(config.dtype, {6, 16, 32}, 60),
               dy = random_tensor(config.dtype, {6, 16, 160}, 61);
  HostCudnnRules& rules = gpu().device.cudnn;
  for (auto* rule : {&rules.sizes, &rules.forward}) {
    Rnn rnn(config, kFakeGpu);
    Tape tape;
    const Tensor y = std::move(rnn.forward(x, {.tape = &tape}).y);
    const Tensor dx = std::move(rnn.backward(tape, {.dy = dy}).dx);
    *rule = [](const cuda::CudnnNetwork& n) {
      return n.algorithm == CudnnAlgorithm::kStandard ? std::string() : "not this batch";
    };
    for (const bool refused_before : {false, true}) {
      rules.passes.clear();
      const ForwardResult again = rnn.forward(x, {.tape = &tape});
      const Tensor dx_again = std::move(rnn.backward(tape, {.dy = dy}).dx);
      Passes expected{"forward standard", "backward standard"};
      if (rule == &rules.forward && !refused_before)
        expected.insert(expected.begin(), "forward persist-static");
      EXPECT_EQ(rules.passes, expected);
      expect_near(again.y, y, config, "y");
      expect_near(dx_again, dx, config, "dx", true);
    }
    *rule = nullptr;
  }
}

// Layer by layer, the one above may be refused when the one below has run: that one's backward goes on as it
// began.
TEST_F(CudnnTest, ARefusedLayerLeavesTheOneBelowAsItRan) {
  RnnConfig config = lstm(32, 160, 2);
  config.layer_dropout = 0.4;
  gpu().device.cudnn.forward = nullptr;
  Rnn rnn(config, kFakeGpu);
  const Tensor x = random_tensor(config.dtype, {6, 16, 32}, 60),
               dy = random_tensor(config.dtype, {6, 16, 160}, 61);
  Tape first;
  rnn.forward(x, {.tape = &first});  // makes the plan
  gpu().device.cudnn.forward = [](const cuda::CudnnNetwork& n) {
    const bool refused = n.algorithm == CudnnAlgorithm::kPersistStatic && n.input_size == 160;
    return refused ? std::string("not this layer") : std::string();
  };
  Tape tape;
  gpu().device.cudnn.passes.clear();
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  rnn.backward(tape, {.dy = dy});
  EXPECT_EQ(gpu().device.cudnn.passes,
            (Passes{"forward persist-static", "forward persist-static", "forward standard",
                    "backward standard", "backward persist-static"}));
}

TEST_F(CudnnTest, GradientsAccumulate) {
  for (const NetworkKind& kind : cudnn_kinds()) check_gradients_accumulate(kind, kFakeGpu);
}

TEST_F(CudnnTest, StepsMakeTheSequence) {
  for (const NetworkKind& kind : cudnn_kinds()) check_steps(kind, kFakeGpu);
}

// The CPU cannot step in for f16: what is said is what the GPU lacks, and once that is there all is well.
TEST_F(CudnnTest, AutoSaysWhyNeitherDeviceRunsIt) {
  RnnConfig config = lstm(3, 4);
  config.dtype = DType::kF16;
  Rnn rnn(config, DeviceChoice());
  const Tensor x(config.dtype, {5, 2, 3});
  gpu().device.cudnn.network = [](const cuda::CudnnNetwork&) { return std::string("no libcudnn.so.9"); };
  for (int i = 0; i < 2; ++i) {
    try {
      rnn.forward(x);
      FAIL() << "no DeviceError";
    } catch (const DeviceError& error) {
      EXPECT_NE(std::string(error.what()).find("no libcudnn.so.9"), std::string::npos) << error.what();
    }
  }
  gpu().device.cudnn.network = nullptr;
  EXPECT_EQ(rnn.forward(x).y.shape(), (Shape{5, 2, 4}));
  EXPECT_EQ(rnn.device(), kFakeGpu);
}

TEST_F(CudnnTest, NoPathLeftIsAnErrorWithEveryReason) {
  gpu().asked = cuda::parse_path("cudnn");
  gpu().device.cudnn.network = [](const cuda::CudnnNetwork&) { return std::string("too old"); };
  try {
    run(lstm(3, 4), kFakeGpu, 2, 2);
    FAIL() << "no DeviceError";
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("RONDO_CUDA_PATH leaves out the step path"), std::string::npos) << text;
    EXPECT_NE(text.find("cuDNN small-h was refused (too old)"), std::string::npos) << text;
    EXPECT_NE(text.find("cuDNN standard was refused (too old)"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace rondo::testing
