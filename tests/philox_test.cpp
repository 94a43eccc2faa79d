// The random generator of the masks against the vectors that its authors publish with Random123.
#include "core/philox.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

using Four = std::array<std::uint32_t, 4>;

TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Digits of pi.
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UnitUniformStaysBelowOneAndIsExactInF32) {
  EXPECT_EQ(unit_uniform(0), 0);
  EXPECT_LT(unit_uniform(0xffffffff), 1);
  EXPECT_EQ(static_cast<double>(static_cast<float>(unit_uniform(0xffffffff))), unit_uniform(0xffffffff));
  EXPECT_EQ(unit_uniform(0x80000000), 0.5);
}

}  // namespace
}  // namespace rondo
