// Whole-sequence products by a CBLAS library.
#pragma once

#include <cstdint>

namespace rondo::cpu {

// C [m, n] = op(A) B + (accumulate ? C : 0), row-major. op(A) is [m, k], B is [k, n].
template <class T>
struct Gemm {
  bool transpose_a = false;
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t lda = 0;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;
};

// Cut into tiles by its sizes alone, so that the result does not depend on the number of threads.
template <class T>
void gemm(const Gemm<T>& product, int threads);

}  // namespace rondo::cpu
