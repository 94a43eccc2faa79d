// Forward pass of one layer: the input product over all steps or some, then the time loop over them.
#include "cpu/layer.h"
#include "cpu/states.h"

namespace rondo::cpu {

template <class T>
void Layers<T>::forward(const LayerForward& call) {
  const FlushDenormals flush;
  begin(call, false);
  const bool training = call.saved != nullptr;
  const std::int64_t flat_rows = call.sequence.total();
  Arena work(call.workspace), kept(call.saved);
  Memory m = memory(work, weights(call).at.in, flat_rows, call.sequence.n, training);
  m.w = connected(call, m.forward_r);
  const Saved s = training ? saved(kept, flat_rows) : Saved{m.gates, nullptr, nullptr, {}};
  const std::int64_t ld = (training ? order_.columns : order_.gates) * hp_;
  start_states(call, m);
  const ForwardPass pass{call, m, s, ld, forward_step(call, m, s, ld)};
  const Split split = split_steps(call.sequence);
  const bool own = owns_rows(call, split);
  const std::int64_t steps = steps_at_once(call, ld, own ? split.threads : 1);
  const auto for_each_window = [&](auto visit) {
    for (std::int64_t first = 0; first < call.sequence.t; first += steps) {
      visit(window_of(pass, first, std::min(first + steps, call.sequence.t)));
    }
  };
  if (own) {
    on_parts(call.sequence, split, [&](const Parts& parts, auto meet) {
      for_each_window([&](const Window& window) {
        project_rows(pass, window, parts.units);
        forward_steps(pass, window, parts, meet);
      });
    });
  } else {
    for_each_window([&](const Window& window) {
      project_input(pass, window);
      if (config_.layer_norm) normalise_input(call, m, s, ld);
      on_parts(call.sequence, split,
               [&](const Parts& parts, auto meet) { forward_steps(pass, window, parts, meet); });
    });
  }
  const bool lstm = config_.cell == Cell::kLstm;
  h_states(call).store_last(call.sequence, call.id.reverse, m.h, call.h_n);
  if (lstm) c_states(call).store(m.c, call.c_n);
  divider_.end();
}

// Threads that share the rows make the input products of their own, whose gates then need not go from one
// core's caches to another's, which may be far. Not where all rows are masked or normalised in between, or
// where windows of rows that end would have one thread write what another has yet to read.
template <class T>
bool Layers<T>::owns_rows(const LayerForward& call, const Split& split) const {
  const bool apart = config_.layer_norm || call.masks.input != nullptr;
  const bool fixed_places = call.saved != nullptr || call.sequence.offsets == nullptr;
  return split.by_rows && split.threads > 1 && !apart && fixed_places;
}

// One thread: so many that the gates stay in the second-level cache from the input product to the time loop,
// and that W is not read too often. Several: 8 MiB, enough work that handing it over is nothing beside it.
template <class T>
typename Layers<T>::WindowRows Layers<T>::window_rows(std::int64_t ld) const {
  constexpr std::int64_t kAloneBytes = 128 << 10, kTogetherBytes = 8 << 20, kLeastRows = 96;
  const std::int64_t row_bytes = ld * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t alone = std::max(kAloneBytes / row_bytes, kLeastRows);
  return {alone, std::max(kTogetherBytes / row_bytes, 2 * alone)};
}

// All of them where their gates are kept, are of another order, or are few. `owners`: so many threads share
// the rows, each as one that is alone.
template <class T>
std::int64_t Layers<T>::steps_at_once(const LayerForward& call, std::int64_t ld, int owners) const {
  const Sequence& seq = call.sequence;
  const bool training = call.saved != nullptr, alone = threads() == 1 || owners > 1;
  const bool apart = config_.layer_norm || call.masks.input != nullptr || seq.row_stride != 1;
  if (apart || seq.n == 0 || (training && !alone)) return seq.t;
  const WindowRows most = window_rows(ld);
  const std::int64_t rows = alone ? std::min(owners * most.alone, most.together) : most.together;
  const bool few = seq.total() < (alone ? 2 : 1) * rows && seq.total() <= most.together;
  return few ? seq.t : std::max<std::int64_t>(1, rows / seq.n);
}

// For any number of threads.
template <class T>
std::int64_t Layers<T>::gate_rows(std::int64_t flat_rows, std::int64_t n) const {
  if (config_.layer_norm || config_.layout == Layout::kBatchMajor) return flat_rows;
  return std::min(flat_rows, std::max(n, window_rows(order_.gates * hp_).together));
}

template <class T>
typename Layers<T>::Window Layers<T>::window_of(const ForwardPass& pass, std::int64_t first,
                                                std::int64_t last) const {
  const Sequence& seq = pass.call.sequence;
  const std::int64_t begin = pass.call.id.reverse ? seq.t - last : first, end = begin + last - first;
  Window window{first, last, begin, 0, seq.total(), pass.saved.gates};
  if (last - first == seq.t) return window;
  window.row = seq.start(begin);
  window.rows = seq.start(end - 1) + seq.rows(end - 1) - window.row;
  // Those of inference are used up with the window, and lie where those before lay, in a cache.
  if (pass.call.saved != nullptr) window.gates += window.row * pass.ld;
  return window;
}

template <class T>
Product<T> Layers<T>::input_product(const ForwardPass& pass, const Window& window) const {
  const ConstRows x = pass.call.x;
  const LayerWeights<T>& w = pass.m.w;
  return {.in = static_cast<const T*>(x.data) + window.row * x.ld,
          .ld_in = x.ld,
          .k = w.at.in,
          .packed = w.input,
          .packed_k = w.at.in,
          .out = window.gates,
          .ld_out = pass.ld,
          .width = order_.gates * hp_,
          .add = false};
}

// Of a thread's own rows: by the steps or by the rows, whichever are more at once, so that W is read less
// often.
template <class T>
void Layers<T>::project_rows(const ForwardPass& pass, const Window& window, const Range& own) const {
  const Sequence& seq = pass.call.sequence;
  const std::int64_t steps = window.last - window.first, blocks = order_.gates * hp_ / kernels_.lanes;
  const Product<T> all = input_product(pass, window);
  Product<T> part = all;
  const auto start_at = [&](std::int64_t row) {
    part.in = all.in + row * all.ld_in;
    part.out = all.out + row * all.ld_out;
  };
  const bool by_rows = seq.offsets == nullptr && own.row_end - own.row_begin < steps;
  part.ld_in *= by_rows ? seq.step_stride : seq.row_stride;
  part.ld_out *= by_rows ? seq.step_stride : seq.row_stride;
  for (std::int64_t r = own.row_begin; by_rows && r < own.row_end; ++r) {
    start_at(r * seq.row_stride);
    kernels_.product(part, {0, steps, 0, blocks});
  }
  for (std::int64_t s = window.step; !by_rows && s < window.step + steps; ++s) {
    const std::int64_t row_end = std::min(own.row_end, seq.rows(s));
    if (own.row_begin >= row_end) continue;
    start_at(seq.start(s) - window.row);
    kernels_.product(part, {own.row_begin, row_end, 0, blocks});
  }
}

// Of all rows.
template <class T>
void Layers<T>::project_input(const ForwardPass& pass, const Window& window) const {
  const LayerForward& call = pass.call;
  const Memory& m = pass.m;
  const std::int64_t in = m.w.at.in;
  const std::int64_t flat_rows = window.rows, gate_blocks = hp_ / kernels_.lanes;
  const T* masks = static_cast<const T*>(call.masks.input);
  Product<T> product = input_product(pass, window);
  const Blocks all{0, order_.gates * gate_blocks};
  if (masks == nullptr) return multiply(product, flat_rows, all, threads());
  product.in = m.x_masked;
  product.ld_in = in;
  for (int g = 0; g < call.masks.groups; ++g) {
    mask_sequence(call.sequence, call.x, masks + g * call.masks.group_rows * in, in, m.x_masked);
    if (call.masks.groups == 1) return multiply(product, flat_rows, all, threads());
    const std::int64_t first = order_.input_column[g] * gate_blocks;
    multiply(product, flat_rows, {first, first + gate_blocks}, threads());
  }
}

// What all steps share.
template <class T>
ForwardStep<T> Layers<T>::forward_step(const LayerForward& call, const Memory& m, const Saved& s,
                                       std::int64_t ld) const {
  const Sequence& seq = call.sequence;
  const bool masked = call.masks.recurrent != nullptr;
  ForwardStep<T> step{};
  step.recurrent = m.w.recurrent;
  step.recurrent_n = m.w.recurrent_n;
  step.k = s_;
  step.group = step.mask_group = masked && call.masks.groups > 1 ? seq.n * sp_ : 0;
  step.ld_gates = seq.row_stride * ld;
  step.bias = m.w.bias;
  step.c = m.c;
  step.ld_c_saved = seq.row_stride * hp_;
  step.rh = m.rh;
  step.ld_y = seq.row_stride * call.y.ld;
  step.mask = masked ? m.mask : nullptr;
  step.groups = call.masks.groups;
  step.h = h_;
  step.hp = hp_;
  step.s = s_;
  step.sp = sp_;
  step.read_columns = order_.gates;
  step.training = call.saved != nullptr;
  step.far = step.training && far_rows(seq);
  step.options = step.training ? &training_options_ : &inference_options_;
  step.peephole = m.w.peephole;
  step.ld_update_h = seq.row_stride * s_;
  step.ld_update_c = seq.row_stride * h_;
  step.ld_c_out = seq.row_stride * call.c.ld;
  step.m = m.rh;
  step.ld_m = step.training ? seq.row_stride * hp_ : hp_;
  step.projection = m.w.projection;
  if (config_.layer_norm) {
    step.norms = step_norms(call, m, s);
    step.ld_m = hp_;
  }
  return step;
}

template <class T>
void Layers<T>::start_states(const LayerForward& call, const Memory& m) const {
  const Sequence& seq = call.sequence;
  const States<T> states = h_states(call);
  const bool masked = call.masks.recurrent != nullptr;
  states.load(m.h[0], call.h0);
  if (config_.cell == Cell::kLstm) c_states(call).load(m.c, call.c0);
  if (masked) states.load_masks(m.mask, call.masks);
  // A ragged reverse pass meets a row at its last valid step, which may be odd or even.
  if (seq.offsets != nullptr) std::copy_n(m.h[0], seq.n * sp_, m.h[1]);
  for (int side = 0; masked && side < (seq.offsets != nullptr ? 2 : 1); ++side) {
    states.apply_masks(m.h_masked[side], m.h[0], m.mask, call.masks.groups);
  }
}

// A thread's part of a window.
template <class T>
template <class Meet>
void Layers<T>::forward_steps(const ForwardPass& pass, const Window& window, Parts parts, Meet meet) const {
  const auto& [call, m, saved, ld, base] = pass;
  const Sequence& seq = call.sequence;
  const bool masked = call.masks.recurrent != nullptr;
  const typename Kernels<T>::Cell& step = cell();
  const bool turns = turns_at_ends(seq.n);
  // Rows of the caller's or of ours from flat row `start` on; null: there are none.
  const auto rows = [](auto* all, std::int64_t start, std::int64_t width) {
    return all == nullptr ? nullptr : all + start * width;
  };
  auto& [units, own_states] = parts;
  const std::int64_t row_end = units.row_end;
  Range& second = projected() ? own_states : units;
  ForwardStep<T> a = base;
  for (std::int64_t i = window.first; i < window.last; ++i) {
    const std::int64_t s = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(s);
    const int now = static_cast<int>(i & 1);
    units.row_end = own_states.row_end = std::min(row_end, seq.rows(s));
    const bool any = units.row_begin < units.row_end;
    a.k = i == 0 && call.h0 == nullptr ? 0 : s_;  // nothing to add for a state of zeros
    a.gates = window.gates + (start - window.row) * ld;
    a.c_saved = rows(saved.c, start, hp_);
    a.h_prev = m.h[now];
    a.h_next = m.h[1 - now];
    a.h_in = masked ? m.h_masked[now] : m.h[now];
    a.h_masked_next = m.h_masked[1 - now];
    a.y = rows(static_cast<T*>(call.y.data), start, call.y.ld);
    a.c_out = rows(static_cast<T*>(call.c.data), start, call.c.ld);
    a.update_h = rows(static_cast<const T*>(call.masks.zoneout_h), start, s_);
    a.update_c = rows(static_cast<const T*>(call.masks.zoneout_c), start, h_);
    if (saved.m != nullptr) a.m = saved.m + start * hp_;
    if (config_.layer_norm) a.norms = norms_from(base.norms, start);
    if (any && turns && now != 0) {
      from_last_block(step.forward, a, units);
    } else if (any) {
      step.forward(a, units);
    }
    if (step.forward_second != nullptr) {
      meet();
      if (any) step.forward_second(a, second);
    }
    meet();
  }
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
