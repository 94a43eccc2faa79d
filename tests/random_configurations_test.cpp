// The library against the reference on random small configurations, all options together.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "cases.h"
#include "instruction_sets.h"
#include "random_fill.h"

namespace rondo {
namespace {

using testing::RandomFill;

constexpr std::uint64_t kFirstSeed = 1000;
constexpr std::uint64_t kConfigurations = 120;  // for each instruction set and element type

testing::Problem random_problem(std::uint64_t seed, DType dtype) {
  RandomFill r(seed);
  testing::Problem p;
  p.seed = seed;
  p.config = config_of(testing::cell_choices()[r.word() % testing::cell_choices().size()], dtype);
  p.config.input_size = r.integer(1, 20);
  p.config.hidden_size = r.integer(1, 20);
  p.config.num_layers = r.integer(1, 3);
  p.config.direction = static_cast<Direction>(r.integer(0, 2));
  p.config.merge = static_cast<Merge>(r.integer(0, 4));
  p.config.bias = static_cast<Bias>(r.integer(0, 2));
  p.config.layout = static_cast<Layout>(r.integer(0, 1));
  p.config.outputs = static_cast<Outputs>(r.integer(0, 1));
  p.config.gate_masks = static_cast<GateMasks>(r.integer(0, 1));
  p.config.layer_masks = static_cast<LayerMasks>(r.integer(0, 1));
  p.t = r.integer(1, 8);
  p.n = r.integer(0, 12);
  if (r.coin()) {
    for (std::int64_t row = 0; row < p.n; ++row) p.lengths.push_back(r.integer(0, p.t));
  }
  p.lengths_i64 = r.coin();
  p.initial_state = r.coin();
  p.input_masks = r.coin();
  p.recurrent_masks = r.coin();
  p.layer_masks = r.coin() && p.config.num_layers > 1;
  // A supplied mask does not need its rate, and replaces the drawn one where there is a rate.
  if (p.input_masks && r.coin()) p.config.dropout = 0.25;
  if (p.recurrent_masks && r.coin()) p.config.recurrent_dropout = 0.5;
  if (p.layer_masks && r.coin()) p.config.layer_dropout = 0.75;
  p.one_element_off = r.coin();
  p.spare_t = r.integer(0, 3);
  p.spare_n = r.integer(0, 3);
  return p;
}

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
    const testing::Problem p = random_problem(seed, dtype);
    if (dtype == DType::kF32) testing::check_problem<float>(p, false, measured);
    if (dtype == DType::kF64) testing::check_problem<double>(p, false, measured);
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
