// Parameters in the order in which the kernels read them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "core/gate_order.h"
#include "core/layer_parameters.h"
#include "core/memory.h"
#include "cpu/kernels/kernels.h"

namespace rondo::cpu {

std::int64_t round_up(std::int64_t n, std::int64_t multiple);

template <class T>
struct LayerWeights {
  LayerParameters at;  // in the flat array
  T* input;            // W, columns of the gates' row, one gate wide
  T* recurrent;        // R, all gates of recurrent_gates
  T* recurrent_n;      // R_n, reset_before
  T* bias;             // [columns][Hp]
  T* peephole;         // [3][Hp]; null: none
  T* projection;       // W_hr, one gate wide; null: none
  // Layer normalisation: [G][Hp] in the order of the gates' row, [G][Hp] canonical, [Hp]; null: none.
  T *norm_x, *norm_h, *norm_c, *norm_c_shift;
  // For training only.
  T* input_transposed;       // W transposed, one gate wide, K = G * Hp in the order of the gates' row
  T* transposed;             // R transposed, one gate wide, K = recurrent_gates * Hp
  T* transposed_n;           // R_n transposed, reset_before
  T* transposed_projection;  // W_hr transposed, one gate wide, K = Sp
};

// How the matrices of R are packed; for R itself, and for factors of its elements.
template <class T>
class RecurrentPacking {
 public:
  RecurrentPacking(const RnnConfig& config, std::int64_t lanes);
  // What the pass reads, as forward or as backward does.
  void lay_out_forward(LayerWeights<T>& w, Arena& arena) const;
  void lay_out_backward(LayerWeights<T>& w, Arena& arena) const;
  // weight_hh: [G*H, S], or what has its shape, to what is laid out. Blocks index, index + count, ... of
  // units.
  void pack(const LayerWeights<T>& to, const T* weight_hh, int index, int count) const;
  // to, laid out, = R of `from` with each element times that of factors [G*H, S].
  void multiply(const LayerWeights<T>& to, const LayerWeights<T>& from, const T* factors, int threads) const;

 private:
  const GateOrder& order_;
  std::int64_t lanes_, h_, hp_, s_, sp_;
};

// The memory of weights that are gone, for the next: in training new ones come with every step, and pages
// fresh from the system cost as much as packing.
class SpareMemory {
 public:
  void swap(AlignedMemory& memory) {
    const std::lock_guard lock(mutex_);
    std::swap(memory_, memory);
  }

 private:
  std::mutex mutex_;
  AlignedMemory memory_;
};

template <class T>
class Weights final : public Packed {
 public:
  Weights(const RnnConfig& config, Phase phase, const void* parameters, const Kernels<T>& kernels,
          std::shared_ptr<SpareMemory> spare);
  ~Weights() override { spare_->swap(memory_); }
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;
  const LayerWeights<T>& layer(std::int64_t layer, bool reverse) const {
    return layers_[static_cast<std::size_t>(layer * directions_ + (reverse && directions_ == 2 ? 1 : 0))];
  }

 private:
  std::size_t lay_out(std::byte* memory);  // the bytes it takes; without memory only those
  void pack_layer(const LayerWeights<T>& w, const T* layer) const;
  std::vector<T> without_f(const LayerWeights<T>& w, const T* layer) const;
  void pack_biases(const LayerWeights<T>& w, const T* layer) const;

  int directions_;
  std::int64_t lanes_, hp_, sp_;
  RecurrentPacking<T> packing_;
  std::vector<LayerWeights<T>> layers_;
  std::shared_ptr<SpareMemory> spare_;
  AlignedMemory memory_;
};

}  // namespace rondo::cpu
