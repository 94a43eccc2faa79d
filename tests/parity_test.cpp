// The library against the reference: every named shape, cell, element type and instruction set, through
// both interfaces, with each upstream gradient alone and all together.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "cases.h"
#include "instruction_sets.h"

namespace rondo {
namespace {

using testing::Case;
using testing::CellChoice;

class Parity : public ::testing::TestWithParam<std::tuple<std::string, CellChoice, DType>> {};

TEST_P(Parity, EveryCase) {
  const auto& [isa, cell, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  testing::Measured measured;
  int ran = 0;
  for (const Case& c : testing::cases()) {
    if (!testing::selected(c.name)) continue;
    ++ran;
    SCOPED_TRACE(std::string(c.name) + " (" + c.reason + "); repeat it with: RONDO_TEST_CASE=" + c.name +
                 " parity_test --gtest_filter='*" + test + "'");
    const testing::Problem p = problem_of(c, cell, dtype);
    if (dtype == DType::kF32) testing::check_problems<float>({p}, true, measured);
    if (dtype == DType::kF64) testing::check_problems<double>({p}, true, measured);
    if (HasFatalFailure()) return;
  }
  ASSERT_GT(ran, 0) << "RONDO_TEST_CASE names no case";
  measured.print(test);
}

std::string test_name(const ::testing::TestParamInfo<Parity::ParamType>& instance) {
  const auto& [isa, cell, dtype] = instance.param;
  return isa + "_" + cell.name + "_" + rondo::to_string(dtype);
}

INSTANTIATE_TEST_SUITE_P(Named, Parity,
                         ::testing::Combine(::testing::ValuesIn(testing::kInstructionSets),
                                            ::testing::ValuesIn(testing::cell_choices()),
                                            ::testing::Values(DType::kF32, DType::kF64)),
                         test_name);

}  // namespace
}  // namespace rondo
