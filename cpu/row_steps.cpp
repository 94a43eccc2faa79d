// A step of a stream, all layers on one thread: little more than its kernels.
#include <algorithm>
#include <cstring>

#include "cpu/layer.h"

namespace rondo::cpu {
namespace {

// Written only when it is another one: a kernel that reads it at once need not wait for the store.
template <class P>
void point(P& pointer, P to) {
  if (pointer != to) pointer = to;
}

// Whole vectors, mostly few: a call of memcpy takes longer than they do.
template <class T>
void copy_vectors(T* to, const T* from, std::int64_t count) {
  constexpr std::int64_t kPiece = 32 / sizeof(T);
  for (; count >= kPiece; count -= kPiece, to += kPiece, from += kPiece) std::memcpy(to, from, 32);
  std::copy_n(from, count, to);
}

}  // namespace

// Where threads would share the step, forward serves.
template <class T>
bool RowSteps<T>::step(const void* x, void* h, void* c) {
  if (shared != nullptr && shared->shares_step(units.row_end)) [[unlikely]] {
    return false;
  }
  const auto* in = static_cast<const T*>(x);
  T *layer_h = static_cast<T*>(h), *layer_c = static_cast<T*>(c);
  const FlushAgain flush(modes_);
  for (Layer& layer : layers) {
    step_layer(layer, in, layer_h, layer_c);
    in = layer_h;
    layer_h += h_size;
    if (layer_c != nullptr) layer_c += c_size;
  }
  if (shared != nullptr) shared->end_step();
  return true;
}

// h [n, S] and c [n, H] are the state, x what the layer reads.
template <class T>
inline void RowSteps<T>::step_layer(Layer& layer, const T* x, T* h, T* c) {
  auto& [few, product, step, norm_x] = layer;
  if (few) {
    point(step.x, x);
  } else {
    point(product.in, x);
    kernels->product(product, gate_columns);
  }
  if (!plain) [[unlikely]] {
    return step_cell(layer, h, c);
  }
  point(step.h_in, static_cast<const T*>(h));
  point(step.h_prev, static_cast<const T*>(h));
  point(step.c, c);
  if (in_place) point(step.h_next, h);
  run_cell(layer);
  if (!in_place) copy_vectors(h, h_room, h_size);
}

template <class T>
inline void RowSteps<T>::run_cell(const Layer& layer) const {
  if (layer.few) {
    cell->forward_row(layer.step, units);
  } else {
    cell->forward(layer.step, units);
  }
}

// With padding around states, or a second phase.
template <class T>
void RowSteps<T>::step_cell(Layer& layer, T* h, T* c) const {
  auto& [few, product, step, norm_x] = layer;
  const std::int64_t n = units.row_end;
  if (norm_x.factor != nullptr) {
    kernels->normalise({norm_x, step.gates, nullptr, nullptr, step.ld_gates}, 0, n);
  }
  const States<T> h_states{step.s, step.sp, n}, c_states{step.h, step.hp, n};
  const bool c_padded = c != nullptr && step.h != step.hp;
  h_states.load(h_room, h);
  (step.s != step.sp ? step.y : step.h_next) = h;
  step.c = c_padded ? c_room : c;
  if (c_padded) c_states.load(c_room, c);
  run_cell(layer);
  if (cell->forward_second != nullptr) cell->forward_second(step, second);
  if (c_padded) c_states.store(c_room, c);
}

template <class T>
Steps* Layers<T>::steps(const Packed& packed, std::int64_t n, std::byte* workspace) {
  const auto& weights = static_cast<const Weights<T>&>(packed);
  const LayerForward call{{.weights = weights, .sequence = {1, n, n}, .y = {nullptr, s_}}};
  Arena arena(workspace);
  Memory m = memory(arena, config_.input_size, n, n, false);
  const std::int64_t ld = order_.gates * hp_, blocks = hp_ / kernels_.lanes;
  RowSteps<T>& all = steps_;
  all.shared = divider_.alone(n, Phase::kInference) ? nullptr : this;
  all.kernels = &kernels_;
  all.cell = &cell();
  all.plain = s_ == sp_ && h_ == hp_ && all.cell->forward_second == nullptr;
  all.in_place = all.plain && n == 1 && blocks == 1;
  all.gate_columns = {0, n, 0, order_.gates * blocks};
  all.units = {0, n, 0, blocks};
  all.second = {0, n, 0, (projected() ? sp_ : hp_) / kernels_.lanes};
  all.h_size = n * s_;
  all.c_size = n * h_;
  all.h_room = m.h[0];
  all.c_room = m.c;
  for (std::int64_t l = 0; auto& [few, product, step, norm_x] : all.layers) {
    const LayerWeights<T>& w = m.w = weights.layer(l++, false);
    product = {.ld_in = w.at.in,
               .k = w.at.in,
               .packed = w.input,
               .packed_k = w.at.in,
               .out = m.gates,
               .ld_out = ld,
               .width = ld};
    few = multiplies_inputs<T>(*all.cell, n, w.at.in);
    step = {forward_step(call, m, {}, ld), nullptr, w.at.in, w.input};  // x comes with each step
    step.gates = m.gates;
    step.h_in = step.h_prev = m.h[0];
    step.h_next = all.plain ? m.h[0] : m.h[1];
    norm_x = norm(w.norm_x, nullptr, order_.gates);
  }
  return &steps_;
}

template struct RowSteps<float>;
template struct RowSteps<double>;
template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
