// Forward pass of StepLayers: the input product over all steps, then the time loop.
#pragma once

#include "cuda/step_layers-inl.h"

namespace rondo::cuda {

template <class T, class Runtime>
void StepLayers<T, Runtime>::forward(const LayerForward& call) {
  const bool training = call.saved != nullptr;
  const std::int64_t flat_rows = call.sequence.total();
  Arena work(call.workspace), kept(call.saved);
  const Memory m = memory(work, weights(call).in, flat_rows, call.sequence.n, training);
  const Saved s = training ? saved(kept, flat_rows) : Saved{m.gates, nullptr};

  const ForwardStep<T> step = forward_step(call, m, training);
  project_input(call, m, s.gates, (training ? order_.columns : order_.gates) * h_);
  runtime_.for_each(call.sequence.n, h_,
                    LoadState<T>{step.state, elements(call.h0), step.mask, step.masked, h_, step.mask_group,
                                 step.masked_group, step.groups});
  if (lstm()) load_state(call, step.c, call.c0);
  forward_loop(call, s, step);
}

// gates [P] ld = x W, each gate's x times its mask.
template <class T, class Runtime>
void StepLayers<T, Runtime>::project_input(const LayerForward& call, const Memory& m, T* gates,
                                           std::int64_t ld) const {
  const LayerWeights<T>& w = weights(call);
  const T* masks = elements(call.masks.input);
  Gemm<T> product{.transpose_b = true,
                  .m = call.sequence.total(),
                  .n = order_.gates * h_,
                  .k = w.in,
                  .a = elements(call.x.data),
                  .lda = call.x.ld,
                  .b = w.input,
                  .ldb = w.in,
                  .c = gates,
                  .ldc = ld};
  if (masks == nullptr) return runtime_.gemm(product);
  const DeviceSequence seq = on_device(call.sequence, m);
  product.a = m.x_masked;
  product.lda = w.in;
  product.n /= call.masks.groups;
  for (int g = 0; g < call.masks.groups; ++g) {
    const std::int64_t column = call.masks.groups == 1 ? 0 : order_.input_column[g] * h_;
    runtime_.for_each(product.m, w.in,
                      MaskSequence<T>{seq, m.x_masked, elements(call.x.data), call.x.ld,
                                      masks + g * call.masks.group_rows * w.in, w.in});
    product.b = w.input + column * w.in;
    product.c = gates + column;
    runtime_.gemm(product);
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
  step.bias = weights(call).bias;
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
  step.mask_group = per_gate ? call.masks.group_rows * h_ : 0;
  step.masked_group = per_gate ? seq.n * h_ : 0;
  step.groups = call.masks.groups;
  step.training = training;
  // n is the third gate: under per-gate masks it reads the third masked h.
  step.h_reset = step.mask == nullptr ? step.state : step.masked + 2 * step.masked_group;
  return step;
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::forward_loop(const LayerForward& call, const Saved& s,
                                          ForwardStep<T> step) const {
  const Sequence& seq = call.sequence;
  const std::int64_t ld = (step.training ? order_.columns : order_.gates) * h_;
  for (std::int64_t i = 0; i < seq.t; ++i) {
    const std::int64_t t = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(t), rows = seq.rows(t);
    if (rows == 0) continue;
    step.gates = s.gates + start * ld;
    if (s.c != nullptr) step.c_saved = s.c + start * h_;
    if (step.training && reset_before()) step.rh = step.gates + kFourth * h_;
    if (call.y.data != nullptr) step.y = elements(call.y.data) + start * call.y.ld;
    multiply_state(call, step, rows);
    run_forward(call, step, rows);
  }
}

// sums = h_{t-1} R, each gate's h times its mask.
template <class T, class Runtime>
void StepLayers<T, Runtime>::multiply_state(const LayerForward& call, const ForwardStep<T>& step,
                                            std::int64_t rows) const {
  const int products = step.masked_group == 0 ? 1 : order_.recurrent_gates;
  const std::int64_t width = order_.recurrent_gates / products * h_;
  for (int g = 0; g < products; ++g) {
    multiply(Gemm<T>{.transpose_b = true,
                          .m = rows,
                          .n = width,
                          .k = h_,
                          .a = step.mask == nullptr ? step.state : step.masked + g * step.masked_group,
                          .lda = h_,
                          .b = weights(call).recurrent + g * width * h_,
                          .ldb = h_,
                          .c = step.sums + g * width,
                          .ldc = step.ld_sums});
  }
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::run_forward(const LayerForward& call, const ForwardStep<T>& step,
                                         std::int64_t rows) const {
  if (lstm()) return runtime_.for_each(rows, h_, LstmForward<T>{step});
  if (config_.cell == Cell::kSimpleRnn) {
    if (config_.activation == Activation::kTanh) {
      return runtime_.for_each(rows, h_, SimpleForward<T, false>{step});
    }
    return runtime_.for_each(rows, h_, SimpleForward<T, true>{step});
  }
  if (!reset_before()) return runtime_.for_each(rows, h_, GruAfterForward<T>{step});
  runtime_.for_each(rows, h_, GruBeforeGatesForward<T>{step});
  multiply(Gemm<T>{.transpose_b = true,
                        .m = rows,
                        .n = h_,
                        .k = h_,
                        .a = step.rh,
                        .lda = step.ld_rh,
                        .b = weights(call).recurrent + 2 * h_ * h_,
                        .ldb = h_,
                        .c = step.sums,
                        .ldc = step.ld_sums});
  runtime_.for_each(rows, h_, GruBeforeCandidateForward<T>{step});
}

}  // namespace rondo::cuda
