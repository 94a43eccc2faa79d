// States and masks between the stack's rows, H wide, and the kernels' rows, Hp wide.
#pragma once

#include <algorithm>

#include "core/stack.h"

namespace rondo::cpu {

template <class T>
struct States {
  std::int64_t h, hp, n;

  // to [n][Hp], zero-padded; from [n][H], null: zeros.
  void load(T* to, const void* from) const {
    for (std::int64_t r = 0; r < n; ++r) {
      T* row = to + r * hp;
      const std::int64_t width = from == nullptr ? 0 : h;
      if (from != nullptr) std::copy_n(static_cast<const T*>(from) + r * h, h, row);
      std::fill_n(row + width, hp - width, T(0));
    }
  }

  // to [n][H]; null: not wanted.
  void store(const T* from, void* to) const {
    for (std::int64_t r = 0; to != nullptr && r < n; ++r) store_row(from, to, r);
  }

  // After the time loop each row's last state lies in the buffer of its number of steps, odd or even.
  void store_last(const Sequence& seq, bool reverse, T* const* even_odd, void* to) const {
    if (to == nullptr) return;
    if (seq.offsets == nullptr || reverse) return store(even_odd[seq.t % 2], to);
    for (std::int64_t s = 0; s < seq.t; ++s) {
      const std::int64_t longer = s + 1 < seq.t ? seq.rows(s + 1) : 0;
      for (std::int64_t r = longer; r < seq.rows(s); ++r) store_row(even_odd[(s + 1) % 2], to, r);
    }
  }

  // to [groups][n][Hp] of recurrent masks.
  void load_masks(T* to, const MaskFactors& masks) const {
    for (int g = 0; g < masks.groups; ++g) {
      load(to + g * n * hp, static_cast<const T*>(masks.recurrent) + g * masks.group_rows * h);
    }
  }

  // to [groups][n][Hp] = state * mask of each group.
  void apply_masks(T* to, const T* state, const T* masks, int groups) const {
    for (int g = 0; g < groups; ++g) {
      for (std::int64_t i = 0; i < n * hp; ++i) to[g * n * hp + i] = state[i] * masks[g * n * hp + i];
    }
  }

 private:
  void store_row(const T* from, void* to, std::int64_t r) const {
    std::copy_n(from + r * hp, h, static_cast<T*>(to) + r * h);
  }
};

// Calls visit(step, row, flat row) for flat rows [begin, end), in their order.
template <class Visit>
void for_each_row(const Sequence& seq, std::int64_t begin, std::int64_t end, Visit&& visit) {
  const bool by_rows = seq.offsets == nullptr && seq.step_stride != seq.n;  // a row's steps lie together
  std::int64_t s = by_rows ? begin % seq.t : begin / seq.n, r = by_rows ? begin / seq.t : begin % seq.n;
  if (seq.offsets != nullptr) {
    s = std::upper_bound(seq.offsets, seq.offsets + seq.t, begin) - seq.offsets - 1;
    r = begin - seq.offsets[s];
  }
  for (std::int64_t flat = begin; flat < end; ++flat) {
    visit(s, r, flat);
    std::int64_t &inner = by_rows ? s : r, &outer = by_rows ? r : s;
    if (inner + 1 < (by_rows ? seq.t : seq.rows(s))) {
      ++inner;
    } else {
      inner = 0;
      ++outer;
    }
  }
}

// For every row of every step.
template <class Visit>
void for_each_row(const Sequence& seq, Visit&& visit) {
  if (seq.n > 0) for_each_row(seq, 0, seq.total(), visit);
}

// to [P][width], dense = x times its row's mask [n][width].
template <class T>
void mask_sequence(const Sequence& seq, ConstRows x, const T* mask, std::int64_t width, T* to) {
  for_each_row(seq, [&](std::int64_t, std::int64_t r, std::int64_t flat) {
    const T* from = static_cast<const T*>(x.data) + flat * x.ld;
    for (std::int64_t j = 0; j < width; ++j) to[flat * width + j] = from[j] * mask[r * width + j];
  });
}

}  // namespace rondo::cpu
