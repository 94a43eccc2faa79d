// Backward pass of StepLayers: the time loop from the last step processed to the first. What follows it is in
// step_gradients-inl.h.
#pragma once

#include "cuda/step_layers-inl.h"

namespace rondo::cuda {

template <class T, class Runtime>
void StepLayers<T, Runtime>::backward(const LayerBackward& call) {
  const std::int64_t flat_rows = call.sequence.total();
  Arena work(call.workspace), kept(call.saved);
  const Memory m = memory(work, weights(call).at.in, flat_rows, call.sequence.n, true);
  const Saved s = saved(kept, flat_rows);

  const BackwardStep<T> step = backward_step(call, m);
  load_state(call, step.carry, call.dh_n, s_);
  if (lstm()) load_state(call, step.dc, call.dc_n, h_);
  backward_loop(call, m, s, step);
  const DeviceSequence seq = on_device(call.sequence, m);
  if (call.dparameters != nullptr) {
    recurrent_gradient(call, m, seq, recurrent_sums(call, m, s));
    vector_gradients(call, m, s);
    if (projects()) projection_gradient(call, m, s);
  }
  if (config_.layer_norm) normalise_input_backward(call, m, s);
  const SumGradients sums = input_sums(call, m, s);
  if (call.dparameters != nullptr) input_weight_gradient(call, m, seq, sums);
  if (call.dx.data != nullptr) input_gradient(call, m, seq, sums);
}

// What all steps share. The gradients of the initial states gather where they are wanted.
template <class T, class Runtime>
BackwardStep<T> StepLayers<T, Runtime>::backward_step(const LayerBackward& call, const Memory& m) const {
  const std::int64_t row = call.sequence.row_stride;
  const bool per_gate = call.masks.recurrent != nullptr && call.masks.groups > 1;
  BackwardStep<T> step{};
  step.h = h_;
  step.s = s_;
  step.recurrent = recurrent(call, m);
  step.h0 = elements(call.h0);
  step.c0 = elements(call.c0);
  step.ld_gates = row * order_.columns * h_;
  step.ld_y = row * call.y.ld;
  step.ld_c = row * h_;
  step.ld_dy = row * call.dy.ld;
  step.carry = call.dh0 != nullptr ? elements(call.dh0) : m.carry;
  step.dc = call.dc0 != nullptr ? elements(call.dc0) : m.dc;
  step.sums = m.sums;
  step.mask = elements(call.masks.recurrent);
  step.sum_group = call.sequence.n * s_;
  step.mask_group = per_gate ? call.masks.group_rows * s_ : 0;
  step.segments = per_gate ? order_.recurrent_gates : 1;
  if (general_) general_backward_step(call, m, step);
  return step;
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::general_backward_step(const LayerBackward& call, const Memory& m,
                                                   BackwardStep<T>& step) const {
  const std::int64_t row = call.sequence.row_stride;
  step.options = unbounded_options<T>(config_, true);
  step.ld_zoneout_h = row * s_;
  step.ld_zoneout_c = row * h_;
  step.ld_dc_out = row * call.dc.ld;
  step.ld_projected = row * s_;
  step.peephole = weights(call).peephole;
  if (projects()) step.d_unprojected = m.c;
  if (config_.layer_norm && lstm()) step.dc_read = m.c;
  if (step.peephole == nullptr) return;
  step.peephole_sums = m.peephole_sums;
  load_state(call, m.peephole_sums, nullptr, 3 * h_);
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::backward_loop(const LayerBackward& call, const Memory& m, const Saved& s,
                                           BackwardStep<T> step) const {
  const Sequence& seq = call.sequence;
  const std::int64_t ld = order_.columns * h_;
  const T *y = elements(call.y.data), *dy = elements(call.dy.data);
  const SumGradients sums = recurrent_sums(call, m, s);
  const T* da = nullptr;  // of the step that was processed before
  for (std::int64_t i = seq.t; i-- > 0;) {
    const std::int64_t t = call.id.reverse ? seq.t - 1 - i : i, start = seq.start(t);
    const std::int64_t prev = call.id.reverse ? t + 1 : t - 1, has_prev = prev >= 0 && prev < seq.t;
    step.live = seq.rows(t);
    const std::int64_t rows = std::max(step.live, step.later);
    if (rows == 0) continue;
    step.inner = has_prev ? std::min(step.live, seq.rows(prev)) : 0;
    const std::int64_t start_prev = has_prev ? seq.start(prev) : 0;
    step.gates = s.gates + start * ld;
    step.y = y + start * call.y.ld;
    step.y_prev = y + start_prev * call.y.ld;
    if (lstm()) step.c = s.c + start * h_;
    if (lstm()) step.c_prev = s.c + start_prev * h_;
    if (dy != nullptr) step.dy = dy + start * call.dy.ld;
    if (general_) at_step(call, m, start, step);
    if (step.later > 0) multiply_gradients(step, da, seq.row_stride * sums.ld);
    if (step.dc_read != nullptr) read_gradient(call, m, s, step, start);
    run_backward(call, step, rows);
    if (config_.layer_norm) normalise_sums_backward(call, m, s, step, start);
    da = sums.data + start * sums.ld + sums.column[0] * h_;
    step.later = step.live;
  }
  if (call.dh0 == nullptr || step.later == 0) return;
  step.live = 0;
  multiply_gradients(step, da, seq.row_stride * sums.ld);
  runtime_.for_each(step.later, s_, FirstStateGradient<T>{step});
}

// What the general cells read and write at the step whose flat rows begin at `start`.
template <class T, class Runtime>
void StepLayers<T, Runtime>::at_step(const LayerBackward& call, const Memory& m, std::int64_t start,
                                     BackwardStep<T>& step) const {
  const T *zoneout_h = elements(call.masks.zoneout_h), *zoneout_c = elements(call.masks.zoneout_c);
  if (zoneout_h != nullptr) step.zoneout_h = zoneout_h + start * s_;
  if (zoneout_c != nullptr) step.zoneout_c = zoneout_c + start * h_;
  if (call.dc.data != nullptr) step.dc_out = elements(call.dc.data) + start * call.dc.ld;
  if (projects()) step.d_projected = m.d_projected + start * s_;
}

// sums = dA R of the later step, each gate by itself under masks of its own.
template <class T, class Runtime>
void StepLayers<T, Runtime>::multiply_gradients(const BackwardStep<T>& step, const T* da,
                                                std::int64_t ld) const {
  const std::int64_t width = order_.recurrent_gates / step.segments * h_;
  for (int g = 0; g < step.segments; ++g) {
    multiply(Gemm<T>{.m = step.later,
                     .n = s_,
                     .k = width,
                     .a = da + g * width,
                     .lda = ld,
                     .b = step.recurrent + g * width * s_,
                     .ldb = s_,
                     .c = step.sums + g * step.sum_group,
                     .ldc = s_});
  }
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::run_backward(const LayerCall& call, const BackwardStep<T>& step,
                                          std::int64_t rows) const {
  if (lstm()) return run_lstm_backward(call, step, rows);
  if (config_.cell == Cell::kGru) {
    return general_ ? run_gru_backward<true>(step, rows) : run_gru_backward<false>(step, rows);
  }
  if (general_) return runtime_.for_each(rows, h_, SimpleGeneralBackward<T>{step});
  if (config_.activation == Activation::kTanh) {
    return runtime_.for_each(rows, h_, SimpleBackward<T, false>{step});
  }
  runtime_.for_each(rows, h_, SimpleBackward<T, true>{step});
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::run_lstm_backward(const LayerCall& call, const BackwardStep<T>& step,
                                               std::int64_t rows) const {
  if (!general_) return runtime_.for_each(rows, h_, LstmBackward<T>{step});
  if (step.dc_read != nullptr) return runtime_.for_each(step.live, h_, LstmGeneralBackward<T>{step});
  if (!projects()) return runtime_.for_each(rows, h_, LstmGeneralBackward<T>{step});
  runtime_.for_each(rows, s_, ProjectedBackward<T>{step});
  if (step.live == 0) return;
  multiply(Gemm<T>{.m = step.live,
                   .n = h_,
                   .k = s_,
                   .a = step.d_projected,
                   .lda = step.ld_projected,
                   .b = weights(call).projection,
                   .ldb = h_,
                   .c = step.d_unprojected,
                   .ldc = h_});
  runtime_.for_each(step.live, h_, LstmGeneralBackward<T>{step});
}

template <class T, class Runtime>
template <bool kGeneral>
void StepLayers<T, Runtime>::run_gru_backward(const BackwardStep<T>& step, std::int64_t rows) const {
  if (!reset_before()) return runtime_.for_each(rows, h_, GruAfterBackward<T, kGeneral>{step});
  runtime_.for_each(rows, h_, GruBeforeCandidateBackward<T, kGeneral>{step});
  if (step.live == 0) return;
  multiply(Gemm<T>{.m = step.live,
                   .n = h_,
                   .k = h_,
                   .a = step.gates + kN * h_,
                   .lda = step.ld_gates,
                   .b = step.recurrent + 2 * h_ * h_,
                   .ldb = h_,
                   .c = step.sums,
                   .ldc = h_});
  BackwardStep<T> second = step;
  second.later = step.live;
  if (step.mask != nullptr) second.mask += 2 * step.mask_group;
  second.segments = 1;
  runtime_.for_each(step.live, h_, GruBeforeGatesBackward<T, kGeneral>{second});
}

}  // namespace rondo::cuda
