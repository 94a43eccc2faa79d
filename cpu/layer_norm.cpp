// Layer normalisation of one layer: of the input product over all steps, and what steps and parameters need.
#include "cpu/column_sums.h"
#include "cpu/layer.h"

namespace rondo::cpu {

template <class T>
Norm<T> Layers<T>::norm(const T* factor, const T* shift, int gates) const {
  return {factor, shift, gates, h_, hp_, static_cast<T>(config_.layer_norm_epsilon)};
}

template <class T>
typename Layers<T>::SavedNorms Layers<T>::saved_norms(Arena& arena, std::int64_t flat_rows) const {
  SavedNorms s{};
  if (!config_.layer_norm) return s;
  for (T** p : {&s.normal_x, &s.normal_h}) *p = arena.take<T>(flat_rows * order_.gates * hp_);
  for (T** p : {&s.scale_x, &s.scale_h}) *p = arena.take<T>(flat_rows);
  if (config_.cell != Cell::kLstm) return s;
  s.normal_c = arena.take<T>(flat_rows * hp_);
  s.scale_c = arena.take<T>(flat_rows);
  return s;
}

template <class T>
StepNorms<T> Layers<T>::step_norms(const LayerCall& call, const Memory& m, const Saved& s) const {
  StepNorms<T> norms{};
  norms.h = norm(m.w.norm_h, nullptr, order_.gates);
  norms.c = norm(m.w.norm_c, m.w.norm_c_shift, 1);
  norms.sums = m.sums;
  norms.normal_h = s.norms.normal_h;
  norms.normal_c = s.norms.normal_c;
  norms.scale_h = s.norms.scale_h;
  norms.scale_c = s.norms.scale_c;
  norms.dr = m.dsums;
  norms.dnormalised = m.dnormalised;
  norms.dh = m.dh;
  norms.row_stride = call.sequence.row_stride;
  return norms;
}

// Those of the rows of a step, which start at a flat row.
template <class T>
StepNorms<T> Layers<T>::norms_from(StepNorms<T> norms, std::int64_t start) const {
  const auto move = [&](T*& all, std::int64_t width) {
    if (all != nullptr) all += start * width;
  };
  move(norms.normal_h, order_.gates * hp_);
  move(norms.dr, order_.gates * hp_);
  move(norms.normal_c, hp_);
  move(norms.dnormalised, hp_);
  move(norms.scale_h, 1);
  move(norms.scale_c, 1);
  return norms;
}

namespace {

// Calls body(begin, end) with each thread's share of the rows.
template <class Body>
void on_rows(std::int64_t rows, int threads, Body body) {
  on_team(Together::kApart, threads,
          [&](int index, int count) { body(rows * index / count, rows * (index + 1) / count); });
}

}  // namespace

template <class T>
NormRows<T> Layers<T>::input_rows(const Memory& m, const Saved& s, std::int64_t ld) const {
  return {norm(m.w.norm_x, nullptr, order_.gates), s.gates, s.norms.normal_x, s.norms.scale_x, ld};
}

// W x in place.
template <class T>
void Layers<T>::normalise_input(const LayerForward& call, const Memory& m, const Saved& s,
                                std::int64_t ld) const {
  const NormRows<T> rows = input_rows(m, s, ld);
  on_rows(call.sequence.total(), threads(),
          [&](std::int64_t begin, std::int64_t end) { kernels_.normalise(rows, begin, end); });
}

// The gradients of pre-activations become those of W x, in place.
template <class T>
void Layers<T>::normalise_input_backward(const LayerBackward& call, const Memory& m, const Saved& s) const {
  const std::int64_t ld = order_.columns * hp_;
  const NormRows<T> rows = input_rows(m, s, ld);
  on_rows(call.sequence.total(), threads(),
          [&](std::int64_t begin, std::int64_t end) { kernels_.normalise_backward(rows, begin, end); });
}

// Of factors and shift, while the gates hold the gradients of the pre-activations.
template <class T>
void Layers<T>::norm_gradients(const Memory& m, const Saved& s, std::int64_t flat_rows, T* to) const {
  const LayerParameters& at = m.w.at;
  const std::int64_t ld = order_.columns * hp_, ld_normal = order_.gates * hp_;
  for (int g = 0; g < order_.gates; ++g) {
    const std::int64_t input = order_.input_column[g] * hp_, recurrent = order_.recurrent_column[g] * hp_;
    add_column_sums(to + at.norm_ih + g * h_, {s.gates + input, ld}, {s.norms.normal_x + input, ld_normal},
                    flat_rows, h_);
    add_column_sums(to + at.norm_hh + g * h_, {s.gates + recurrent, ld},
                    {s.norms.normal_h + g * hp_, ld_normal}, flat_rows, h_);
  }
  if (config_.cell != Cell::kLstm) return;
  add_column_sums(to + at.norm_c, {m.dnormalised, hp_}, {s.norms.normal_c, hp_}, flat_rows, h_);
  add_column_sums(to + at.norm_c_bias, {m.dnormalised, hp_}, flat_rows, h_);
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
