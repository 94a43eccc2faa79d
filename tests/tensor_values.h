// Tensors of either type from doubles and back, and the comparison that the golden tests share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "rondo/tensor.h"

namespace rondo::testing {

inline void store(TensorView view, std::span<const double> values) {
  if (view.dtype == DType::kF64) {
    std::copy(values.begin(), values.end(), view.span<double>().begin());
  } else {
    std::transform(values.begin(), values.end(), view.span<float>().begin(),
                   [](double v) { return static_cast<float>(v); });
  }
}

inline Tensor make_tensor(DType dtype, const Shape& shape, std::span<const double> values) {
  Tensor tensor(dtype, shape);
  store(tensor, values);
  return tensor;
}

inline std::vector<double> values_of(ConstTensorView view) {
  if (view.dtype == DType::kF64) {
    const auto v = view.span<double>();
    return {v.begin(), v.end()};
  }
  const auto v = view.span<float>();
  return {v.begin(), v.end()};
}

inline double epsilon(DType dtype) {
  return dtype == DType::kF64 ? std::numeric_limits<double>::epsilon()
                              : static_cast<double>(std::numeric_limits<float>::epsilon());
}

inline double largest_magnitude(std::span<const double> values) {
  double largest = 0;
  for (double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

// The largest |got - expected|; infinity when the sizes differ or got holds a NaN.
inline double largest_difference(std::span<const double> got, std::span<const double> expected) {
  if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(got[i] - expected[i]);
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
  }
  return largest;
}

}  // namespace rondo::testing
