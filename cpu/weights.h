// Parameters in the order in which the kernels read them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "core/memory.h"
#include "cpu/kernels/kernels.h"

namespace rondo::cpu {

// How a cell's gates lie in memory. Gates are canonical (LSTM i f g o, GRU r z n); columns are those of a
// row of gates, see kernels.h.
struct GateOrder {
  int gates;            // G
  int columns;          // of a row of gates in training
  int input_columns;    // of them, fed by W: columns 0 .. input_columns - 1
  int first_recurrent;  // the column where those fed by R (but for reset_before's n) begin
  int recurrent_gates;  // how many: G, or 2 under reset_before
  int input_column[4];      // of a gate, as fed by W
  int recurrent_column[4];  // of a gate, where the gradient of what R feeds lies
};
const GateOrder& gate_order(const RnnConfig& config);

std::int64_t round_up(std::int64_t n, std::int64_t multiple);

template <class T>
struct LayerWeights {
  std::int64_t in;         // columns of W
  const T* input;          // W, columns of the gates' row, one gate wide
  const T* recurrent;      // R, all gates of recurrent_gates
  const T* recurrent_n;    // R_n, reset_before
  const T* transposed;     // R transposed, one gate wide, K = recurrent_gates * Hp; training
  const T* transposed_n;   // R_n transposed, reset_before; training
  const T* bias;           // [columns][Hp]
  const T* plain_input;    // W as it was, [G*H, in]; training
};

template <class T>
class Weights final : public Packed {
 public:
  Weights(const RnnConfig& config, Phase phase, const void* parameters, const Kernels<T>& kernels);
  const LayerWeights<T>& layer(std::int64_t layer, bool reverse) const {
    return layers_[static_cast<std::size_t>(layer * directions_ + (reverse && directions_ == 2 ? 1 : 0))];
  }

 private:
  std::size_t lay_out(std::byte* memory);  // the bytes it takes; without memory only those
  const T* pack_layer(const LayerWeights<T>& w, const T* from) const;

  int directions_;
  std::int64_t lanes_, hp_;
  std::vector<LayerWeights<T>> layers_;
  AlignedMemory memory_;
};

}  // namespace rondo::cpu
