// The pointwise halves of a step of an LSTM with options: peepholes, a projection, clips, zoneout, functions.
#pragma once

#include "cuda/backward_steps-inl.h"

namespace rondo::cuda {

// Zeros where there are none.
template <class T>
RONDO_CELL_FN Peepholes<T> peepholes(const T* weights, std::int64_t h, std::int64_t unit) {
  if (weights == nullptr) return {T(0), T(0), T(0)};
  return {weights[unit], weights[h + unit], weights[2 * h + unit]};
}

template <class T>
struct LstmGeneralForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T i = step.sum(row, unit, 0) + step.input(row, unit, 0);
    T f = step.sum(row, unit, 1) + step.input(row, unit, 1);
    T g = step.sum(row, unit, 2) + step.input(row, unit, 2);
    T o = step.sum(row, unit, 3) + step.input(row, unit, 3);
    T& state = step.c[row * step.h + unit];
    const T c_prev = state;
    T c, h;
    lstm_general_forward(Ops<T>(), step.options, peepholes(step.peephole, step.h, unit), i, f, g, o, c_prev,
                         c, h);
    c = zoneout_forward(Ops<T>(), step.update_c(row, unit), c_prev, c);
    state = c;
    if (step.c_out != nullptr) step.c_out[row * step.ld_c_out + unit] = c;
    if (step.training) {
      step.gate(row, unit, 0) = i;
      step.gate(row, unit, 1) = f;
      step.gate(row, unit, 2) = g;
      step.gate(row, unit, 3) = o;
      step.c_saved[row * step.ld_c_saved + unit] = c;
    }
    if (step.unprojected != nullptr) {
      step.unprojected[row * step.ld_unprojected + unit] = h;
    } else {
      step.template store_state<true>(row, unit, h);
    }
  }
};

// After the product with weight_hr, whose result lies in sums.
template <class T>
struct ProjectedForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    step.template store_state<true>(row, unit, step.sums[row * step.s + unit]);
  }
};

// Before the product that takes the gradient back through weight_hr.
template <class T>
struct ProjectedBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    T kept;
    step.d_projected[row * step.ld_projected + unit] = step.template cell_gradient<true>(row, unit, kept);
    step.carry[row * step.s + unit] = kept;
  }
};

template <class T>
struct LstmGeneralBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T dh;
    if (step.d_unprojected != nullptr) {
      dh = step.d_unprojected[row * step.h + unit];
    } else {
      if (!step.lives(row, unit)) return;
      T kept;
      dh = step.template cell_gradient<true>(row, unit, kept);
      step.carry[row * step.s + unit] = kept;
    }
    T& state = step.dc[row * step.h + unit];
    T dc = state;
    if (step.dc_out != nullptr) dc += step.dc_out[row * step.ld_dc_out + unit];
    const T kept_c = zoneout_backward(Ops<T>(), step.update_c(row, unit), dc);
    const CellOptions<T> options = bounded<true>(step.options);
    T &i = step.gate(row, unit, 0), &f = step.gate(row, unit, 1), &o = step.gate(row, unit, 3);
    const T c_prev = step.previous_c(row, unit);
    T c;
    lstm_general_backward(Ops<T>(), options, peepholes(step.peephole, step.h, unit), i, f,
                          step.gate(row, unit, 2), o, c_prev, dh, dc, c);
    state = dc + kept_c;
    if (step.peephole == nullptr) return;
    T* sums = step.peephole_sums + row * 3 * step.h + unit;
    sums[0] += i * c_prev;
    sums[step.h] += f * c_prev;
    sums[2 * step.h] += o * c;
  }
};

}  // namespace rondo::cuda
