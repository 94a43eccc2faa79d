// The options of a cell as its general equations read them (core/cells), on every device: plain numbers of
// the pass's type.
#pragma once

#include <algorithm>
#include <limits>

#include "rondo/types.h"

namespace rondo {

// low, high: its smallest and largest value where what it reads is clipped; there the derivative is 0.
template <class T>
struct CellFunction {
  Activation kind = Activation::kTanh;
  T alpha = 1, beta = 0;
  T low = -std::numeric_limits<T>::infinity(), high = std::numeric_limits<T>::infinity();
};

template <class T>
struct CellOptions {
  CellFunction<T> gate, candidate, output;
  T clip = 0, cell_clip = 0;  // 0: none
  bool input_forget = false;
  T update_h = 1, update_c = 1;  // of the new state, where no mask of zoneout says it
};

// Whether a configuration needs the general equations.
inline bool has_cell_options(const RnnConfig& c) {
  const bool simple = c.cell == Cell::kSimpleRnn, lstm = c.cell == Cell::kLstm;
  const bool usual = simple ? c.activation == Activation::kTanh || c.activation == Activation::kRelu
                            : c.activation == Activation::kTanh && c.gate_activation == Activation::kSigmoid;
  return !usual || (lstm && c.output_activation != Activation::kTanh) || c.peephole || c.input_forget ||
         c.projection_size > 0 || c.cell_sequence || c.preactivation_clip > 0 || c.cell_clip > 0 ||
         c.zoneout_h > 0 || c.zoneout_c > 0;
}

// activate(function, x): the backend's own, so that bounds are the very values that it computes.
template <class T, class Activate>
CellOptions<T> cell_options(const RnnConfig& c, Phase phase, Activate&& activate) {
  CellOptions<T> o;
  const auto function = [&](const ActivationFunction& f, double clip) {
    CellFunction<T> made{f.kind, static_cast<T>(f.alpha), static_cast<T>(f.beta)};
    if (clip == 0) return made;
    const T below = activate(made, static_cast<T>(-clip)), above = activate(made, static_cast<T>(clip));
    made.low = std::min(below, above);
    made.high = std::max(below, above);
    return made;
  };
  o.gate = function(c.gate_activation, c.preactivation_clip);
  o.candidate = function(c.activation, c.preactivation_clip);
  o.output = function(c.output_activation, 0);
  o.clip = static_cast<T>(c.preactivation_clip);
  o.cell_clip = static_cast<T>(c.cell_clip);
  o.input_forget = c.input_forget;
  if (phase == Phase::kInference) o.update_h = static_cast<T>(1 - c.zoneout_h);
  if (phase == Phase::kInference) o.update_c = static_cast<T>(1 - c.zoneout_c);
  return o;
}

}  // namespace rondo
