// Small networks with random data, and comparisons, for tests of how calls relate to one another.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "cases.h"
#include "random_fill.h"
#include "rondo/rondo.h"
#include "tensor_values.h"
#include "tolerance.h"

namespace rondo::testing {

inline Tensor random_tensor(DType dtype, const Shape& shape, std::uint64_t seed, double scale = 1) {
  return make_tensor(dtype, shape, RandomFill(seed).values(shape.count(), scale, dtype));
}
inline Tensor copy_of(ConstTensorView view) { return make_tensor(view.dtype, view.shape, values_of(view)); }

inline bool same_bits(ConstTensorView a, ConstTensorView b) {
  if (a.absent() || b.absent()) return a.absent() == b.absent();
  const std::int64_t bytes = a.shape.count() * element_bytes(a.dtype);
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::memcmp(a.data, b.data, static_cast<std::size_t>(bytes)) == 0;
}

// Two results of the library that differ by rounding alone: each may be off by what tolerance.h allows.
inline void expect_near(ConstTensorView got, ConstTensorView expected, const RnnConfig& config,
                        const std::string& what, bool backward = false) {
  ASSERT_EQ(to_string(got.shape), to_string(expected.shape)) << what;
  const LongestSums sums = longest_sums(config, expected.shape[0], expected.shape[1]);
  const auto longest = static_cast<double>(backward ? sums.backward : sums.forward);
  const double allowed = 8 * (backward ? 2 : 1) * std::ceil(std::log2(longest)) * epsilon(config.dtype);
  const std::vector<double> e = values_of(expected);
  EXPECT_LE(largest_difference(values_of(got), e), allowed * std::max(largest_magnitude(e), 1e-30)) << what;
}

// Steps first..first+count-1 of a time-major tensor, without a copy.
inline ConstTensorView steps_of(ConstTensorView x, std::int64_t first, std::int64_t count) {
  const std::int64_t step_bytes = x.shape[1] * x.shape[2] * element_bytes(x.dtype);
  return {
      static_cast<const std::byte*>(x.data) + first * step_bytes, x.dtype, {count, x.shape[1], x.shape[2]}};
}

// [A, B, C] to [B, A, C].
inline Tensor transposed(ConstTensorView x) {
  const std::vector<double> v = values_of(x);
  std::vector<double> out(v.size());
  const std::int64_t a = x.shape[0], b = x.shape[1], c = x.shape[2];
  for (std::int64_t i = 0; i < a; ++i) {
    for (std::int64_t j = 0; j < b; ++j)
      std::copy_n(v.begin() + (i * b + j) * c, c, out.begin() + (j * a + i) * c);
  }
  return make_tensor(x.dtype, {b, a, c}, out);
}

// Time reversed, row by row within each row's own length; the padding stays.
inline Tensor reversed(ConstTensorView x, const std::vector<std::int32_t>& lengths) {
  const std::vector<double> v = values_of(x);
  std::vector<double> out = v;
  const std::int64_t n = x.shape[1], c = x.shape[2];
  for (std::int64_t row = 0; row < n; ++row) {
    for (std::int64_t t = 0; t < lengths[row]; ++t) {
      const std::int64_t from = lengths[row] - 1 - t;
      std::copy_n(v.begin() + (from * n + row) * c, c, out.begin() + (t * n + row) * c);
    }
  }
  return make_tensor(x.dtype, x.shape, out);
}

// One cell and element type: most tests here run for each.
struct NetworkKind {
  CellChoice cell;
  DType dtype;

  RnnConfig config(std::int64_t i, std::int64_t h, std::int64_t layers = 1) const {
    RnnConfig c = config_of(cell, dtype);
    c.input_size = i;
    c.hidden_size = h;
    c.num_layers = layers;
    return c;
  }
  bool lstm() const { return cell.cell == Cell::kLstm; }
};
inline std::ostream& operator<<(std::ostream& out, const NetworkKind& k) {
  return out << k.cell.name << "_" << rondo::to_string(k.dtype);
}
inline std::vector<NetworkKind> network_kinds() {
  std::vector<NetworkKind> all;
  for (const CellChoice& cell : cell_choices()) {
    for (DType dtype : {DType::kF32, DType::kF64}) all.push_back({cell, dtype});
  }
  return all;
}
class EachNetwork : public ::testing::TestWithParam<NetworkKind> {};
inline std::string kind_name(const ::testing::TestParamInfo<NetworkKind>& instance) {
  return ::testing::PrintToString(instance.param);
}

}  // namespace rondo::testing
