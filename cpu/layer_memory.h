// The working memory of a layer's passes, and the division of its rows and units among threads.
#pragma once

#include <algorithm>

#include "cpu/layer.h"

namespace rondo::cpu {

template <class T>
struct Layers<T>::ForwardMemory {
  T* h[2];         // [n][Hp], states of even and odd steps
  T* c;            // [n][Hp], LSTM
  T* rh;           // [n][Hp], reset_before
  T* gates;        // [P][input_columns * Hp], inference; training has them saved
  T* mask;         // [groups][n][Hp]
  T* h_masked[2];  // [groups][n][Hp]
  T* x_masked;     // [P][in]
};

template <class T>
struct Layers<T>::BackwardMemory {
  T *carry, *dc;   // [n][Hp]: gradients on their way to the step before
  T *h0, *c0;      // [n][Hp]
  T* dh0;          // [n][Hp]
  T* mask;         // [groups][n][Hp]
  T* h_in;         // [P][H], what R multiplied
  T* x_masked;     // [P][in], what W multiplied; then d loss / d of it
};

// Rows in one part a thread, balanced by their steps; or units.
template <class T>
struct Layers<T>::Split {
  int threads = 1;
  bool by_rows = false;

  // The part of thread `index` of `count`.
  Range part(const Sequence& sequence, std::int64_t blocks, int index, int count) const {
    Range range{0, sequence.n, 0, blocks};
    if (by_rows && count > 1) {
      range.row_begin = cut(sequence, index, count);
      range.row_end = cut(sequence, index + 1, count);
    } else {
      range.block_begin = blocks * index / count;
      range.block_end = blocks * (index + 1) / count;
    }
    return range;
  }

 private:
  // The first row of part `index`: a multiple of 4 where the rows before have their share of all steps.
  static std::int64_t cut(const Sequence& sequence, int index, int count) {
    constexpr std::int64_t kStep = 4;
    if (index == 0) return 0;
    if (index == count) return sequence.n;
    const std::int64_t share = sequence.total() * index / count;
    if (sequence.offsets == nullptr) {
      return std::min(sequence.n, (share / sequence.t + kStep - 1) / kStep * kStep);
    }
    std::int64_t row = 0, steps = 0;
    for (; row < sequence.n && steps < share; row += kStep) {
      for (std::int64_t s = 0; s < sequence.t; ++s) {
        steps += std::clamp<std::int64_t>(sequence.rows(s) - row, 0, kStep);
      }
    }
    return std::min(row, sequence.n);
  }
};

}  // namespace rondo::cpu
