// What follows StepLayers' backward loop: the gradients of parameters and inputs, over the whole sequence.
#pragma once

#include "cuda/step_layers-inl.h"

namespace rondo::cuda {

// dW or dR: to [G * H, width] += da^T times what the weights multiplied.
template <class T, class Runtime>
void StepLayers<T, Runtime>::add_product(T* to, const GateRun& run, const SumGradients& sums,
                                         ConstRows operand, std::int64_t width) const {
  multiply(Gemm<T>{.transpose_a = true,
                   .m = run.count * h_,
                   .n = width,
                   .k = sums.rows,
                   .a = sums.data + run.column * h_,
                   .lda = sums.ld,
                   .b = elements(operand.data),
                   .ldb = operand.ld,
                   .c = to + run.gate * h_ * width,
                   .ldc = width,
                   .accumulate = true});
}

// W multiplied x, masked for each gate or for all.
template <class T, class Runtime>
void StepLayers<T, Runtime>::input_weight_gradient(const LayerBackward& call, const Memory& m,
                                                   const DeviceSequence& seq,
                                                   const SumGradients& sums) const {
  const LayerParameters& at = weights(call).at;
  T* const dW = elements(call.dparameters) + at.weight_ih;
  const T* masks = elements(call.masks.input);
  const bool apart = masks != nullptr && call.masks.groups > 1;
  for (const GateRun& run : gate_runs(sums.column, order_.gates, apart)) {
    if (masks != nullptr && (run.gate == 0 || apart)) {
      const T* mask = masks + (apart ? run.gate * call.masks.group_rows * at.in : 0);
      runtime_.for_each(sums.rows, at.in,
                        MaskSequence<T>{seq, m.x_masked, elements(call.x.data), call.x.ld, mask, at.in});
    }
    add_product(dW, run, sums, masks == nullptr ? call.x : ConstRows{m.x_masked, at.in}, at.in);
  }
}

// R multiplied h_{t-1}, masked likewise; under reset_before n's part multiplied r h, which was saved. Under
// dropconnect the gradient of R is that of its product with the mask, times the mask.
template <class T, class Runtime>
void StepLayers<T, Runtime>::recurrent_gradient(const LayerBackward& call, const Memory& m,
                                                const DeviceSequence& seq, const SumGradients& sums) const {
  const std::int64_t rows = order_.gates * h_;
  const T *masks = elements(call.masks.recurrent), *connect = elements(call.masks.connect);
  const bool apart = masks != nullptr && call.masks.groups > 1;
  T* const dR = elements(call.dparameters) + weights(call).at.weight_hh;
  T* const to = connect == nullptr ? dR : m.connected;
  if (connect != nullptr) runtime_.for_each(rows, s_, LoadState<T>{.to = to, .h = s_});
  for (const GateRun& run : gate_runs(sums.column, order_.recurrent_gates, apart)) {
    if (run.gate == 0 || apart) {
      GatherPrevious<T> gather{seq,       m.h_in, elements(call.y.data), elements(call.h0), masks,
                               call.y.ld, s_,     call.id.reverse};
      if (apart) gather.mask += run.gate * call.masks.group_rows * s_;
      runtime_.for_each(sums.rows, s_, gather);
    }
    add_product(to, run, sums, {m.h_in, s_}, s_);
  }
  if (reset_before()) add_product(to, {2, 1, sums.column[2]}, sums, {sums.data + kFourth * h_, sums.ld}, h_);
  if (connect != nullptr) runtime_.for_each(rows, s_, MultiplyMatrices<T>{dR, to, connect, s_, true});
}

// Of the parameters that are vectors, each a sum over rows.
template <class T, class Runtime>
void StepLayers<T, Runtime>::vector_gradients(const LayerBackward& call, const Memory& m,
                                              const Saved& s) const {
  const LayerParameters& at = weights(call).at;
  T* const gradients = elements(call.dparameters);
  if (config_.bias != Bias::kNone) {
    const std::int64_t width = order_.columns * h_;
    const std::int64_t count = sum_chunks(
        {.to = m.chunks, .from = s.gates, .ld = width, .width = width, .rows = call.sequence.total()});
    runtime_.for_each(config_.bias == Bias::kDouble ? 2 : 1, order_.gates * h_,
                      AddBiasGradients<T>{gradients + at.bias_ih, m.chunks, count, h_, order_});
  }
  if (config_.peephole) {
    const std::int64_t width = 3 * h_;
    add_sums(gradients + at.weight_ch, {.to = m.peephole_chunks,
                                        .from = m.peephole_sums,
                                        .ld = width,
                                        .width = width,
                                        .rows = call.sequence.n});
  }
  if (config_.layer_norm) norm_gradients(call, m, s);
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::projection_gradient(const LayerBackward& call, const Memory& m,
                                                 const Saved& s) const {
  multiply(Gemm<T>{.transpose_a = true,
                   .m = s_,
                   .n = h_,
                   .k = call.sequence.total(),
                   .a = m.d_projected,
                   .lda = s_,
                   .b = s.unprojected,
                   .ldb = h_,
                   .c = elements(call.dparameters) + weights(call).at.weight_hr,
                   .ldc = h_,
                   .accumulate = true});
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::input_gradient(const LayerBackward& call, const Memory& m,
                                            const DeviceSequence& seq, const SumGradients& sums) const {
  const std::int64_t in = weights(call).at.in;
  const T* masks = elements(call.masks.input);
  const int products = masks == nullptr ? 1 : call.masks.groups;
  for (int g = 0; g < products; ++g) {
    const std::int64_t column = products == 1 ? 0 : sums.column[g] * h_;
    const bool add = call.accumulate_dx || g > 0;
    multiply(Gemm<T>{.m = sums.rows,
                     .n = in,
                     .k = order_.gates / products * h_,
                     .a = sums.data + column,
                     .lda = sums.ld,
                     .b = weights(call).input + column * in,
                     .ldb = in,
                     .c = masks == nullptr ? elements(call.dx.data) : m.x_masked,
                     .ldc = masks == nullptr ? call.dx.ld : in,
                     .accumulate = masks == nullptr && add});
    if (masks == nullptr) continue;
    runtime_.for_each(sums.rows, in,
                      UnmaskGradient<T>{seq, elements(call.dx.data), call.dx.ld, m.x_masked,
                                        masks + g * call.masks.group_rows * in, in, add});
  }
}

}  // namespace rondo::cuda
