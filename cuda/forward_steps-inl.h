// The pointwise half of a step forward, one cell's at a time: an element (row, unit) after the recurrent
// product.
#pragma once

#include "cuda/ops.h"

namespace rondo::cuda {

// Row r of a pointer p with stride ld is p + r * ld. A row of gates: core/gate_order.h.
template <class T>
struct ForwardStep {
  std::int64_t h;    // H
  T* gates;          // [rows] ld_gates: W x in; activations out when training
  const T* bias;     // [columns * H]
  T* sums;           // [rows] ld_sums: R h_{t-1}, one gate after the other
  T* state;          // [rows][H]: h_{t-1} in, h_t out
  T* c;              // [rows][H], LSTM: c_{t-1} in, c_t out
  T* c_saved;        // [rows] ld_c_saved, LSTM training: c_t
  const T* h_reset;  // [rows][H], GRU reset_before: h_{t-1} as its n gate sees it, masked under dropout
  T* rh;             // [rows] ld_rh, GRU reset_before: r h, from its first half to its product
  T* y;              // [rows] ld_y, H wide; null: not wanted
  std::int64_t ld_gates, ld_sums, ld_c_saved, ld_rh, ld_y;
  const T* mask;                          // [groups] mask_group [rows][H]: recurrent masks; null: none
  T* masked;                              // [groups] masked_group [rows][H]: h_t times mask
  std::int64_t mask_group, masked_group;  // elements between groups
  int groups;
  bool training;

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
  // h_t to where the next step, the mask and the caller want it.
  RONDO_CELL_FN void store_state(std::int64_t row, std::int64_t unit, T value) const {
    const std::int64_t at = row * h + unit;
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
    step.store_state(row, unit, simple_forward<kRelu>(Ops<T>(), pre));
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
    step.store_state(row, unit, h);
  }
};

// Columns of a row of gates.
enum GruColumn : int { kN = 0, kR = 1, kZ = 2, kFourth = 3 };

template <class T>
struct GruAfterForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T r = step.sum(row, unit, 0) + step.input(row, unit, kR);
    T z = step.sum(row, unit, 1) + step.input(row, unit, kZ);
    T n = step.input(row, unit, kN), h;
    const T rn = step.sum(row, unit, 2) + step.recurrent_bias(unit, kFourth);
    gru_after_forward(Ops<T>(), UsualFunctions(), r, z, n, rn, step.state[row * step.h + unit], h);
    if (step.training) {
      step.gate(row, unit, kN) = n;
      step.gate(row, unit, kR) = r;
      step.gate(row, unit, kZ) = z;
      step.gate(row, unit, kFourth) = rn;
    }
    step.store_state(row, unit, h);
  }
};

// reset_before, first half: sums of r z.
template <class T>
struct GruBeforeGatesForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T r = step.sum(row, unit, 0) + step.input(row, unit, kR);
    T z = step.sum(row, unit, 1) + step.input(row, unit, kZ);
    gru_before_forward(Ops<T>(), UsualFunctions(), r, z, step.h_reset[row * step.h + unit], step.rh[row * step.ld_rh + unit]);
    step.gate(row, unit, kZ) = z;
    if (step.training) step.gate(row, unit, kR) = r;
  }
};

// Second half: the sum of n.
template <class T>
struct GruBeforeCandidateForward {
  ForwardStep<T> step;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    T n = step.sum(row, unit, 0) + step.input(row, unit, kN), h;
    gru_candidate_forward(Ops<T>(), UsualFunctions(), step.gate(row, unit, kZ), n, step.state[row * step.h + unit], h);
    if (step.training) step.gate(row, unit, kN) = n;
    step.store_state(row, unit, h);
  }
};

}  // namespace rondo::cuda
