// Tensors of any floating type from doubles and back, and the comparison that the golden tests share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "element_types.h"

namespace rondo::testing {

inline void store(TensorView view, std::span<const double> values) {
  with_type(view.dtype, [&](auto type) {
    using T = decltype(type);
    std::transform(values.begin(), values.end(), view.span<T>().begin(),
                   [](double v) { return static_cast<T>(v); });
  });
}

inline Tensor make_tensor(DType dtype, const Shape& shape, std::span<const double> values) {
  Tensor tensor(dtype, shape);
  store(tensor, values);
  return tensor;
}

inline std::vector<double> values_of(ConstTensorView view) {
  return with_type(view.dtype, [&](auto type) {
    std::vector<double> values;
    for (const auto element : view.span<decltype(type)>()) values.push_back(static_cast<double>(element));
    return values;
  });
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
