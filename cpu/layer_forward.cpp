// Forward pass of one layer: the input product over all steps, then the time loop.
#include <algorithm>

#include "core/settings.h"
#include "cpu/layer.h"
#include "cpu/layer_memory.h"
#include "cpu/states.h"
#include "cpu/team.h"

namespace rondo::cpu {

template <class T>
void Layers<T>::forward(const LayerForward& call) {
  const FlushDenormals flush;
  const LayerWeights<T>& w = static_cast<const Weights<T>&>(call.weights).layer(call.id.layer, call.id.reverse);
  const std::int64_t flat_rows = call.sequence.total();
  const bool training = call.saved != nullptr;
  Arena arena(call.workspace);
  const ForwardMemory m = forward_memory(arena, w.in, flat_rows, call.sequence.n, training);
  const Saved<T> kept = training ? saved(call.saved, flat_rows, nullptr) : Saved<T>{m.gates, nullptr};
  const std::int64_t ld = (training ? order_.columns : order_.input_columns) * hp_;

  project_input(call, w, m, kept.gates, ld);
  forward_loop(call, w, m, kept.gates, ld, kept.c);
}

template <class T>
void Layers<T>::project_input(const LayerForward& call, const LayerWeights<T>& w, const ForwardMemory& m, T* gates,
                              std::int64_t ld) const {
  const std::int64_t flat_rows = call.sequence.total(), gate_blocks = hp_ / kernels_.lanes;
  const T* masks = static_cast<const T*>(call.masks.input);
  const std::int64_t flops = 2 * flat_rows * order_.gates * h_ * w.in;
  const int threads = flops < 400'000 ? 1 : num_threads();
  Product<T> product{static_cast<const T*>(call.x.data), call.x.ld, w.in, w.input, gates, ld};
  const auto multiply = [&](std::int64_t first_block, std::int64_t blocks) {
    on_team(Together::kApart, threads, [&](int index, int count) {
      Range range{0, flat_rows, first_block, first_block + blocks};
      if (flat_rows >= count * kernels_.row_tile) {
        const std::int64_t tiles = flat_rows / kernels_.row_tile;
        range.row_begin = tiles * index / count * kernels_.row_tile;
        if (index + 1 < count) range.row_end = tiles * (index + 1) / count * kernels_.row_tile;
      } else {
        range.block_begin = first_block + blocks * index / count;
        range.block_end = first_block + blocks * (index + 1) / count;
      }
      kernels_.product(product, range);
    });
  };
  if (masks == nullptr) return multiply(0, order_.gates * gate_blocks);
  product.in = m.x_masked;
  product.ld_in = w.in;
  for (int g = 0; g < call.masks.input_groups; ++g) {
    mask_sequence(call.sequence, call.x, masks + g * call.masks.group_rows * w.in, w.in, m.x_masked);
    if (call.masks.input_groups == 1) return multiply(0, order_.gates * gate_blocks);
    multiply(order_.input_column[g] * gate_blocks, gate_blocks);
  }
}

template <class T>
void Layers<T>::forward_loop(const LayerForward& call, const LayerWeights<T>& w, const ForwardMemory& m, T* gates,
                             std::int64_t ld, T* c_saved) const {
  const Sequence& seq = call.sequence;
  const std::int64_t n = seq.n;
  const States<T> states{h_, hp_, n};
  const int groups = call.masks.recurrent_groups;
  const bool masked = call.masks.recurrent != nullptr;
  states.load(m.h[0], call.h0);
  if (config_.cell == Cell::kLstm) states.load(m.c, call.c0);
  // A ragged reverse pass meets a row at its last valid step, which may be odd or even.
  const bool joins = seq.offsets != nullptr && call.id.reverse;
  if (joins) std::copy_n(m.h[0], n * hp_, m.h[1]);
  if (masked) {
    states.load_masks(m.mask, call.masks);
    for (int side = 0; side < (joins ? 2 : 1); ++side) states.apply_masks(m.h_masked[side], m.h[0], m.mask, groups);
  }

  ForwardStep<T> base{};
  base.recurrent = w.recurrent;
  base.recurrent_n = w.recurrent_n;
  base.k = h_;
  base.group = base.mask_group = masked && groups > 1 ? n * hp_ : 0;
  base.ld_gates = seq.row_stride * ld;
  base.bias = w.bias;
  base.c = m.c;
  base.ld_c_saved = seq.row_stride * hp_;
  base.rh = m.rh;
  base.ld_y = seq.row_stride * call.y.ld;
  base.mask = masked ? m.mask : nullptr;
  base.groups = groups;
  base.h = h_;
  base.hp = hp_;
  base.training = call.saved != nullptr;

  const typename Kernels<T>::Cell& step = cell();
  const Split split = split_work(seq);
  Barrier barrier;
  on_team(split.by_rows ? Together::kApart : Together::kTogether, split.threads, [&](int index, int count) {
    const bool meets = count > 1 && !split.by_rows;
    const Range mine = split.part(seq, hp_ / kernels_.lanes, index, count);
    ForwardStep<T> a = base;
    for (std::int64_t i = 0; i < seq.t; ++i) {
      const std::int64_t s = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(s);
      const int now = static_cast<int>(i & 1);
      Range range = mine;
      range.row_end = std::min(mine.row_end, seq.rows(s));
      a.gates = gates + start * ld;
      a.c_saved = c_saved == nullptr ? nullptr : c_saved + start * hp_;
      a.h_prev = m.h[now];
      a.h_next = m.h[1 - now];
      a.h_in = masked ? m.h_masked[now] : m.h[now];
      a.h_masked_next = m.h_masked[1 - now];
      a.y = call.y.data == nullptr ? nullptr : static_cast<T*>(call.y.data) + start * call.y.ld;
      if (range.row_begin < range.row_end) step.forward(a, range);
      if (step.forward_second != nullptr) {
        if (meets) barrier.wait(count);
        if (range.row_begin < range.row_end) step.forward_second(a, range);
      }
      if (meets) barrier.wait(count);
    }
  });
  states.store_last(seq, call.id.reverse, m.h[0], m.h[1], call.h_n);
  if (config_.cell == Cell::kLstm) states.store(m.c, call.c_n);
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
