// The pointwise half of a step backward, one cell's at a time: an element (row, unit) after the product of
// the later step's gradients with R. kGeneral: as forward.
#pragma once

#include "cuda/forward_steps-inl.h"

namespace rondo::cuda {

// d h_t = dy + carry + (dA_{t+1} R) mask, then the cell's backward. Ragged rows come and go: of the rows
// below the launch's, those below `live` have this step, those below `later` the one that was processed after
// it.
template <class T>
struct BackwardStep {
  std::int64_t h, s;         // H, S
  std::int64_t live, later;  // see above
  std::int64_t inner;        // rows below it have a step before this one, the others start here
  T* gates;                  // [live] ld_gates: activations in, gradients of the pre-activations out
  const T* recurrent;        // R, as forward
  const T* y;                // [live] ld_y, h_t
  const T* y_prev;           // [inner] ld_y, h_{t-1}
  const T* h0;               // [rows][S], h_{t-1} of the others; null: zeros
  const T* c;                // [live] ld_c, LSTM: c_t
  const T* c_prev;           // [inner] ld_c
  const T* c0;               // [rows][H], as h0
  const T* dy;               // [live] ld_dy; null: zero
  std::int64_t ld_gates, ld_y, ld_c, ld_dy;
  T* carry;                            // [rows][S]: d h_t that does not pass through R; in and out
  T* dc;                               // [rows][H], LSTM: in and out
  T* sums;                             // [segments] sum_group [later][S]: dA R, of all gates or of each
  const T* mask;                       // [segments] mask_group [rows][S]; null: none
  std::int64_t sum_group, mask_group;  // elements between segments
  int segments;

  // Of the general cells.
  CellOptions<T> options;
  const T* peephole;               // [3 * H] of i f o; null: none
  T* peephole_sums;                // [rows][3 * H]: their gradients, gathered over the steps
  const T *zoneout_h, *zoneout_c;  // [live] ld_zoneout_h, ld_zoneout_c; null: as the options say
  const T* dc_out;                 // [live] ld_dc_out: d loss / d c_t as an output; null: zero
  T* d_projected;                  // [live] ld_projected, S wide: d loss / d of a projection's result
  T* d_unprojected;                // [live][H]: that of what it multiplied; null: no projection
  const T* dc_read;                // [live][H]: d loss / d c_t by way of its normalisation; null: none
  std::int64_t ld_zoneout_h, ld_zoneout_c, ld_dc_out, ld_projected;

  RONDO_CELL_FN T& gate(std::int64_t row, std::int64_t unit, int column) const {
    return gates[row * ld_gates + column * h + unit];
  }
  RONDO_CELL_FN T h_prev(std::int64_t row, std::int64_t unit) const {
    if (row < inner) return y_prev[row * ld_y + unit];
    return h0 == nullptr ? T(0) : h0[row * s + unit];
  }
  RONDO_CELL_FN T previous_c(std::int64_t row, std::int64_t unit) const {
    if (row < inner) return c_prev[row * ld_c + unit];
    return c0 == nullptr ? T(0) : c0[row * h + unit];
  }
  // What came back through R, times the mask.
  RONDO_CELL_FN T through_r(std::int64_t row, std::int64_t unit) const {
    const std::int64_t at = row * s + unit;
    if (row >= later) return T(0);
    if (mask == nullptr) return sums[at];
    T sum = 0;
    for (int g = 0; g < segments; ++g) sum += sums[g * sum_group + at] * mask[g * mask_group + at];
    return sum;
  }
  // Whether the row has this step. Of one whose first step was the one processed before, carry becomes the
  // gradient of h0.
  RONDO_CELL_FN bool lives(std::int64_t row, std::int64_t unit) const {
    if (row >= live) carry[row * s + unit] += through_r(row, unit);
    return row < live;
  }
  // d loss / d h_t, complete.
  RONDO_CELL_FN T state_gradient(std::int64_t row, std::int64_t unit) const {
    const T dh = through_r(row, unit) + carry[row * s + unit];
    return dy == nullptr ? dh : dh + dy[row * ld_dy + unit];
  }
  // How much of the new state replaced the old one.
  RONDO_CELL_FN T update_h(std::int64_t row, std::int64_t unit) const {
    return zoneout_h == nullptr ? options.update_h : zoneout_h[row * ld_zoneout_h + unit];
  }
  RONDO_CELL_FN T update_c(std::int64_t row, std::int64_t unit) const {
    return zoneout_c == nullptr ? options.update_c : zoneout_c[row * ld_zoneout_c + unit];
  }
  // Of that, what reaches the cell: zoneout takes its part, which goes to h_{t-1} at once.
  template <bool kGeneral>
  RONDO_CELL_FN T cell_gradient(std::int64_t row, std::int64_t unit, T& kept) const {
    T dh = state_gradient(row, unit);
    kept = T(0);
    if constexpr (kGeneral) kept = zoneout_backward(Ops<T>(), update_h(row, unit), dh);
    return dh;
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
struct SimpleGeneralBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    T kept;
    const T dh = step.template cell_gradient<true>(row, unit, kept);
    const CellOptions<T> options = bounded<true>(step.options);
    T& h = step.gate(row, unit, 0);
    h = dh * functions<true>(options).candidate_slope(Ops<T>(), h);
    step.carry[row * step.s + unit] = kept;
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

template <class T, bool kGeneral>
struct GruAfterBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    T kept;
    const T dh = step.template cell_gradient<kGeneral>(row, unit, kept);
    const CellOptions<T> options = bounded<kGeneral>(step.options);
    T& carry = step.carry[row * step.h + unit];
    gru_after_backward(Ops<T>(), functions<kGeneral>(options), step.gate(row, unit, kR),
                       step.gate(row, unit, kZ), step.gate(row, unit, kN), step.gate(row, unit, kFourth),
                       step.h_prev(row, unit), dh, carry);
    carry += kept;
  }
};

// reset_before, first half.
template <class T, bool kGeneral>
struct GruBeforeCandidateBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    if (!step.lives(row, unit)) return;
    T kept;
    const T dh = step.template cell_gradient<kGeneral>(row, unit, kept);
    const CellOptions<T> options = bounded<kGeneral>(step.options);
    T& carry = step.carry[row * step.h + unit];
    gru_candidate_backward(Ops<T>(), functions<kGeneral>(options), step.gate(row, unit, kZ),
                           step.gate(row, unit, kN), step.h_prev(row, unit), dh, carry);
    carry += kept;
  }
};

// Second half: the product is dn R_n, so through_r is d loss / d rh, times n's mask: that has scaled h, not
// rh.
template <class T, bool kGeneral>
struct GruBeforeGatesBackward {
  BackwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T dh;
    const CellOptions<T> options = bounded<kGeneral>(step.options);
    gru_before_backward(Ops<T>(), functions<kGeneral>(options), step.gate(row, unit, kR),
                        step.h_prev(row, unit), step.through_r(row, unit), dh);
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
