// The pointwise half of a step backward, one cell's at a time: an element (row, unit) after the product of
// the later step's gradients with R.
#pragma once

#include "cuda/forward_steps-inl.h"

namespace rondo::cuda {

// d h_t = dy + carry + (dA_{t+1} R) mask, then the cell's backward. Ragged rows come and go: of the rows
// below the launch's, those below `live` have this step, those below `later` the one that was processed after
// it.
template <class T>
struct BackwardStep {
  std::int64_t h;            // H
  std::int64_t live, later;  // see above
  std::int64_t inner;        // rows below it have a step before this one, the others start here
  T* gates;                  // [live] ld_gates: activations in, gradients of the pre-activations out
  const T* y;                // [live] ld_y, h_t
  const T* y_prev;           // [inner] ld_y, h_{t-1}
  const T* h0;               // [rows][H], h_{t-1} of the others; null: zeros
  const T* c;                // [live] ld_c, LSTM: c_t
  const T* c_prev;           // [inner] ld_c
  const T* c0;               // as h0
  const T* dy;               // [live] ld_dy; null: zero
  std::int64_t ld_gates, ld_y, ld_c, ld_dy;
  T* carry;                            // [rows][H]: d h_t that does not pass through R; in and out
  T* dc;                               // [rows][H], LSTM: in and out
  T* sums;                             // [segments] sum_group [later][H]: dA R, of all gates or of each
  const T* mask;                       // [segments] mask_group [rows][H]; null: none
  std::int64_t sum_group, mask_group;  // elements between segments
  int segments;

  RONDO_CELL_FN T& gate(std::int64_t row, std::int64_t unit, int column) const {
    return gates[row * ld_gates + column * h + unit];
  }
  RONDO_CELL_FN T h_prev(std::int64_t row, std::int64_t unit) const {
    if (row < inner) return y_prev[row * ld_y + unit];
    return h0 == nullptr ? T(0) : h0[row * h + unit];
  }
  RONDO_CELL_FN T previous_c(std::int64_t row, std::int64_t unit) const {
    if (row < inner) return c_prev[row * ld_c + unit];
    return c0 == nullptr ? T(0) : c0[row * h + unit];
  }
  // What came back through R, times the mask.
  RONDO_CELL_FN T through_r(std::int64_t row, std::int64_t unit) const {
    const std::int64_t at = row * h + unit;
    if (row >= later) return T(0);
    if (mask == nullptr) return sums[at];
    T sum = 0;
    for (int g = 0; g < segments; ++g) sum += sums[g * sum_group + at] * mask[g * mask_group + at];
    return sum;
  }
  // Whether the row has this step. Of one whose first step was the one processed before, carry becomes the
  // gradient of h0.
  RONDO_CELL_FN bool lives(std::int64_t row, std::int64_t unit) const {
    if (row >= live) carry[row * h + unit] += through_r(row, unit);
    return row < live;
  }
  // d loss / d h_t, complete.
  RONDO_CELL_FN T state_gradient(std::int64_t row, std::int64_t unit) const {
    const T dh = through_r(row, unit) + carry[row * h + unit];
    return dy == nullptr ? dh : dh + dy[row * ld_dy + unit];
  }
};

template <class T, bool kRelu>
struct SimpleBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    const T dh = step.state_gradient(row, unit), h = step.y[row * step.ld_y + unit];
    step.gate(row, unit, 0) = simple_backward<kRelu>(Ops<T>(), h, dh);
    step.carry[row * step.h + unit] = 0;
  }
};

template <class T>
struct LstmBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    lstm_backward(Ops<T>(), step.gate(row, unit, 0), step.gate(row, unit, 1), step.gate(row, unit, 2),
                  step.gate(row, unit, 3), step.previous_c(row, unit), step.c[row * step.ld_c + unit],
                  step.state_gradient(row, unit), step.dc[row * step.h + unit]);
    step.carry[row * step.h + unit] = 0;
  }
};

template <class T>
struct GruAfterBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    gru_after_backward(Ops<T>(), UsualFunctions(), step.gate(row, unit, kR), step.gate(row, unit, kZ), step.gate(row, unit, kN),
                       step.gate(row, unit, kFourth), step.h_prev(row, unit), step.state_gradient(row, unit),
                       step.carry[row * step.h + unit]);
  }
};

// reset_before, first half.
template <class T>
struct GruBeforeCandidateBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    gru_candidate_backward(Ops<T>(), UsualFunctions(), step.gate(row, unit, kZ), step.gate(row, unit, kN),
                           step.h_prev(row, unit), step.state_gradient(row, unit),
                           step.carry[row * step.h + unit]);
  }
};

// Second half: the product is dn R_n, so through_r is d loss / d rh, times n's mask: that has scaled h, not
// rh.
template <class T>
struct GruBeforeGatesBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T dh;
    gru_before_backward(Ops<T>(), UsualFunctions(), step.gate(row, unit, kR), step.h_prev(row, unit), step.through_r(row, unit),
                        dh);
    step.carry[row * step.h + unit] += dh;
  }
};

// After the last step: the gradient of h0.
template <class T>
struct FirstStateGradient {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const { step.lives(row, unit); }
};

}  // namespace rondo::cuda
