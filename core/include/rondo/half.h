// The element types of 16 bits, Float16 and BFloat16, as values that a program stores and converts.
#pragma once

#include <cstdint>
#include <type_traits>

// Before functions that nvcc compiles for either side.
#if defined(__CUDACC__)
#define RONDO_HOST_DEVICE __host__ __device__
#else
#define RONDO_HOST_DEVICE
#endif

namespace rondo {

// A sign, 15 - kFraction bits of exponent and kFraction bits of fraction, laid out and rounded as IEEE 754
// says: to nearest, ties to even, subnormals and infinities included; a NaN stays one, made quiet. There is
// no arithmetic: compute in float. Float and double convert each in a single rounding.
template <int kFraction>
class ShortFloat {
 public:
  ShortFloat() = default;  // no value yet, as a float
  RONDO_HOST_DEVICE constexpr explicit ShortFloat(float value) : bits_(rounded(value)) {}
  RONDO_HOST_DEVICE constexpr explicit ShortFloat(double value) : bits_(rounded(value)) {}
  // Exact.
  RONDO_HOST_DEVICE constexpr explicit operator float() const;
  RONDO_HOST_DEVICE constexpr explicit operator double() const { return static_cast<float>(*this); }

  RONDO_HOST_DEVICE static constexpr ShortFloat from_bits(std::uint16_t bits) {
    ShortFloat value;
    value.bits_ = bits;
    return value;
  }
  RONDO_HOST_DEVICE constexpr std::uint16_t bits() const { return bits_; }
  // As floats compare: -0 equals 0, and a NaN nothing.
  RONDO_HOST_DEVICE friend constexpr bool operator==(ShortFloat a, ShortFloat b) {
    return static_cast<float>(a) == static_cast<float>(b);
  }

 private:
  static constexpr int kBias = (1 << (14 - kFraction)) - 1;
  static constexpr std::uint16_t kInfinity = 0x7FFF >> kFraction << kFraction;
  template <class Real>
  RONDO_HOST_DEVICE static constexpr std::uint16_t rounded(Real value);

  std::uint16_t bits_;
};

using Float16 = ShortFloat<10>;  // binary16: 2^-24 to 65,504
using BFloat16 = ShortFloat<7>;  // the upper half of a float: its range, 8 significant bits

template <int kFraction>
RONDO_HOST_DEVICE constexpr ShortFloat<kFraction>::operator float() const {
  const std::uint32_t sign = std::uint32_t{bits_} >> 15 << 31, magnitude = bits_ & 0x7FFF;
  const std::uint32_t exponent = magnitude >> kFraction;
  std::uint32_t wide = magnitude << (23 - kFraction);
  if (magnitude >= kInfinity) {
    wide |= 0x7F800000;
  } else if (exponent != 0) {
    wide += static_cast<std::uint32_t>(127 - kBias) << 23;
  } else if (kBias != 127) {  // a subnormal, in units of 2^(1 - bias - kFraction): a normal float
    constexpr auto kUnit = static_cast<std::uint32_t>(127 + 1 - kBias - kFraction) << 23;
    wide =
        __builtin_bit_cast(std::uint32_t, static_cast<float>(magnitude) * __builtin_bit_cast(float, kUnit));
  }
  return __builtin_bit_cast(float, sign | wide);
}

template <int kFraction>
template <class Real>
RONDO_HOST_DEVICE constexpr std::uint16_t ShortFloat<kFraction>::rounded(Real value) {
  using Bits = std::conditional_t<std::is_same_v<Real, float>, std::uint32_t, std::uint64_t>;
  constexpr int kWidth = sizeof(Bits) * 8, kRealFraction = kWidth == 32 ? 23 : 52;
  constexpr int kRealMost = kWidth == 32 ? 255 : 2047;  // the exponent of infinities and NaNs
  constexpr Bits kOne = Bits{1} << kRealFraction;
  const Bits bits = __builtin_bit_cast(Bits, value), fraction = bits & (kOne - 1);
  const auto sign = static_cast<std::uint16_t>(bits >> (kWidth - 1) << 15);
  const int field = static_cast<int>(bits >> kRealFraction) & kRealMost;
  const int exponent = (field == 0 ? 1 : field) - kRealMost / 2 + kBias;  // by this type's bias
  if (field == kRealMost && fraction != 0) {
    const auto payload = static_cast<std::uint16_t>(fraction >> (kRealFraction - kFraction));
    return sign | kInfinity | 1 << (kFraction - 1) | payload;
  }
  if (exponent >= kInfinity >> kFraction) return sign | kInfinity;
  // Bits to drop: those that this type has not, and below its normal numbers one more for each power of two.
  // All beyond the last but one drop alike: what is left is less than half a unit.
  int drop = kRealFraction - kFraction + (exponent < 1 ? 1 - exponent : 0);
  if (drop > kRealFraction + 2) drop = kRealFraction + 2;
  const Bits significand = field == 0 ? fraction : fraction | kOne;
  const Bits rest = significand & ((Bits{1} << drop) - 1), half = Bits{1} << (drop - 1);
  const auto kept = static_cast<int>(significand >> drop);
  const int up = rest > half || (rest == half && kept % 2 != 0) ? 1 : 0;
  // The leading one of a normal number, and a carry out of the fraction, count as one in the exponent.
  return static_cast<std::uint16_t>(sign |
                                    (kept + up + ((exponent < 1 ? 1 : exponent) - 1) * (1 << kFraction)));
}

}  // namespace rondo
