// The named shapes: one list for every cell, element type, instruction set and backend.
#pragma once

#include <ostream>
#include <vector>

#include "problem.h"

namespace rondo::testing {

// Row lengths of a case, by pattern. N rows of at most T steps.
enum class Ragged {
  kNone,      // no lengths given
  kFull,      // given, all T
  kUnsorted,  // any order, ties, and one row of T
  kShort,     // as kUnsorted, but none reaches T
  kZeros,     // as kUnsorted, with rows of length 0 first, amid and last
  kAllZero,   // nothing to compute
};

struct Case {
  const char* name;
  const char* reason;
  std::int64_t t, n, i, h;
  std::int64_t layers = 1;
  Direction direction = Direction::kForward;
  Merge merge = Merge::kConcat;
  Ragged ragged = Ragged::kNone;
  Outputs outputs = Outputs::kSequence;
  Layout layout = Layout::kTimeMajor;
  Bias bias = Bias::kDouble;
  bool initial_state = true;
  bool masks = false;
  GateMasks gate_masks = GateMasks::kShared;
  LayerMasks layer_masks = LayerMasks::kPerStep;
  bool one_element_off = false;
  double x_scale = 1;
};

// Vectors hold 1, 4, 8 or 16 units (f32) or half as many (f64); a kernel's tile has up to 8 rows.
inline const std::vector<Case>& cases() {
  constexpr auto kReverse = Direction::kReverse, kBoth = Direction::kBidirectional;
  // clang-format off
  static const std::vector<Case> all = {
      {.name = "ones", .reason = "every size at its smallest", .t = 1, .n = 1, .i = 1, .h = 1},
      {.name = "one_step", .reason = "T = 1: no recurrence but from h0", .t = 1, .n = 3, .i = 4, .h = 6},
      {.name = "one_row", .reason = "N = 1: streaming", .t = 9, .n = 1, .i = 5, .h = 24},
      {.name = "h_lanes", .reason = "H whole vectors everywhere, N a whole tile", .t = 4, .n = 8, .i = 16,
       .h = 32},
      {.name = "h_below", .reason = "H one below whole vectors", .t = 3, .n = 4, .i = 5, .h = 15},
      {.name = "h_above", .reason = "H one above whole vectors", .t = 3, .n = 4, .i = 5, .h = 17},
      {.name = "h_tiny", .reason = "H below the smallest vector", .t = 4, .n = 5, .i = 2, .h = 3},
      {.name = "n2", .reason = "row tiles: a remainder of 2", .t = 2, .n = 2, .i = 3, .h = 9},
      {.name = "n5", .reason = "row tiles: a remainder of 5", .t = 2, .n = 5, .i = 3, .h = 9},
      {.name = "n7", .reason = "row tiles: one below a tile", .t = 2, .n = 7, .i = 3, .h = 33},
      {.name = "n11", .reason = "row tiles: a tile and 3", .t = 2, .n = 11, .i = 3, .h = 20},
      {.name = "n_wide", .reason = "many rows, little else", .t = 3, .n = 67, .i = 3, .h = 10},
      {.name = "i_wide", .reason = "I far above H", .t = 3, .n = 3, .i = 70, .h = 6},
      {.name = "i_one", .reason = "I = 1, H far above it", .t = 3, .n = 3, .i = 1, .h = 70},
      {.name = "blocks", .reason = "more than one block of every product", .t = 12, .n = 16, .i = 48,
       .h = 72},
      {.name = "long", .reason = "rounding over 150 steps", .t = 150, .n = 2, .i = 3, .h = 7},
      {.name = "reverse", .reason = "from the last step to the first", .t = 5, .n = 4, .i = 3, .h = 6,
       .direction = kReverse},
      {.name = "both_concat", .reason = "both directions side by side", .t = 5, .n = 4, .i = 3, .h = 6,
       .direction = kBoth},
      {.name = "both_sum", .reason = "merged by sum, between layers too", .t = 4, .n = 3, .i = 3, .h = 5,
       .layers = 2, .direction = kBoth, .merge = Merge::kSum},
      {.name = "both_mul", .reason = "merged by product: each side's gradient needs the other", .t = 4,
       .n = 3, .i = 3, .h = 5, .layers = 2, .direction = kBoth, .merge = Merge::kMul},
      {.name = "both_ave", .reason = "merged by average", .t = 4, .n = 3, .i = 3, .h = 5, .layers = 2,
       .direction = kBoth, .merge = Merge::kAve},
      {.name = "both_apart", .reason = "two outputs on top, concat between layers", .t = 4, .n = 3, .i = 3,
       .h = 5, .layers = 2, .direction = kBoth, .merge = Merge::kNone},
      {.name = "stack3", .reason = "an inner layer with layers on both sides", .t = 4, .n = 3, .i = 4, .h = 9,
       .layers = 3},
      {.name = "stack3_both", .reason = "a deep stack of both directions", .t = 4, .n = 3, .i = 4, .h = 5,
       .layers = 3, .direction = kBoth},
      {.name = "ragged", .reason = "lengths in any order", .t = 7, .n = 6, .i = 3, .h = 10,
       .ragged = Ragged::kUnsorted},
      {.name = "ragged_full", .reason = "lengths given, all of them T", .t = 4, .n = 3, .i = 3, .h = 6,
       .ragged = Ragged::kFull},
      {.name = "ragged_short", .reason = "no row reaches T", .t = 6, .n = 4, .i = 3, .h = 6, .layers = 2,
       .ragged = Ragged::kShort},
      {.name = "ragged_reverse", .reason = "each row starts at its own last step", .t = 6, .n = 5, .i = 3,
       .h = 7, .direction = kReverse, .ragged = Ragged::kUnsorted},
      {.name = "ragged_both", .reason = "ragged rows through a bidirectional stack", .t = 6, .n = 5, .i = 3,
       .h = 7, .layers = 2, .direction = kBoth, .ragged = Ragged::kUnsorted},
      {.name = "zero_rows", .reason = "rows of length 0: final state is the initial one", .t = 5, .n = 7,
       .i = 3, .h = 6, .ragged = Ragged::kZeros},
      {.name = "zero_rows_both", .reason = "the same, both directions, two layers, product merge", .t = 5,
       .n = 6, .i = 3, .h = 6, .layers = 2, .direction = kBoth, .merge = Merge::kMul,
       .ragged = Ragged::kZeros},
      {.name = "all_zero", .reason = "every row of length 0", .t = 3, .n = 4, .i = 3, .h = 6, .layers = 2,
       .direction = kBoth, .ragged = Ragged::kAllZero},
      {.name = "ragged_one_row", .reason = "N = 1 with a length below T", .t = 6, .n = 1, .i = 3, .h = 6,
       .ragged = Ragged::kShort},
      {.name = "empty_batch", .reason = "N = 0: legal and empty", .t = 3, .n = 0, .i = 3, .h = 6, .layers = 2,
       .direction = kBoth},
      {.name = "batch_major", .reason = "rows outermost, no copy asked of the caller", .t = 5, .n = 4, .i = 3,
       .h = 10, .layers = 2, .layout = Layout::kBatchMajor},
      {.name = "batch_major_ragged", .reason = "rows outermost, ragged, both directions", .t = 5, .n = 5,
       .i = 3, .h = 6, .layers = 2, .direction = kBoth, .ragged = Ragged::kZeros,
       .layout = Layout::kBatchMajor},
      {.name = "last", .reason = "only the last output", .t = 5, .n = 4, .i = 3, .h = 9,
       .outputs = Outputs::kLast},
      {.name = "last_both", .reason = "last step forward, step 0 in reverse", .t = 5, .n = 4, .i = 3, .h = 6,
       .layers = 2, .direction = kBoth, .outputs = Outputs::kLast},
      {.name = "last_ragged", .reason = "last outputs at each row's own step, zeros at length 0", .t = 5,
       .n = 6, .i = 3, .h = 6, .direction = kBoth, .merge = Merge::kMul, .ragged = Ragged::kZeros,
       .outputs = Outputs::kLast, .layout = Layout::kBatchMajor},
      {.name = "last_apart", .reason = "two last outputs", .t = 4, .n = 3, .i = 3, .h = 6, .direction = kBoth,
       .merge = Merge::kNone, .ragged = Ragged::kUnsorted, .outputs = Outputs::kLast},
      {.name = "no_bias", .reason = "no bias at all", .t = 4, .n = 3, .i = 3, .h = 6, .layers = 2,
       .bias = Bias::kNone},
      {.name = "single_bias", .reason = "one bias: reset_after's n gate has none on the recurrent side",
       .t = 4, .n = 3, .i = 3, .h = 6, .layers = 2, .bias = Bias::kSingle},
      {.name = "zero_state", .reason = "no h0 and no c0", .t = 4, .n = 3, .i = 3, .h = 6,
       .initial_state = false},
      {.name = "masks", .reason = "dropout masks of the caller, shared by the gates", .t = 4, .n = 5, .i = 6,
       .h = 10, .layers = 2, .masks = true},
      {.name = "masks_per_gate", .reason = "a mask for each gate, both directions, ragged", .t = 4, .n = 5,
       .i = 6, .h = 9, .layers = 2, .direction = kBoth, .ragged = Ragged::kZeros, .masks = true,
       .gate_masks = GateMasks::kPerGate},
      {.name = "masks_sequence", .reason = "one mask between layers for all steps, batch-major", .t = 4,
       .n = 5, .i = 6, .h = 9, .layers = 3, .ragged = Ragged::kUnsorted, .layout = Layout::kBatchMajor,
       .masks = true, .layer_masks = LayerMasks::kPerSequence},
      {.name = "unaligned", .reason = "arrays that start one element off alignment", .t = 4, .n = 5, .i = 8,
       .h = 16, .layers = 2, .direction = kBoth, .one_element_off = true},
      {.name = "saturated", .reason = "inputs that saturate every gate: no overflow, no NaN", .t = 5, .n = 4,
       .i = 6, .h = 8, .x_scale = 300},
  };
  // clang-format on
  return all;
}

inline std::vector<std::int64_t> lengths_of(Ragged ragged, std::int64_t t, std::int64_t n) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t row = 0; row < n && ragged != Ragged::kNone; ++row) {
    // Steps of 3 through 1..T: unsorted, and with ties once N exceeds T.
    std::int64_t length = (row * 3 + 1) % t + 1;
    if (row == n / 2) length = t;
    if (ragged == Ragged::kShort) length = std::min(length, t - 1);
    if (ragged == Ragged::kZeros && (row == 0 || row == n - 1 || row == n / 2 + 1)) length = 0;
    if (ragged == Ragged::kFull) length = t;
    if (ragged == Ragged::kAllZero) length = 0;
    lengths.push_back(length);
  }
  return lengths;
}

