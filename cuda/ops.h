// The Ops policy of core/cells on single numbers, float or double, and the cells with it: what one thread of
// a pointwise kernel computes.
#pragma once

#include <cmath>

#include "cuda/runtime.h"

namespace rondo::cuda {

#include "core/cells/gru-inl.h"
#include "core/cells/lstm-inl.h"
#include "core/cells/simple-inl.h"

// exp, tanh and fma are std's, which nvcc takes from its own library: at most 2 ulp each (CUDA C++
// Programming Guide, mathematical functions).
template <class T>
struct Ops {
  RONDO_CELL_FN T mul(T a, T b) const { return a * b; }
  RONDO_CELL_FN T sub(T a, T b) const { return a - b; }
  RONDO_CELL_FN T fma(T a, T b, T c) const { return std::fma(a, b, c); }
  RONDO_CELL_FN T max_zero(T a) const { return a < T(0) ? T(0) : a; }
  RONDO_CELL_FN T where_positive(T condition, T value) const { return condition > T(0) ? value : T(0); }
  // Derivatives of the two functions below, by the functions' values.
  RONDO_CELL_FN T sigmoid_slope(T y) const { return y * (T(1) - y); }
  RONDO_CELL_FN T tanh_slope(T y) const { return T(1) - y * y; }
  // Where e^-x overflows to infinity this is 0.
  RONDO_CELL_FN T sigmoid(T x) const { return T(1) / (T(1) + std::exp(-x)); }
  RONDO_CELL_FN T tanh(T x) const { return std::tanh(x); }
};

}  // namespace rondo::cuda
