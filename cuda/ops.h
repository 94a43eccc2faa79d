// The Ops policy of core/cells on single numbers, float or double, and the cells with it: what one thread of
// a pointwise kernel computes.
#pragma once

#include <cmath>

#include "core/cell_options.h"
#include "cuda/runtime.h"

// Not inlined on a device: the values of a function and the bounds that backward holds them against have to
// be of one piece of code, whatever a kernel around it would have the compiler fuse.
#if defined(__CUDACC__)
#define RONDO_CELL_CALL __host__ __device__ __noinline__
#else
#define RONDO_CELL_CALL inline
#endif

namespace rondo::cuda {

#include "core/cells/functions-inl.h"

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
  RONDO_CELL_FN T add(T a, T b) const { return a + b; }
  RONDO_CELL_FN T div(T a, T b) const { return a / b; }
  RONDO_CELL_FN T abs(T a) const { return std::fabs(a); }
  RONDO_CELL_FN T set(T value) const { return value; }
  RONDO_CELL_FN T one() const { return T(1); }
  RONDO_CELL_FN T clamp(T x, T most) const { return x > most ? most : x < -most ? -most : x; }
  RONDO_CELL_FN T where_positive(T condition, T yes, T no) const { return condition > T(0) ? yes : no; }
  // value where low < x < high, else 0.
  RONDO_CELL_FN T where_between(T x, T low, T high, T value) const {
    return x > low && x < high ? value : T(0);
  }
  RONDO_CELL_FN T expm1(T x) const { return std::expm1(x); }
  // ln(1 + e^x)
  RONDO_CELL_FN T softplus(T x) const { return max_zero(x) + std::log1p(std::exp(-std::fabs(x))); }
  RONDO_CELL_FN T max_zero(T a) const { return a < T(0) ? T(0) : a; }
  RONDO_CELL_FN T where_positive(T condition, T value) const { return condition > T(0) ? value : T(0); }
  // Derivatives of the two functions below, by the functions' values.
  RONDO_CELL_FN T sigmoid_slope(T y) const { return y * (T(1) - y); }
  RONDO_CELL_FN T tanh_slope(T y) const { return T(1) - y * y; }
  // Where e^-x overflows to infinity this is 0.
  RONDO_CELL_FN T sigmoid(T x) const { return T(1) / (T(1) + std::exp(-x)); }
  RONDO_CELL_FN T tanh(T x) const { return std::tanh(x); }
};

// What the cells call f: at compile time, or by a configuration's options.
template <bool kGeneral, class T>
RONDO_CELL_FN auto functions([[maybe_unused]] const CellOptions<T>& options) {
  if constexpr (kGeneral) {
    return ChosenFunctions<T>{options};
  } else {
    return UsualFunctions();
  }
}

// A pass's options without the bounds of clipped functions, which the device alone can compute.
template <class T>
CellOptions<T> unbounded_options(const RnnConfig& config, bool training) {
  const auto none = [](const CellFunction<T>&, T x) { return x; };
  return cell_options<T>(config, training ? Phase::kTraining : Phase::kInference, none);
}

// And with them, as backward asks for slopes.
template <class T>
RONDO_CELL_FN void bound(CellFunction<T>& f, T clip) {
  const T below = activate(Ops<T>(), f, -clip), above = activate(Ops<T>(), f, clip);
  f.low = below < above ? below : above;
  f.high = below < above ? above : below;
}
template <bool kGeneral, class T>
RONDO_CELL_FN CellOptions<T> bounded(CellOptions<T> options) {
  if constexpr (kGeneral) {
    if (options.clip > 0) {
      bound(options.gate, options.clip);
      bound(options.candidate, options.clip);
    }
  }
  return options;
}

}  // namespace rondo::cuda