// The five recurrences that a case is run with.
struct CellChoice {
  const char* name;
  Cell cell;
  Activation activation = Activation::kTanh;
  GruReset gru_reset = GruReset::kAfter;
};
inline std::ostream& operator<<(std::ostream& out, const CellChoice& c) { return out << c.name; }
inline const std::vector<CellChoice>& cell_choices() {
  static const std::vector<CellChoice> all = {
      {"tanh", Cell::kSimpleRnn},
      {"relu", Cell::kSimpleRnn, Activation::kRelu},
      {"lstm", Cell::kLstm},
      {"gru_after", Cell::kGru},
      {"gru_before", Cell::kGru, Activation::kTanh, GruReset::kBefore}};
  return all;
}

inline RnnConfig config_of(const CellChoice& cell, DType dtype) {
  RnnConfig c;
  c.cell = cell.cell;
  c.activation = cell.activation;
  c.gru_reset = cell.gru_reset;
  c.dtype = dtype;
  return c;
}

inline Problem problem_of(const Case& c, const CellChoice& cell, DType dtype) {
  Problem p;
  p.config = config_of(cell, dtype);
  p.config.input_size = c.i;
  p.config.hidden_size = c.h;
  p.config.num_layers = c.layers;
  p.config.direction = c.direction;
  p.config.merge = c.merge;
  p.config.outputs = c.outputs;
  p.config.layout = c.layout;
  p.config.bias = c.bias;
  p.config.gate_masks = c.gate_masks;
  p.config.layer_masks = c.layer_masks;
  p.t = c.t;
  p.n = c.n;
  p.lengths = lengths_of(c.ragged, c.t, c.n);
  p.lengths_i64 = c.ragged == Ragged::kZeros;
  p.initial_state = c.initial_state;
  p.input_masks = p.recurrent_masks = c.masks;
  p.layer_masks = c.masks && c.layers > 1;
  // Announces them; their factors are those of the problem.
  if (c.masks) p.config.dropout = p.config.recurrent_dropout = p.config.layer_dropout = 0.3;
  p.one_element_off = c.one_element_off;
  p.x_scale = c.x_scale;
  p.few_bits = c.x_scale > 1;
  return p;
}

}  // namespace rondo::testing
