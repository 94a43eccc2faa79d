// A named case of an option, and what the cases are made of: patterns of masks and resets, settings.
#pragma once

#include <string_view>

#include "cases.h"

namespace rondo::testing {

// The cells that have an option, by their names in cell_choices().
inline constexpr std::string_view kAllCells = "tanh relu lstm gru_after gru_before", kLstmAlone = "lstm",
                                  kNormalised = "lstm gru_after";

struct OptionCase {
  std::string name;
  const char* reason;
  std::string_view cells;
  void (*set)(Problem&);
  bool has(const CellChoice& cell) const {
    return (" " + std::string(cells) + " ").find(" " + std::string(cell.name) + " ") != std::string::npos;
  }
};

// Which steps a mask leaves out, and where resets are; t of T steps, row of N.
using Pattern = bool (*)(const Problem& p, std::int64_t t, std::int64_t row);
inline std::vector<std::uint8_t> flags_where(const Problem& p, Pattern set) {
  std::vector<std::uint8_t> flags;
  for (std::int64_t i = 0; i < p.t * p.n; ++i) flags.push_back(set(p, i / p.n, i % p.n) ? 1 : 0);
  return flags;
}
// The patterns of a mask say where it is set, which is where a step is not skipped.
inline bool middle(const Problem& p, std::int64_t t, std::int64_t row) {
  return t == 0 || t == p.t - 1 || (t + row) % 3 != 0;
}
inline bool but_ends(const Problem& p, std::int64_t t, std::int64_t row) {
  return t > row % 3 && t < p.t - 1 - row % 2;
}
inline bool behind_padding(const Problem& p, std::int64_t t, std::int64_t row) { return t >= row % p.t; }
inline bool some_rows(const Problem& p, std::int64_t t, std::int64_t row) {
  return row != 0 && row != p.n / 2 && middle(p, t, row);
}
inline bool alternate(const Problem&, std::int64_t t, std::int64_t row) { return (t + row) % 2 == 0; }
inline bool everywhere(const Problem&, std::int64_t, std::int64_t) { return true; }
inline bool nowhere(const Problem&, std::int64_t, std::int64_t) { return false; }
// Resets.
inline bool at_start(const Problem&, std::int64_t t, std::int64_t row) { return t == 0 && row % 2 == 0; }
inline bool at_end(const Problem& p, std::int64_t t, std::int64_t row) {
  return t == p.t - 1 && row % 2 == 0;
}
inline bool scattered(const Problem&, std::int64_t t, std::int64_t row) { return (2 * t + row) % 5 == 0; }

// Several settings at once.
inline void both_directions(Problem& p) {
  p.config.direction = Direction::kBidirectional;
  p.config.num_layers = 2;
}
inline void ragged(Problem& p) { p.lengths = lengths_of(Ragged::kZeros, p.t, p.n); }
inline void dropout(Problem& p) {
  RnnConfig& c = p.config;
  c.dropout = c.recurrent_dropout = 0.3;
  p.input_masks = p.recurrent_masks = true;
  c.layer_dropout = c.num_layers > 1 ? 0.3 : 0;
  p.layer_masks = c.num_layers > 1;
}
inline void zoneout(Problem& p) {
  p.config.zoneout_h = 0.25;
  p.config.zoneout_c = p.config.cell == Cell::kLstm ? 0.5 : 0;
  p.zoneout_masks = true;
}
inline void dropconnect(Problem& p) {
  p.config.dropconnect = 0.3;
  p.dropconnect_masks = true;
}
inline void holes(Problem& p, Pattern set) { p.mask = flags_where(p, set); }
inline void resets(Problem& p, Pattern set) { p.resets = flags_where(p, set); }
inline void repeat_outputs(Problem& p) { p.config.masked_outputs = MaskedOutputs::kRepeat; }

template <Activation kKind>
void every_function(Problem& p) {
  using F = ActivationFunction;
  F f = kKind;
  if (kKind == Activation::kHardSigmoid) f = F(kKind, 1.0 / 6, 0.5);
  if (kKind == Activation::kAffine) f = F(kKind, 0.5, 0.25);
  if (kKind == Activation::kElu || kKind == Activation::kThresholdedRelu) f = F(kKind, 0.3);
  if (kKind == Activation::kScaledTanh) f = F(kKind, 1.7, 0.6);
  p.config.activation = p.config.gate_activation = p.config.output_activation = f;
  p.t = 3;  // unbounded gates multiply from step to step
  // A hard sigmoid's ends are far out.
  if (kKind == Activation::kHardSigmoid) p.x_scale = 6;
}
template <std::int64_t kH, std::int64_t kP>
void project(Problem& p) {
  p.config.hidden_size = kH;
  p.config.projection_size = kP;
}

inline Problem problem_of(const OptionCase& c, const CellChoice& cell, DType dtype) {
  Problem p;
  p.config = config_of(cell, dtype);
  p.config.input_size = 5;
  p.config.hidden_size = 9;
  p.t = 6;
  p.n = 5;
  c.set(p);
  return p;
}

}  // namespace rondo::testing
