// Float16 and BFloat16 against tables of their values, made from IEEE 754's definition by ldexp alone.
#include "rondo/half.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "random_fill.h"

namespace rondo::testing {
namespace {

static_assert(sizeof(Float16) == 2 && std::is_trivial_v<Float16> && std::is_trivial_v<BFloat16>);
static_assert(Float16(-1.5F).bits() == 0xBE00 &&
              static_cast<float>(BFloat16::from_bits(0x4049)) == 3.140625F);

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
class Half : public ::testing::Test {
 protected:
  static constexpr int kFraction = std::is_same_v<T, Float16> ? 10 : 7;
  static constexpr int kBias = std::is_same_v<T, Float16> ? 15 : 127;
  static constexpr std::uint32_t kInfinityBits = 0x7FFF >> kFraction << kFraction;

  // All that are finite and not negative, in order: value i has the bits i.
  static std::vector<double> finite() {
    std::vector<double> values;
    for (std::uint32_t bits = 0; bits < kInfinityBits; ++bits) {
      const int exponent = static_cast<int>(bits >> kFraction);
      const double fraction = bits % (1U << kFraction);
      const double significand = std::ldexp(fraction, -kFraction) + (exponent == 0 ? 0 : 1);
      values.push_back(std::ldexp(significand, std::max(exponent, 1) - kBias));
    }
    return values;
  }
  // The bits of the nearest of them, of two equally near ones the even; infinity stands one step above the
  // largest.
  static std::uint32_t nearest(double magnitude, const std::vector<double>& values) {
    const auto above = std::lower_bound(values.begin(), values.end(), magnitude);
    const auto up = static_cast<std::uint32_t>(above - values.begin());
    if (up == 0) return 0;
    const double low = values[up - 1], high = up < values.size() ? *above : 2 * low - values[up - 2];
    // Where the two are close these differences are exact, since magnitude is within a factor of two of both.
    const double below = magnitude - low, beyond = high - magnitude;
    if (below == beyond) return up % 2 == 0 ? up : up - 1;
    return below < beyond ? up - 1 : up;
  }
  template <class Real>
  static void expect_rounded(Real value, const std::vector<double>& values) {
    const std::uint32_t expected = nearest(std::abs(static_cast<double>(value)), values);
    ASSERT_EQ(T(value).bits(), expected | (std::signbit(value) ? 0x8000U : 0U)) << std::hexfloat << value;
  }
};
using Types = ::testing::Types<Float16, BFloat16>;
TYPED_TEST_SUITE(Half, Types);

TYPED_TEST(Half, EveryPatternIsItsValueAndComesBack) {
  const std::vector<double> values = this->finite();
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = TypeParam::from_bits(static_cast<std::uint16_t>(bits));
    const float wide = static_cast<float>(half);
    const std::uint32_t magnitude = bits & 0x7FFF;
    ASSERT_EQ(std::signbit(wide), bits >= 0x8000) << bits;
    if (magnitude > this->kInfinityBits) {
      ASSERT_TRUE(std::isnan(wide) && std::isnan(static_cast<double>(half))) << bits;
      ASSERT_FALSE(half == half) << bits;
      const std::uint32_t quiet = bits | 1U << (this->kFraction - 1);
      ASSERT_EQ(TypeParam(wide).bits(), quiet);
      continue;
    }
    const double expected = magnitude == this->kInfinityBits ? kInfinity : values[magnitude];
    ASSERT_EQ(std::abs(wide), expected) << bits;
    ASSERT_EQ(static_cast<double>(half), wide) << bits;
    ASSERT_EQ(TypeParam(wide).bits(), bits);
    ASSERT_EQ(TypeParam(static_cast<double>(wide)).bits(), bits);
  }
}

// Halfway between two neighbours, and the floats and doubles next to that.
TYPED_TEST(Half, TiesGoToEvenAndTheirNeighboursDoNot) {
  const std::vector<double> values = this->finite();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double low = values[i], high = i + 1 < values.size() ? values[i + 1] : 2 * low - values[i - 1];
    const double tie = low + (high - low) / 2;
    const auto single = static_cast<float>(tie);
    ASSERT_EQ(single, tie);
    for (double sign : {1.0, -1.0}) {
      for (double to : {0.0, kInfinity}) {
        this->expect_rounded(sign * std::nextafter(tie, to), values);
        this->expect_rounded(static_cast<float>(sign) * std::nextafter(single, static_cast<float>(to)),
                             values);
      }
      this->expect_rounded(sign * tie, values);
      this->expect_rounded(static_cast<float>(sign) * single, values);
    }
  }
}

TYPED_TEST(Half, RandomNumbersOfEveryMagnitudeRoundToTheNearest) {
  const std::vector<double> values = this->finite();
  RandomFill random(1);
  for (int i = 0; i < 500000; ++i) {
    const auto single = std::bit_cast<float>(static_cast<std::uint32_t>(random.word() >> 32));
    if (!std::isnan(single)) this->expect_rounded(single, values);
    const auto any = std::bit_cast<double>(random.word());
    if (!std::isnan(any)) this->expect_rounded(any, values);
    // Most doubles are out of range: these are in it, subnormals included.
    const int exponent =
        static_cast<int>(random.integer(-this->kBias - this->kFraction - 2, this->kBias + 1));
    this->expect_rounded(std::ldexp(random.signed_unit(), exponent), values);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(Half, InfinitiesNaNsAndZeros) {
  EXPECT_EQ(static_cast<double>(TypeParam(kInfinity)), kInfinity);
  EXPECT_EQ(static_cast<double>(TypeParam(-kInfinity)), -kInfinity);
  EXPECT_EQ(static_cast<double>(TypeParam(std::numeric_limits<float>::infinity())), kInfinity);
  for (std::uint64_t payload : {std::uint64_t{1}, std::uint64_t{1} << 51, (std::uint64_t{1} << 52) - 1}) {
    const auto nan = std::bit_cast<double>(std::uint64_t{0x7FF} << 52 | payload);
    EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(nan)))) << payload;
  }
  for (std::uint32_t payload : {1U, 1U << 22, (1U << 23) - 1}) {
    const auto nan = std::bit_cast<float>(0x7F800000U | payload);
    EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(nan)))) << payload;
  }
  EXPECT_EQ(TypeParam(-0.0).bits(), 0x8000);
  EXPECT_TRUE(TypeParam(-0.0) == TypeParam(0.0F));
  EXPECT_FALSE(TypeParam(1.0) == TypeParam(2.0));
}

// A double that lies just above a tie, by less than a float shows: rounding by way of float loses it.
TYPED_TEST(Half, DoublesRoundOnce) {
  const double tie = 1 + std::ldexp(1.0, -this->kFraction - 1);
  EXPECT_EQ(TypeParam(tie).bits(), TypeParam(1.0).bits());
  EXPECT_EQ(TypeParam(tie + 0x1p-40).bits(), TypeParam(1.0).bits() + 1);
}

}  // namespace
}  // namespace rondo::testing
