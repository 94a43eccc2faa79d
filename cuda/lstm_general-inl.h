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
    T c_new;
    lstm_gates_forward(Ops<T>(), step.options, peepholes(step.peephole, step.h, unit), i, f, g, o, c_prev,
                       c_new);
    state = zoneout_forward(Ops<T>(), step.update_c(row, unit), c_prev, c_new);
    if (step.c_out != nullptr) step.c_out[row * step.ld_c_out + unit] = state;
    if (step.training) {
      step.gate(row, unit, 0) = i;
      step.gate(row, unit, 1) = f;
      step.gate(row, unit, 2) = g;
      step.c_saved[row * step.ld_c_saved + unit] = state;
    }
    if (step.training || step.c_read != nullptr) step.gate(row, unit, 3) = o;
    if (step.c_read != nullptr) {
      step.c_read[row * step.h + unit] = c_new;
      return;
    }
    const T h = lstm_output_forward(Ops<T>(), step.options, o, c_new);
    if (step.unprojected != nullptr) {
      step.unprojected[row * step.ld_unprojected + unit] = h;
    } else {
      step.template store_state<true>(row, unit, h);
    }
  }
};

// After the normalisation of c.
template <class T>
struct LstmNormalisedForward {
  ForwardStep<T> step;
  const T* shift;  // norm_c_bias
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    const T c = step.c_read[row * step.h + unit] + shift[unit];
    const T h = lstm_output_forward(Ops<T>(), step.options, step.gate(row, unit, 3), c);
    step.template store_state<true>(row, unit, h);
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

// Before the normalisation of c is taken back.
template <class T>
struct LstmNormalisedBackward {
  BackwardStep<T> step;
  const T *factor, *shift;  // norm_c, norm_c_bias
  const T* normal;          // [live] ld, n of c
  T* d_read;                // [live] ld: d loss / d of factor n + shift
  std::int64_t ld;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    T kept;
    const T dh = step.template cell_gradient<true>(row, unit, kept);
    step.carry[row * step.s + unit] = kept;
    const CellOptions<T> options = bounded<true>(step.options);
    const T c = factor[unit] * normal[row * ld + unit] + shift[unit];
    d_read[row * ld + unit] = lstm_output_backward(Ops<T>(), options, step.gate(row, unit, 3), c, dh);
  }
};

template <class T>
struct LstmGeneralBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T dh = 0;
    if (step.d_unprojected != nullptr) {
      dh = step.d_unprojected[row * step.h + unit];
    } else if (step.dc_read == nullptr) {
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
    const Peepholes<T> p = peepholes(step.peephole, step.h, unit);
    T &i = step.gate(row, unit, 0), &f = step.gate(row, unit, 1), &g = step.gate(row, unit, 2);
    T& o = step.gate(row, unit, 3);
    const T c_prev = step.previous_c(row, unit);
    T c;
    if (step.dc_read == nullptr) {
      lstm_general_backward(Ops<T>(), options, p, i, f, g, o, c_prev, dh, dc, c);
    } else {  // o has its gradient by now
      dc += step.dc_read[row * step.h + unit];
      c = lstm_cell_state(Ops<T>(), options, i, f, g, c_prev);
      lstm_gates_backward(Ops<T>(), options, p, i, f, g, o, c_prev, c, dc);
    }
    state = dc + kept_c;
    if (step.peephole == nullptr) return;
    T* sums = step.peephole_sums + row * 3 * step.h + unit;
    sums[0] += i * c_prev;
    sums[step.h] += f * c_prev;
    sums[2 * step.h] += o * c;
  }
};

}  // namespace rondo::cuda
