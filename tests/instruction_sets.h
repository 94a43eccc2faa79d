// Runs a test on a named instruction set, and skips it visibly where that is missing.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace rondo::testing {

inline const std::vector<std::string> kInstructionSets = {"scalar", "avx2", "avx512", "neon"};

// Forces an instruction set until the end of the scope.
class ForcedInstructionSet {
 public:
  explicit ForcedInstructionSet(const std::string& name) : available_(cpu::set_isa(name)) {}
  ~ForcedInstructionSet() { cpu::set_isa(""); }
  ForcedInstructionSet(const ForcedInstructionSet&) = delete;
  ForcedInstructionSet& operator=(const ForcedInstructionSet&) = delete;
  bool available() const { return available_; }

 private:
  bool available_;
};

// Why a test is skipped.
inline std::string missing_instruction_set(const std::string& name) {
  std::string have;
  for (const std::string& isa : cpu::available_isas()) have += (have.empty() ? "" : ", ") + isa;
  return name + " is not available on this machine or in this build; there are " + have;
}

}  // namespace rondo::testing
