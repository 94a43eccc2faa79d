// The library against the reference on random small configurations, all options together; arrays that may
// be absent or share memory are so by chance.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "instruction_sets.h"
#include "random_problems.h"

namespace rondo {
namespace {

constexpr std::uint64_t kFirstSeed = 1000;
constexpr std::uint64_t kConfigurations = 120;  // for each instruction set and element type
constexpr std::uint64_t kCalls = 3;

class RandomConfigurations : public ::testing::TestWithParam<std::tuple<std::string, DType>> {};

TEST_P(RandomConfigurations, MatchTheReference) {
  const auto& [isa, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  testing::Measured measured;
  for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kConfigurations; ++seed) {
    if (!testing::selected(std::to_string(seed))) continue;
    SCOPED_TRACE("repeat it with: RONDO_TEST_CASE=" + std::to_string(seed) +
                 " random_configurations_test --gtest_filter='*" + test + "'");
    const std::vector<testing::Problem> calls = testing::random_problems(seed, dtype, kCalls);
    if (dtype == DType::kF32) testing::check_problems<float>(calls, false, measured);
    if (dtype == DType::kF64) testing::check_problems<double>(calls, false, measured);
    if (HasFailure()) return;  // one configuration is enough to look at
  }
  std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(kFirstSeed),
              static_cast<unsigned long long>(kFirstSeed + kConfigurations - 1));
  measured.print(test);
}

INSTANTIATE_TEST_SUITE_P(Seeded, RandomConfigurations,
                         ::testing::Combine(::testing::ValuesIn(testing::kInstructionSets),
                                            ::testing::Values(DType::kF32, DType::kF64)),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) + "_" +
                                  rondo::to_string(std::get<1>(instance.param));
                         });

}  // namespace
}  // namespace rondo
