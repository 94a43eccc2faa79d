// The floating element types, for tests that run with each: by name, and what their rounding is like.
#pragma once

#include <limits>

#include "rondo/tensor.h"

namespace rondo::testing {

// Calls f(T()) with the type that dtype names.
template <class F>
auto with_type(DType dtype, const F& f) {
  if (dtype == DType::kF16) return f(Float16());
  if (dtype == DType::kBf16) return f(BFloat16());
  return dtype == DType::kF64 ? f(double()) : f(float());
}

inline double rounded_to(DType dtype, double value) {
  return with_type(dtype, [&](auto type) { return static_cast<double>(static_cast<decltype(type)>(value)); });
}

// The distance from 1 to the next number, and the smallest normal number.
template <class T>
constexpr double kEpsilon = std::numeric_limits<T>::epsilon();
template <>
inline constexpr double kEpsilon<Float16> = 0x1p-10;
template <>
inline constexpr double kEpsilon<BFloat16> = 0x1p-7;
template <class T>
constexpr double kSmallest = std::numeric_limits<T>::min();
template <>
inline constexpr double kSmallest<Float16> = 0x1p-14;
template <>
inline constexpr double kSmallest<BFloat16> = 0x1p-126;

inline double epsilon(DType dtype) {
  return with_type(dtype, [](auto type) { return kEpsilon<decltype(type)>; });
}

}  // namespace rondo::testing
