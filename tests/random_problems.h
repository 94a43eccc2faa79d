// Random small configurations, all options together, and calls of them; arrays that may be absent or share
// memory are so by chance.
#pragma once

#include <vector>

#include "cases.h"
#include "random_fill.h"

namespace rondo::testing {

inline RnnConfig random_config(RandomFill& r, DType dtype) {
  RnnConfig c = config_of(cell_choices()[r.word() % cell_choices().size()], dtype);
  c.input_size = r.integer(1, 20);
  c.hidden_size = r.integer(1, 20);
  c.num_layers = r.integer(1, 3);
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
  return g;
}

inline Problem random_call(RandomFill& r, const RnnConfig& config) {
  Problem p;
  p.config = config;
  p.t = r.integer(1, 8);
  p.n = r.integer(0, 12);
  if (r.coin()) {
    for (std::int64_t row = 0; row < p.n; ++row) p.lengths.push_back(r.integer(0, p.t));
  }
  p.lengths_i64 = r.coin();
  p.initial_state = r.coin();
  p.input_masks = config.dropout > 0;
  p.recurrent_masks = config.recurrent_dropout > 0;
  p.layer_masks = config.layer_dropout > 0;
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
