// The library against the reference with each option, for every cell that has it, element type and
// instruction set, as parity_test does for shapes.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "instruction_sets.h"
#include "option_cases.h"

namespace rondo::testing {
namespace {

class OptionParity : public ::testing::TestWithParam<std::tuple<std::string, CellChoice, DType>> {};

TEST_P(OptionParity, EveryCase) {
  const auto& [isa, cell, dtype] = GetParam();
  const ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << missing_instruction_set(isa);
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  Measured measured;
  int ran = 0;
  for (const OptionCase& c : option_cases()) {
    if (!selected(c.name) || !c.has(cell)) continue;
    SCOPED_TRACE(c.name + " (" + c.reason + "); repeat it with: RONDO_TEST_CASE=" + c.name +
                 " option_parity_test --gtest_filter='*" + test + "'");
    ++ran;
    const Problem p = problem_of(c, cell, dtype);
    if (dtype == DType::kF32) check_problems<float>({p}, true, measured);
    if (dtype == DType::kF64) check_problems<double>({p}, true, measured);
    if (HasFatalFailure()) return;
  }
  if (ran == 0) GTEST_SKIP() << "RONDO_TEST_CASE names no case of " << cell.name;
  measured.print(test);
}

std::string test_name(const ::testing::TestParamInfo<OptionParity::ParamType>& instance) {
  const auto& [isa, cell, dtype] = instance.param;
  return isa + "_" + cell.name + "_" + rondo::to_string(dtype);
}

INSTANTIATE_TEST_SUITE_P(Named, OptionParity,
                         ::testing::Combine(::testing::ValuesIn(kInstructionSets),
                                            ::testing::ValuesIn(cell_choices()),
                                            ::testing::Values(DType::kF32, DType::kF64)),
                         test_name);

}  // namespace
}  // namespace rondo::testing
