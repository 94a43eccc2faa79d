// Forward pass of one layer: the input product over all steps, then the time loop.
#include "core/settings.h"
#include "cpu/layer.h"
#include "cpu/states.h"

namespace rondo::cpu {

template <class T>
void Layers<T>::forward(const LayerForward& call) {
  const FlushDenormals flush;
  const bool training = call.saved != nullptr;
  const std::int64_t flat_rows = call.sequence.total();
  Arena work(call.workspace), kept(call.saved);
  const Memory m = memory(work, weights(call).in, flat_rows, call.sequence.n, training);
  const Saved s = training ? saved(kept, flat_rows) : Saved{m.gates, nullptr};
  const std::int64_t ld = (training ? order_.columns : order_.gates) * hp_;

  project_input(call, m, s.gates, ld);
  forward_loop(call, m, s, ld);
}

template <class T>
void Layers<T>::project_input(const LayerForward& call, const Memory& m, T* gates, std::int64_t ld) const {
  const LayerWeights<T>& w = weights(call);
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
  for (int g = 0; g < call.masks.groups; ++g) {
    mask_sequence(call.sequence, call.x, masks + g * call.masks.group_rows * w.in, w.in, m.x_masked);
    if (call.masks.groups == 1) return multiply(0, order_.gates * gate_blocks);
    multiply(order_.input_column[g] * gate_blocks, gate_blocks);
  }
}

template <class T>
void Layers<T>::forward_loop(const LayerForward& call, const Memory& m, const Saved& saved,
                             std::int64_t ld) const {
  const Sequence& seq = call.sequence;
  const LayerWeights<T>& w = weights(call);
  const States<T> states{h_, hp_, seq.n};
  const bool masked = call.masks.recurrent != nullptr, lstm = config_.cell == Cell::kLstm;
  states.load(m.h[0], call.h0);
  if (lstm) states.load(m.c, call.c0);
  if (masked) states.load_masks(m.mask, call.masks);
  // A ragged reverse pass meets a row at its last valid step, which may be odd or even.
  if (seq.offsets != nullptr) std::copy_n(m.h[0], seq.n * hp_, m.h[1]);
  for (int side = 0; masked && side < (seq.offsets != nullptr ? 2 : 1); ++side) {
    states.apply_masks(m.h_masked[side], m.h[0], m.mask, call.masks.groups);
  }

  ForwardStep<T> base{};
  base.recurrent = w.recurrent;
  base.recurrent_n = w.recurrent_n;
  base.k = h_;
  base.group = base.mask_group = masked && call.masks.groups > 1 ? seq.n * hp_ : 0;
  base.ld_gates = seq.row_stride * ld;
  base.bias = w.bias;
  base.c = m.c;
  base.ld_c_saved = seq.row_stride * hp_;
  base.rh = m.rh;
  base.ld_y = seq.row_stride * call.y.ld;
  base.mask = masked ? m.mask : nullptr;
  base.groups = call.masks.groups;
  base.h = h_;
  base.hp = hp_;
  base.training = call.saved != nullptr;

  const typename Kernels<T>::Cell& step = cell();
  on_parts(seq, [&](Range range, auto meet) {
    const std::int64_t row_end = range.row_end;
    ForwardStep<T> a = base;
    for (std::int64_t i = 0; i < seq.t; ++i) {
      const std::int64_t s = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(s);
      const int now = static_cast<int>(i & 1);
      range.row_end = std::min(row_end, seq.rows(s));
      const bool any = range.row_begin < range.row_end;
      a.gates = saved.gates + start * ld;
      a.c_saved = saved.c == nullptr ? nullptr : saved.c + start * hp_;
      a.h_prev = m.h[now];
      a.h_next = m.h[1 - now];
      a.h_in = masked ? m.h_masked[now] : m.h[now];
      a.h_masked_next = m.h_masked[1 - now];
      a.y = call.y.data == nullptr ? nullptr : static_cast<T*>(call.y.data) + start * call.y.ld;
      if (any) step.forward(a, range);
      if (step.forward_second != nullptr) {
        meet();
        if (any) step.forward_second(a, range);
      }
      meet();
    }
  });
  states.store_last(seq, call.id.reverse, m.h, call.h_n);
  if (lstm) states.store(m.c, call.c_n);
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
