// Random small configurations, all options together, and calls of them; arrays that may be absent or share
// memory are so by chance.
#pragma once

#include <vector>

#include "cases.h"
#include "random_fill.h"

namespace rondo::testing {

// The largest sizes that are drawn.
struct Sizes {
  std::int64_t width = 20, layers = 3, steps = 8, rows = 12;
};

// A function whose values stay within about 1, so that a state does not grow from step to step: for gates.
inline ActivationFunction random_bounded_function(RandomFill& r) {
  using F = ActivationFunction;
  const F all[] = {Activation::kSigmoid, Activation::kHardSigmoid, F(Activation::kHardSigmoid, 1.0 / 6, 0.5),
                   Activation::kTanh, Activation::kSoftsign, F(Activation::kScaledTanh, 0.7, 1.3)};
  return all[r.word() % std::size(all)];
}
inline ActivationFunction random_function(RandomFill& r) {
  using F = ActivationFunction;
  const F all[] = {Activation::kRelu, F(Activation::kAffine, 0.5, -0.25), Activation::kSoftplus, Activation::kElu,
                   F(Activation::kElu, 0.3), Activation::kLeakyRelu, F(Activation::kThresholdedRelu, 0.3)};
  return r.coin() ? random_bounded_function(r) : all[r.word() % std::size(all)];
}

// What only some cells and networks have.
inline void draw_options(RandomFill& r, RnnConfig& c) {
  const bool lstm = c.cell == Cell::kLstm, gru = c.cell == Cell::kGru;
  const auto once_in = [&](std::int64_t k) { return r.integer(1, k) == 1; };
  if (once_in(3)) c.activation = random_function(r);
  if (once_in(3)) c.gate_activation = random_bounded_function(r);
  if (once_in(3)) c.output_activation = random_function(r);
  if (once_in(5)) c.preactivation_clip = 0.1 + 0.25 * static_cast<double>(r.integer(2, 8));
  if (once_in(5)) c.zoneout_h = 0.25;
  if (once_in(5)) c.dropconnect = 0.25;
  if (lstm) {
    c.peephole = once_in(4);
    c.input_forget = once_in(4);
    c.cell_sequence = once_in(3);
    if (once_in(4) && c.hidden_size > 1) c.projection_size = r.integer(1, c.hidden_size - 1);
    if (once_in(5)) c.cell_clip = 0.1 + 0.25 * static_cast<double>(r.integer(1, 6));
    if (once_in(5)) c.zoneout_c = 0.5;
  }
  const bool has_norms = (lstm && c.projection_size == 0) || (gru && c.gru_reset == GruReset::kAfter);
  // The norm of the multiples of one number keeps nothing but its sign: gradients would be rounding alone.
  const bool normable = has_norms && c.hidden_size > 1 && c.input_size > 1;
  c.layer_norm = normable && once_in(4);
  if (r.coin()) c.layer_norm_epsilon = 1e-3;
  c.masked_outputs = static_cast<MaskedOutputs>(r.integer(0, 1));
  const bool checkpoints = c.direction != Direction::kBidirectional && c.masked_outputs == MaskedOutputs::kZero;
  if (checkpoints && once_in(3)) c.checkpoint_every = r.integer(1, 4);
}

inline RnnConfig random_config(RandomFill& r, DType dtype, const Sizes& most = {}) {
  RnnConfig c = config_of(cell_choices()[r.word() % cell_choices().size()], dtype);
  c.input_size = r.integer(1, most.width);
  c.hidden_size = r.integer(1, most.width);
  c.num_layers = r.integer(1, most.layers);
  c.direction = static_cast<Direction>(r.integer(0, 2));
  c.merge = static_cast<Merge>(r.integer(0, 4));
  c.bias = static_cast<Bias>(r.integer(0, 2));
  c.layout = static_cast<Layout>(r.integer(0, 1));
  c.outputs = static_cast<Outputs>(r.integer(0, 1));
  c.gate_masks = static_cast<GateMasks>(r.integer(0, 1));
  c.layer_masks = static_cast<LayerMasks>(r.integer(0, 1));
  const auto sometimes = [&](double rate) { return r.coin() ? rate : 0; };
  c.dropout = sometimes(0.25);
  c.recurrent_dropout = sometimes(0.5);
  c.layer_dropout = c.num_layers > 1 ? sometimes(0.75) : 0;
  // Of the types of 16 bits no device has more.
  if (element_bytes(dtype) > 2 && r.coin()) draw_options(r, c);
  return c;
}

inline Given random_given(RandomFill& r) {
  using G = Given;
  G g;
  for (bool G::*array : {&G::y, &G::y_reverse, &G::h_n, &G::c_n, &G::dy, &G::dy_reverse, &G::dh_n, &G::dc_n,
                         &G::dx, &G::dh0, &G::dc0, &G::dparameters}) {
    g.*array = r.integer(0, 3) > 0;
  }
  for (bool G::*alias : {&G::h_n_is_h0, &G::c_n_is_c0, &G::dh0_is_dh_n, &G::dc0_is_dc_n}) {
    g.*alias = r.coin();
  }
  g.c = r.coin();
  g.dc = r.coin();
  return g;
}

// One flag a step and row, set in the given number of ten.
inline std::vector<std::uint8_t> random_flags(RandomFill& r, const Problem& p, std::int64_t of_ten) {
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(p.t * p.n));
  // Any value but 0 stands for a flag that is set.
  for (std::uint8_t& flag : flags) flag = r.integer(1, 10) <= of_ten ? (r.coin() ? 1 : 7) : 0;
  return flags;
}

inline Problem random_call(RandomFill& r, const RnnConfig& config, const Sizes& most = {}) {
  Problem p;
  p.config = config;
  p.t = r.integer(1, most.steps);
  p.n = r.integer(0, most.rows);
  if (r.coin()) {
    for (std::int64_t row = 0; row < p.n; ++row) p.lengths.push_back(r.integer(0, p.t));
  }
  p.lengths_i64 = r.coin();
  if (element_bytes(config.dtype) > 2) {  // cuDNN, which alone runs 16 bits, has no resets
    if (r.integer(0, 2) == 0) p.mask = random_flags(r, p, r.integer(0, 10));
    if (r.integer(0, 2) == 0) p.resets = random_flags(r, p, r.integer(0, 10));
  }
  p.initial_state = r.coin();
  p.input_masks = config.dropout > 0;
  p.recurrent_masks = config.recurrent_dropout > 0;
  p.layer_masks = config.layer_dropout > 0;
  p.zoneout_masks = true;
  p.dropconnect_masks = config.dropconnect > 0;
  p.one_element_off = r.coin();
  p.spare_t = r.integer(0, 3);
  p.spare_n = r.integer(0, 3);
  p.given = random_given(r);
  return p;
}

// Calls of one plan, of different sizes: what one leaves behind must not reach the next.
inline std::vector<Problem> random_problems(std::uint64_t seed, DType dtype, std::uint64_t count) {
  RandomFill r(seed);
  const RnnConfig config = random_config(r, dtype);
  std::vector<Problem> calls;
  for (std::uint64_t call = 0; call < count; ++call) {
    calls.push_back(random_call(r, config));
    calls.back().seed = seed * count + call;
  }
  return calls;
}

}  // namespace rondo::testing
