// The CUDA backend's passes on a GPU against the double reference and against the CPU. Skipped, with the
// reason, where there is no GPU.
//
// The tests' support is linked to the library's internals, a static copy, and the module brings the shared
// library, another. That is sound here, though the library itself refuses it for its users: the module is
// asked through core/backend.h alone, by virtual calls, and both copies are compiled from the same headers,
// which the stamp is compared for. Whatever keeps state (registry, settings, threads) is the static copy's;
// the other one's is not used. A program does not export its symbols, so neither copy replaces a function of
// the other. A DeviceError of the module is caught as one of this program, since types are equal when their
// names are, which FailsAsThisProgramsOwnErrors tests.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "core/backend.h"
#include "device_check.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

constexpr Device kGpu{Device::Kind::kCuda, 0};

Backend* make_backend() {
  void* module = dlopen(RONDO_CUDA_MODULE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (module == nullptr) throw std::runtime_error(dlerror());
  const auto* stamp = static_cast<const char*>(dlsym(module, "rondo_build_stamp"));
  if (stamp == nullptr || std::string(stamp) != RONDO_BUILD_STAMP) {
    throw std::runtime_error(std::string("the module is of ") + (stamp ? stamp : "no build") + ", this is " +
                             RONDO_BUILD_STAMP);
  }
  return reinterpret_cast<Backend* (*)()>(dlsym(module, "rondo_make_backend"))();
}
// Registered in this program at the first use.
Backend& cuda_backend() {
  static Backend* const made = [] {
    backends();
    Backend* backend = make_backend();
    register_backend(std::unique_ptr<Backend>(backend));
    return backend;
  }();
  return *made;
}
DeviceInfo gpu() { return cuda_backend().devices().at(0); }

TEST(CudaBackend, FailsAsThisProgramsOwnErrors) {
  const Device none{Device::Kind::kCuda, 99};
  EXPECT_THROW(cuda_backend().allocate(none, 1), DeviceError);
  EXPECT_EQ(cuda_backend().kind(), Device::Kind::kCuda);
}

template <class Parameter>
class OnGpu : public ::testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    if (!gpu().usable) GTEST_SKIP() << "cuda:0: " << gpu().reason;
  }
};

class CudaParity : public OnGpu<NetworkKind> {};
INSTANTIATE_TEST_SUITE_P(Each, CudaParity, ::testing::ValuesIn(network_kinds()), kind_name);

class CudaParityOf16Bits : public OnGpu<NetworkKind> {};
INSTANTIATE_TEST_SUITE_P(Each, CudaParityOf16Bits, ::testing::ValuesIn(kinds_of_16_bits()), kind_name);
TEST_P(CudaParityOf16Bits, EveryCaseMatchesTheReference) { check_every_case(GetParam(), kGpu); }
TEST_P(CudaParityOf16Bits, RunsGiveEqualBits) { check_equal_bits(GetParam(), kGpu); }
TEST_P(CudaParityOf16Bits, RunsAtPersistentSizesGiveEqualBits) {
  check_equal_bits_at_persistent_sizes(GetParam(), kGpu);
}
TEST_P(CudaParityOf16Bits, GradientsAccumulate) { check_gradients_accumulate(GetParam(), kGpu); }
TEST_P(CudaParity, GradientsAccumulate) { check_gradients_accumulate(GetParam(), kGpu); }
TEST_P(CudaParityOf16Bits, StepsMakeTheSequence) { check_steps(GetParam(), kGpu); }

TEST_P(CudaParity, EveryCaseMatchesTheReference) { check_every_case(GetParam(), kGpu); }
TEST_P(CudaParity, EveryOptionMatchesTheReference) { check_every_option(GetParam(), kGpu); }
TEST_P(CudaParity, DrawnMasksAreThoseOfTheCpu) { check_drawn_masks(GetParam(), kGpu); }
TEST_P(CudaParity, RunsGiveEqualBits) { check_equal_bits(GetParam(), kGpu); }
TEST_P(CudaParity, RunsAtPersistentSizesGiveEqualBits) {
  check_equal_bits_at_persistent_sizes(GetParam(), kGpu);
}
TEST_P(CudaParity, StepsMakeTheSequence) { check_steps(GetParam(), kGpu); }

class RandomCudaParity : public OnGpu<DType> {};
INSTANTIATE_TEST_SUITE_P(Seeded, RandomCudaParity, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& instance) { return rondo::to_string(instance.param); });

