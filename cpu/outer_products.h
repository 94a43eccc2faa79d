// Gradients of weights, summed over a whole sequence: by our own kernels or by a CBLAS library.
#pragma once

#include "cpu/kernels/kernels.h"

namespace rondo::cpu {

// Whether a BLAS makes a result [m][n].
template <class T>
bool suits_blas(const Kernels<T>& kernels, std::int64_t m, std::int64_t n);

// c [m][n] += a^T b, a having m columns and b having n. Who does it and how it is cut into tiles hangs on
// sizes and on the machine alone, so that the result does not depend on the number of threads.
template <class T>
void add_outer_products(const Kernels<T>& kernels, const OuterProducts<T>& p, std::int64_t m, std::int64_t n,
                        int threads);

}  // namespace rondo::cpu
