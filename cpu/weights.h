// Parameters in the order in which the kernels read them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "core/gate_order.h"
#include "core/memory.h"
#include "cpu/kernels/kernels.h"

namespace rondo::cpu {

std::int64_t round_up(std::int64_t n, std::int64_t multiple);

template <class T>
struct LayerWeights {
  std::int64_t in;      // columns of W
  std::int64_t offset;  // of its first parameter in the flat array
  T* input;             // W, columns of the gates' row, one gate wide
  T* recurrent;         // R, all gates of recurrent_gates
  T* recurrent_n;       // R_n, reset_before
  T* bias;              // [columns][Hp]
  // For training only.
  T* input_rows;    // W row by row, [G * Hp, in] in the order of the gates' row
  T* transposed;    // R transposed, one gate wide, K = recurrent_gates * Hp
  T* transposed_n;  // R_n transposed, reset_before
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
  void pack_layer(const LayerWeights<T>& w, const T* from) const;

  int directions_;
  std::int64_t lanes_, hp_;
  std::vector<LayerWeights<T>> layers_;
  AlignedMemory memory_;
};

}  // namespace rondo::cpu
