// A row-major product as the call of a column-major BLAS that computes it: C' = op(B)' op(A)'.
#pragma once

#include <algorithm>

#include "cuda/runtime.h"

namespace rondo::cuda {

// In the order and meaning of BLAS's arguments.
template <class T>
struct ColumnMajorGemm {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  T* c;
  std::int64_t ldc;
  bool tf32;
};

// A row-major matrix read by columns is its transpose, so the operands change places and keep their flags.
template <class T>
ColumnMajorGemm<T> column_major(const Gemm<T>& g) {
  // BLAS wants a leading dimension of at least the width, of a matrix with one row too.
  const auto leading = [](std::int64_t ld, std::int64_t rows, std::int64_t width) {
    return rows > 1 ? ld : std::max(ld, width);
  };
  return {g.transpose_b,
          g.transpose_a,
          g.n,
          g.m,
          g.k,
          g.b,
          g.transpose_b ? leading(g.ldb, g.n, g.k) : leading(g.ldb, g.k, g.n),
          g.a,
          g.transpose_a ? leading(g.lda, g.k, g.m) : leading(g.lda, g.m, g.k),
          g.c,
          leading(g.ldc, g.m, g.n),
          g.tf32};
}

}  // namespace rondo::cuda
