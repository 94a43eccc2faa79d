// Where the parameters of one layer and direction lie in the flat array, for whoever packs them.
#pragma once

#include "rondo/types.h"

namespace rondo {

// Offsets in elements from the start of the flat array; absent ones are where they would be.
struct LayerParameters {
  std::int64_t in;  // columns of weight_ih
  std::int64_t weight_ih, weight_hh, bias_ih, bias_hh, weight_ch, norm_ih, norm_hh, norm_c, norm_c_bias,
      weight_hr, end;
};

inline LayerParameters layer_parameters(const RnnConfig& c, std::int64_t layer, std::int64_t start) {
  const std::int64_t h = c.hidden_size, gh = num_gates(c.cell) * h, s = state_size(c);
  const bool lstm = c.cell == Cell::kLstm;
  LayerParameters p{};
  p.in = layer_input_size(c, layer);
  p.weight_ih = start;
  p.weight_hh = p.weight_ih + gh * p.in;
  p.bias_ih = p.weight_hh + gh * s;
  p.bias_hh = p.bias_ih + (c.bias != Bias::kNone ? gh : 0);
  p.weight_ch = p.bias_hh + (c.bias == Bias::kDouble ? gh : 0);
  p.norm_ih = p.weight_ch + (c.peephole ? 3 * h : 0);
  p.norm_hh = p.norm_ih + (c.layer_norm ? gh : 0);
  p.norm_c = p.norm_hh + (c.layer_norm ? gh : 0);
  p.norm_c_bias = p.norm_c + (c.layer_norm && lstm ? h : 0);
  p.weight_hr = p.norm_c_bias + (c.layer_norm && lstm ? h : 0);
  p.end = p.weight_hr + (c.projection_size > 0 ? c.projection_size * h : 0);
  return p;
}

}  // namespace rondo
