// Forward pass of StepLayers: the input product over all steps, then the time loop.
#pragma once

#include "cuda/step_layers-inl.h"

namespace rondo::cuda {

template <class T, class Runtime>
void StepLayers<T, Runtime>::forward(const LayerForward& call) {
  const bool training = call.saved != nullptr;
  const std::int64_t flat_rows = call.sequence.total();
  Arena work(call.workspace), kept(call.saved);
  const Memory m = memory(work, weights(call).at.in, flat_rows, call.sequence.n, training);
  const Normal alone{nullptr, m.moments};
  const Saved s = training ? saved(kept, flat_rows)
                           : Saved{.gates = m.gates, .normal_x = alone, .normal_h = alone, .normal_c = alone};

  const ForwardStep<T> step = forward_step(call, m, training);
  const std::int64_t ld = (training ? order_.columns : order_.gates) * h_;
  project_input(call, m, s.gates, ld);
  if (config_.layer_norm) normalise_input(call, m, s, ld);
  runtime_.for_each(call.sequence.n, s_,
                    LoadState<T>{step.state, elements(call.h0), step.mask, step.masked, s_, step.mask_group,
                                 step.masked_group, step.groups});
  if (lstm()) load_state(call, step.c, call.c0, h_);
  forward_loop(call, m, s, step);
}

// gates [P] ld = x W, each gate's x times its mask.
template <class T, class Runtime>
void StepLayers<T, Runtime>::project_input(const LayerForward& call, const Memory& m, T* gates,
                                           std::int64_t ld) const {
  const LayerWeights<T>& w = weights(call);
  const std::int64_t in = w.at.in;
  const T* masks = elements(call.masks.input);
  Gemm<T> product{.transpose_b = true,
                  .m = call.sequence.total(),
                  .n = order_.gates * h_,
                  .k = in,
                  .a = elements(call.x.data),
                  .lda = call.x.ld,
                  .b = w.input,
                  .ldb = in,
                  .c = gates,
                  .ldc = ld};
  if (masks == nullptr) return multiply(product);
  const DeviceSequence seq = on_device(call.sequence, m);
  product.a = m.x_masked;
  product.lda = in;
  product.n /= call.masks.groups;
  for (int g = 0; g < call.masks.groups; ++g) {
    const std::int64_t column = call.masks.groups == 1 ? 0 : order_.input_column[g] * h_;
    runtime_.for_each(product.m, in,
                      MaskSequence<T>{seq, m.x_masked, elements(call.x.data), call.x.ld,
                                      masks + g * call.masks.group_rows * in, in});
    product.b = w.input + column * in;
    product.c = gates + column;
    multiply(product);
  }
}

// What all steps share. A row's state stays where it is when the row has ended, or has not begun.
template <class T, class Runtime>
ForwardStep<T> StepLayers<T, Runtime>::forward_step(const LayerForward& call, const Memory& m,
                                                    bool training) const {
  const Sequence& seq = call.sequence;
  const bool per_gate = call.masks.recurrent != nullptr && call.masks.groups > 1;
  ForwardStep<T> step{};
  step.h = h_;
  step.s = s_;
  step.bias = weights(call).bias;
  step.recurrent = recurrent(call, m);
  step.sums = m.sums;
  step.state = call.h_n != nullptr ? elements(call.h_n) : m.h;
  step.c = call.c_n != nullptr ? elements(call.c_n) : m.c;
  step.ld_gates = seq.row_stride * (training ? order_.columns : order_.gates) * h_;
  step.ld_sums = order_.recurrent_gates * h_;
  step.ld_c_saved = seq.row_stride * h_;
  step.ld_rh = training ? step.ld_gates : h_;
  step.rh = m.rh;
  step.ld_y = seq.row_stride * call.y.ld;
  step.mask = elements(call.masks.recurrent);
  step.masked = m.h_masked;
  step.mask_group = per_gate ? call.masks.group_rows * s_ : 0;
  step.masked_group = per_gate ? seq.n * s_ : 0;
  step.groups = call.masks.groups;
  step.training = training;
  // n is the third gate: under per-gate masks it reads the third masked h.
  step.h_reset = step.mask == nullptr ? step.state : step.masked + 2 * step.masked_group;
  if (general_) general_forward_step(call, m, step);
  return step;
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::general_forward_step(const LayerForward& call, const Memory& m,
                                                  ForwardStep<T>& step) const {
  const std::int64_t row = call.sequence.row_stride;
  step.options = unbounded_options<T>(config_, step.training);
  step.peephole = weights(call).peephole;
  step.ld_zoneout_h = row * s_;
  step.ld_zoneout_c = row * h_;
  step.ld_c_out = row * call.c.ld;
  step.c_read = m.c_read;
  step.unprojected = m.unprojected;
  step.ld_unprojected = step.training ? row * h_ : h_;
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::forward_loop(const LayerForward& call, const Memory& m, const Saved& s,
                                          ForwardStep<T> step) const {
  const Sequence& seq = call.sequence;
  const std::int64_t ld = (step.training ? order_.columns : order_.gates) * h_;
  const T *zoneout_h = elements(call.masks.zoneout_h), *zoneout_c = elements(call.masks.zoneout_c);
  for (std::int64_t i = 0; i < seq.t; ++i) {
    const std::int64_t t = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(t), rows = seq.rows(t);
    if (rows == 0) continue;
    step.gates = s.gates + start * ld;
    if (s.c != nullptr) step.c_saved = s.c + start * h_;
    if (step.training && reset_before()) step.rh = step.gates + kFourth * h_;
    if (call.y.data != nullptr) step.y = elements(call.y.data) + start * call.y.ld;
    if (zoneout_h != nullptr) step.zoneout_h = zoneout_h + start * s_;
    if (zoneout_c != nullptr) step.zoneout_c = zoneout_c + start * h_;
    if (s.unprojected != nullptr) step.unprojected = s.unprojected + start * h_;
    if (call.c.data != nullptr) step.c_out = elements(call.c.data) + start * call.c.ld;
    multiply_state(step, rows);
    if (config_.layer_norm) normalise_sums(call, m, s, step, {start, rows});
    run_forward(call, step, rows);
    if (step.c_read != nullptr) read_cell(call, m, s, step, {start, rows});
  }
}

// sums = h_{t-1} R, each gate's h times its mask.
template <class T, class Runtime>
void StepLayers<T, Runtime>::multiply_state(const ForwardStep<T>& step, std::int64_t rows) const {
  const int products = step.masked_group == 0 ? 1 : order_.recurrent_gates;
  const std::int64_t width = order_.recurrent_gates / products * h_;
  for (int g = 0; g < products; ++g) {
    multiply(Gemm<T>{.transpose_b = true,
                     .m = rows,
                     .n = width,
                     .k = s_,
                     .a = step.mask == nullptr ? step.state : step.masked + g * step.masked_group,
                     .lda = s_,
                     .b = step.recurrent + g * width * s_,
                     .ldb = s_,
                     .c = step.sums + g * width,
                     .ldc = step.ld_sums});
  }
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::run_forward(const LayerForward& call, const ForwardStep<T>& step,
                                         std::int64_t rows) const {
  if (lstm()) return run_lstm_forward(call, step, rows);
  if (config_.cell == Cell::kGru) {
    return general_ ? run_gru_forward<true>(step, rows) : run_gru_forward<false>(step, rows);
  }
  if (general_) return runtime_.for_each(rows, h_, SimpleGeneralForward<T>{step});
  if (config_.activation == Activation::kTanh) {
    return runtime_.for_each(rows, h_, SimpleForward<T, false>{step});
  }
  runtime_.for_each(rows, h_, SimpleForward<T, true>{step});
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::run_lstm_forward(const LayerForward& call, const ForwardStep<T>& step,
                                              std::int64_t rows) const {
  if (!general_) return runtime_.for_each(rows, h_, LstmForward<T>{step});
  runtime_.for_each(rows, h_, LstmGeneralForward<T>{step});
  if (!projects()) return;
  multiply(Gemm<T>{.transpose_b = true,
                   .m = rows,
                   .n = s_,
                   .k = h_,
                   .a = step.unprojected,
                   .lda = step.ld_unprojected,
                   .b = weights(call).projection,
                   .ldb = h_,
                   .c = step.sums,
                   .ldc = s_});
  runtime_.for_each(rows, s_, ProjectedForward<T>{step});
}

template <class T, class Runtime>
template <bool kGeneral>
void StepLayers<T, Runtime>::run_gru_forward(const ForwardStep<T>& step, std::int64_t rows) const {
  if (!reset_before()) return runtime_.for_each(rows, h_, GruAfterForward<T, kGeneral>{step});
  runtime_.for_each(rows, h_, GruBeforeGatesForward<T, kGeneral>{step});
  multiply(Gemm<T>{.transpose_b = true,
                   .m = rows,
                   .n = h_,
                   .k = h_,
                   .a = step.rh,
                   .lda = step.ld_rh,
                   .b = step.recurrent + 2 * h_ * h_,
                   .ldb = h_,
                   .c = step.sums,
                   .ldc = step.ld_sums});
  runtime_.for_each(rows, h_, GruBeforeCandidateForward<T, kGeneral>{step});
}

}  // namespace rondo::cuda