TEST_P(RandomCudaParity, MatchTheReference) {
  constexpr std::uint64_t kFirstSeed = 7000, kConfigurations = 100;
  Measured measured;
  for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kConfigurations; ++seed) {
    if (!selected(std::to_string(seed))) continue;
    SCOPED_TRACE(repeat(std::to_string(seed)));
    for (const Problem& p : random_problems(seed, GetParam(), 2)) check_on_device(p, kGpu, false, measured);
    if (HasFailure()) return;  // one configuration is enough to look at
  }
  std::printf("seeds %d to %d\n", static_cast<int>(kFirstSeed),
              static_cast<int>(kFirstSeed + kConfigurations - 1));
  measured.print(rondo::to_string(GetParam()));
}

// The matrix of options by which PyTorch compares its CPU with cuDNN, at its sizes.
std::vector<Problem> pytorch_matrix(const NetworkKind& kind) {
  std::vector<Problem> all;
  for (const Bias bias : {Bias::kNone, Bias::kDouble}) {
    for (const Direction direction : {Direction::kForward, Direction::kBidirectional}) {
      for (const Layout layout : {Layout::kTimeMajor, Layout::kBatchMajor}) {
        for (const bool ragged : {false, true}) {
          for (const bool initial_state : {false, true}) {
            Problem p;
            p.config = kind.config(10, 6, 2);
            p.config.bias = bias;
            p.config.direction = direction;
            p.config.layout = layout;
            p.t = 7;
            p.n = 6;
            if (ragged) p.lengths = {7, 5, 5, 2, 1, 1};
            p.initial_state = initial_state;
            p.seed = 900 + all.size();
            all.push_back(p);
          }
        }
      }
    }
  }
  return all;
}
std::string describe(const Problem& p) {
  return rondo::to_string(p.config) + (p.config.bias == Bias::kNone ? ", no bias" : ", two biases") +
         (p.config.layout == Layout::kBatchMajor ? ", batch-major" : "") +
         (p.lengths.empty() ? "" : ", ragged") + (p.initial_state ? ", h0" : "");
}

// Calls compare(name, of a, of b, whether of backward) for each tensor of two solutions.
template <class T, class Compare>
void for_each_tensor(const RnnConfig& config, const Solution<T>& a, const Solution<T>& b,
                     const Compare& compare) {
  compare("y", a.results.y, b.results.y, false);
  compare("h_n", a.results.h_n, b.results.h_n, false);
  compare("c_n", a.results.c_n, b.results.c_n, false);
  compare("dx", a.gradients.dx, b.gradients.dx, true);
  compare("dh0", a.gradients.dh0, b.gradients.dh0, true);
  compare("dc0", a.gradients.dc0, b.gradients.dc0, true);
  ASSERT_EQ(a.gradients.dparameters.size(), b.gradients.dparameters.size());
  for (const ParameterInfo& info : parameter_layout(config)) {
    const auto of = [&](const Solution<T>& s) {
      const auto first = s.gradients.dparameters.begin() + info.offset;
      return std::vector<T>(first, first + info.shape.count());
    };
    compare("d" + info.name, of(a), of(b), true);
  }
}

template <class T>
void check_against_cpu(Problem p) {
  SCOPED_TRACE(describe(p));
  const Data data = draw_clear_of_kinks<T>(p);
  const Solution<T> cpu = train_by_rnn<T>(p, data, data.upstream);
  p.device = kGpu;
  const Solution<T> there = train_by_rnn<T>(p, data, data.upstream);
  const Solution<T> again = train_by_rnn<T>(p, data, data.upstream);
  const LongestSums sums = longest_sums(p.config, p.t, p.n);
  // Each of the two may be off by what tolerance.h allows.
  const auto expect_close = [&](const std::string& name, const auto& got, const auto& expected,
                                bool backward) {
    ASSERT_EQ(got.size(), expected.size()) << name;
    const auto longest = static_cast<double>(backward ? sums.backward : sums.forward);
    const double allowed = 8 * (backward ? 2 : 1) * std::ceil(std::log2(longest)) * epsilon(p.config.dtype);
    const std::vector<double> g(got.begin(), got.end()), e(expected.begin(), expected.end());
    EXPECT_LE(largest_difference(g, e), allowed * std::max(largest_magnitude(e), 1e-30)) << name;
  };
  const auto expect_same = [](const std::string& name, const auto& second, const auto& first, bool) {
    ASSERT_EQ(second.size(), first.size()) << name;
    if (first.empty()) return;
    EXPECT_EQ(std::memcmp(second.data(), first.data(), first.size() * sizeof(T)), 0)
        << name << " differs from run to run";
  };
  for_each_tensor(p.config, there, cpu, expect_close);
  for_each_tensor(p.config, again, there, expect_same);
}

TEST_P(CudaParity, PyTorchsMatrixAgainstTheCpu) {
  for (const Problem& p : pytorch_matrix(GetParam())) {
    if (p.config.dtype == DType::kF32) check_against_cpu<float>(p);
    if (p.config.dtype == DType::kF64) check_against_cpu<double>(p);
  }
}

}  // namespace
}  // namespace rondo::testing
