// Weights as Keras stores them, put into a Rondo network.
#pragma once

#include <string>
#include <vector>

#include "rondo/rnn.h"
#include "tensor_values.h"

namespace rondo::testing {

// One layer and direction. Gates are columns: LSTM i f c o, GRU z r h.
struct KerasWeights {
  std::vector<double> kernel;            // [in, G*H]
  std::vector<double> recurrent_kernel;  // [H, G*H]
  std::vector<double> bias;              // empty, [G*H], or [2, G*H] (the input's row, then the state's)
};

// Which of Keras's gates is Rondo's gate g. LSTM's order is the same, GRU's z r h becomes r z n.
inline std::int64_t keras_gate(Cell cell, std::int64_t g) { return cell == Cell::kGru && g < 2 ? 1 - g : g; }

// Keras's [rows, G*H] as Rondo's [G*H, rows].
inline std::vector<double> from_keras(Cell cell, std::int64_t hidden, const std::vector<double>& keras) {
  const std::int64_t columns = num_gates(cell) * hidden;
  const std::int64_t rows = static_cast<std::int64_t>(keras.size()) / columns;
  std::vector<double> rondo;
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t gate = keras_gate(cell, column / hidden);
    for (std::int64_t row = 0; row < rows; ++row) {
      rondo.push_back(keras[static_cast<std::size_t>(row * columns + gate * hidden + column % hidden)]);
    }
  }
  return rondo;
}

// suffix: "_l0", "_l0_reverse", ...
inline void load_keras(Rnn& rnn, const std::string& suffix, const KerasWeights& weights) {
  const Cell cell = rnn.config().cell;
  const std::int64_t hidden = rnn.config().hidden_size;
  store(rnn.parameter("weight_ih" + suffix), from_keras(cell, hidden, weights.kernel));
  store(rnn.parameter("weight_hh" + suffix), from_keras(cell, hidden, weights.recurrent_kernel));
  if (weights.bias.empty()) return;
  const auto row = weights.bias.begin() + num_gates(cell) * hidden;
  store(rnn.parameter("bias_ih" + suffix), from_keras(cell, hidden, {weights.bias.begin(), row}));
  if (row != weights.bias.end()) {
    store(rnn.parameter("bias_hh" + suffix), from_keras(cell, hidden, {row, weights.bias.end()}));
  }
}

}  // namespace rondo::testing
