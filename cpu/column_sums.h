// Sums over the rows of a matrix, for gradients that all rows share.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rondo::cpu {

template <class T>
struct Columns {
  const T* data;
  std::int64_t ld;
};

// to[j] += sum of column j of `from`, or of its products with `times`, over `rows` rows, and so also[j];
// summed in blocks, which keeps long sums exact enough. times.data and also may be null.
template <class T>
void add_column_sums(T* to, Columns<T> from, Columns<T> times, std::int64_t rows, std::int64_t width,
                     T* also = nullptr) {
  constexpr std::int64_t kColumns = 64, kRows = 64;
  T part[kColumns], sum[kColumns];
  for (std::int64_t j = 0; j < width; j += kColumns) {
    const std::int64_t columns = std::min(kColumns, width - j);
    std::fill_n(sum, columns, T(0));
    for (std::int64_t r = 0; r < rows; r += kRows) {
      std::fill_n(part, columns, T(0));
      for (std::int64_t i = r; i < std::min(r + kRows, rows); ++i) {
        const T* row = from.data + i * from.ld + j;
        const T* factors = times.data == nullptr ? nullptr : times.data + i * times.ld + j;
        for (std::int64_t k = 0; k < columns; ++k)
          part[k] += factors == nullptr ? row[k] : row[k] * factors[k];
      }
      for (std::int64_t k = 0; k < columns; ++k) sum[k] += part[k];
    }
    for (std::int64_t k = 0; k < columns; ++k) to[j + k] += sum[k];
    for (std::int64_t k = 0; also != nullptr && k < columns; ++k) also[j + k] += sum[k];
  }
}

template <class T>
void add_column_sums(T* to, Columns<T> from, std::int64_t rows, std::int64_t width) {
  add_column_sums(to, from, Columns<T>{nullptr, 0}, rows, width);
}

}  // namespace rondo::cpu
