// The pointwise half of a step forward, one cell's at a time: an element (row, unit) after the recurrent
// product. kGeneral: with the options of a cell, else with the usual functions alone.
#pragma once

#include "cuda/ops.h"

namespace rondo::cuda {

// Row r of a pointer p with stride ld is p + r * ld. A row of gates: core/gate_order.h. S is the width of h:
// H, or P with a projection.
template <class T>
struct ForwardStep {
  std::int64_t h, s;   // H, S
  T* gates;            // [rows] ld_gates: W x in; activations out when training
  const T* bias;       // [columns * H]
  const T* recurrent;  // R, [G * H, S], under dropconnect times its mask
  T* sums;             // [rows] ld_sums: R h_{t-1}, one gate after the other
  T* state;            // [rows][S]: h_{t-1} in, h_t out
  T* c;                // [rows][H], LSTM: c_{t-1} in, c_t out
  T* c_saved;          // [rows] ld_c_saved, LSTM training: c_t
  const T* h_reset;    // [rows][H], GRU reset_before: h_{t-1} as its n gate sees it, masked under dropout
  T* rh;               // [rows] ld_rh, GRU reset_before: r h, from its first half to its product
  T* y;                // [rows] ld_y, S wide; null: not wanted
  std::int64_t ld_gates, ld_sums, ld_c_saved, ld_rh, ld_y;
  const T* mask;                          // [groups] mask_group [rows][S]: recurrent masks; null: none
  T* masked;                              // [groups] masked_group [rows][S]: h_t times mask
  std::int64_t mask_group, masked_group;  // elements between groups
  int groups;
  bool training;

  // Of the general cells.
  CellOptions<T> options;
  const T* peephole;               // [3 * H] of i f o; null: none
  const T *zoneout_h, *zoneout_c;  // [rows] ld_zoneout_h, ld_zoneout_c; null: as the options say
  T* unprojected;                  // [rows] ld_unprojected, H wide: what a projection multiplies; null: none
  T* c_read;  // [rows][H], layer_norm: c_t before zoneout, for its normalisation; null: none
  T* c_out;   // [rows] ld_c_out, H wide: c_t, an output; null: not wanted
  std::int64_t ld_zoneout_h, ld_zoneout_c, ld_unprojected, ld_c_out;

  RONDO_CELL_FN T& gate(std::int64_t row, std::int64_t unit, int column) const {
    return gates[row * ld_gates + column * h + unit];
  }
  RONDO_CELL_FN T recurrent_bias(std::int64_t unit, int column) const { return bias[column * h + unit]; }
  // W x + b of a column.
  RONDO_CELL_FN T input(std::int64_t row, std::int64_t unit, int column) const {
    return gate(row, unit, column) + bias[column * h + unit];
  }
  // Of the recurrent gate `number`.
  RONDO_CELL_FN T sum(std::int64_t row, std::int64_t unit, int number) const {
    return sums[row * ld_sums + number * h + unit];
  }
  // How much of the new state replaces the old one.
  RONDO_CELL_FN T update_h(std::int64_t row, std::int64_t unit) const {
    return zoneout_h == nullptr ? options.update_h : zoneout_h[row * ld_zoneout_h + unit];
  }
  RONDO_CELL_FN T update_c(std::int64_t row, std::int64_t unit) const {
    return zoneout_c == nullptr ? options.update_c : zoneout_c[row * ld_zoneout_c + unit];
  }
  // h_t, or what becomes it by zoneout, to where the next step, the mask and the caller want it.
  template <bool kGeneral>
  RONDO_CELL_FN void store_state(std::int64_t row, std::int64_t unit, T value) const {
    const std::int64_t at = row * s + unit;
    if constexpr (kGeneral) {
      value = zoneout_forward(Ops<T>(), update_h(row, unit), state[at], value);
    }
    state[at] = value;
    if (y != nullptr) y[row * ld_y + unit] = value;
    for (int g = 0; mask != nullptr && g < groups; ++g) {
      masked[g * masked_group + at] = value * mask[g * mask_group + at];
    }
  }
};

template <class T, bool kRelu>
struct SimpleForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    const T pre = step.sum(row, unit, 0) + step.input(row, unit, 0);
    step.template store_state<false>(row, unit, simple_forward<kRelu>(Ops<T>(), pre));
  }
};

// Saves the activation, which zoneout keeps apart from h.
template <class T>
struct SimpleGeneralForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    const T pre = step.sum(row, unit, 0) + step.input(row, unit, 0);
    const T h = functions<true>(step.options).candidate(Ops<T>(), pre);
    if (step.training) step.gate(row, unit, 0) = h;
    step.template store_state<true>(row, unit, h);
  }
};

template <class T>
struct LstmForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T i = step.sum(row, unit, 0) + step.input(row, unit, 0);
    T f = step.sum(row, unit, 1) + step.input(row, unit, 1);
    T g = step.sum(row, unit, 2) + step.input(row, unit, 2);
    T o = step.sum(row, unit, 3) + step.input(row, unit, 3);
    T c = step.c[row * step.h + unit], h;
    lstm_forward(Ops<T>(), i, f, g, o, c, h);
    step.c[row * step.h + unit] = c;
    if (step.training) {
      step.gate(row, unit, 0) = i;
      step.gate(row, unit, 1) = f;
      step.gate(row, unit, 2) = g;
      step.gate(row, unit, 3) = o;
      step.c_saved[row * step.ld_c_saved + unit] = c;
    }
    step.template store_state<false>(row, unit, h);
  }
};

// Columns of a row of gates.
enum GruColumn : int { kN = 0, kR = 1, kZ = 2, kFourth = 3 };

template <class T, bool kGeneral>
struct GruAfterForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T r = step.sum(row, unit, 0) + step.input(row, unit, kR);
    T z = step.sum(row, unit, 1) + step.input(row, unit, kZ);
    T n = step.input(row, unit, kN), h;
    const T rn = step.sum(row, unit, 2) + step.recurrent_bias(unit, kFourth);
    const auto f = functions<kGeneral>(step.options);
    gru_after_forward(Ops<T>(), f, r, z, n, rn, step.state[row * step.h + unit], h);
    if (step.training) {
      step.gate(row, unit, kN) = n;
      step.gate(row, unit, kR) = r;
      step.gate(row, unit, kZ) = z;
      step.gate(row, unit, kFourth) = rn;
    }
    step.template store_state<kGeneral>(row, unit, h);
  }
};

// reset_before, first half: sums of r z.
template <class T, bool kGeneral>
struct GruBeforeGatesForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T r = step.sum(row, unit, 0) + step.input(row, unit, kR);
    T z = step.sum(row, unit, 1) + step.input(row, unit, kZ);
    const auto f = functions<kGeneral>(step.options);
    gru_before_forward(Ops<T>(), f, r, z, step.h_reset[row * step.h + unit],
                       step.rh[row * step.ld_rh + unit]);
    step.gate(row, unit, kZ) = z;
    if (step.training) step.gate(row, unit, kR) = r;
  }
};

// Second half: the sum of n.
template <class T, bool kGeneral>
struct GruBeforeCandidateForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T n = step.sum(row, unit, 0) + step.input(row, unit, kN), h;
    const auto f = functions<kGeneral>(step.options);
    gru_candidate_forward(Ops<T>(), f, step.gate(row, unit, kZ), n, step.state[row * step.h + unit], h);
    if (step.training) step.gate(row, unit, kN) = n;
    step.template store_state<kGeneral>(row, unit, h);
  }
};

}  // namespace rondo::cuda
