// Layer normalisation in StepLayers' passes: of W x over the whole sequence, of R h and an LSTM's c at each
// step.
#pragma once

#include "cuda/step_layers-inl.h"

namespace rondo::cuda {

template <class T, class Runtime>
void StepLayers<T, Runtime>::norm_memory(Arena& arena, Memory& m, std::int64_t flat_rows, std::int64_t n,
                                         bool training) const {
  const std::int64_t rows = std::max(flat_rows, n), width = order_.gates * h_;
  m.norm_parts = arena.take<T>(rows * chunks(width) * 2);
  if (lstm()) m.c_read = arena.take<T>(n * h_);
  if (!training) {
    m.moments = arena.take<Moments<T>>(rows);
    return;
  }
  m.means = arena.take<GradientMeans<T>>(rows);
  m.d_sums = arena.take<T>(flat_rows * width);
  if (lstm()) m.d_read = arena.take<T>(flat_rows * h_);
}

// Of the rows that begin at flat row `start`.
template <class T, class Runtime>
NormRows<T> StepLayers<T, Runtime>::norm_rows(const Normal& of, std::int64_t width, std::int64_t start,
                                              std::int64_t stride) {
  if (of.n == nullptr) return {.moments = of.moments, .ld_moments = 1};
  return {.normal = of.n + start * width,
          .moments = of.moments + start,
          .ld_normal = stride * width,
          .ld_moments = stride};
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise(const Memory& m, const NormRows<T>& rows, std::int64_t count,
                                       std::int64_t width) const {
  const RowChunks chunked{width, chunk_rows(width), chunks(width)};
  runtime_.for_each(count, chunked.count, ChunkMoments<T>{rows.x, rows.ld_x, chunked, m.norm_parts});
  runtime_.for_each(count, 1,
                    RowMoments<T>{rows.moments, rows.ld_moments, chunked, m.norm_parts,
                                  static_cast<T>(config_.layer_norm_epsilon)});
  runtime_.for_each(count, width, Normalise<T>{rows});
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise_backward(const Memory& m, const NormGradient<T>& of,
                                                std::int64_t count, std::int64_t width) const {
  const RowChunks chunked{width, chunk_rows(width), chunks(width)};
  runtime_.for_each(count, chunked.count, ChunkGradients<T>{of, chunked, m.norm_parts});
  runtime_.for_each(count, 1, RowGradients<T>{m.means, chunked, m.norm_parts});
  runtime_.for_each(count, width, NormaliseBackward<T>{of, m.means});
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise_input(const LayerForward& call, const Memory& m, const Saved& s,
                                             std::int64_t ld) const {
  const std::int64_t width = order_.gates * h_;
  NormRows<T> rows = norm_rows(s.normal_x, width, 0, 1);
  rows.x = s.gates;
  rows.ld_x = ld;
  rows.factor = weights(call).norm_input;
  normalise(m, rows, call.sequence.total(), width);
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise_sums(const LayerForward& call, const Memory& m, const Saved& s,
                                            const ForwardStep<T>& step, const StepRows& at) const {
  const std::int64_t width = order_.gates * h_;
  NormRows<T> rows = norm_rows(s.normal_h, width, at.start, call.sequence.row_stride);
  rows.x = step.sums;
  rows.ld_x = step.ld_sums;
  rows.factor = weights(call).norm_recurrent;
  normalise(m, rows, at.count, width);
}

// h of an LSTM, by way of the normalised c.
template <class T, class Runtime>
void StepLayers<T, Runtime>::read_cell(const LayerForward& call, const Memory& m, const Saved& s,
                                       const ForwardStep<T>& step, const StepRows& at) const {
  NormRows<T> rows = norm_rows(s.normal_c, h_, at.start, call.sequence.row_stride);
  rows.x = step.c_read;
  rows.ld_x = h_;
  rows.factor = weights(call).norm_c;
  normalise(m, rows, at.count, h_);
  runtime_.for_each(at.count, h_, LstmNormalisedForward<T>{step, weights(call).norm_c_bias});
}

// From d h_t to d c_t by way of the normalised c, and that of o's pre-activation.
template <class T, class Runtime>
void StepLayers<T, Runtime>::read_gradient(const LayerBackward& call, const Memory& m, const Saved& s,
                                           const BackwardStep<T>& step, std::int64_t start) const {
  const LayerWeights<T>& w = weights(call);
  const std::int64_t ld = call.sequence.row_stride * h_;
  NormRows<T> rows = norm_rows(s.normal_c, h_, start, call.sequence.row_stride);
  T* const d_read = m.d_read + start * h_;
  runtime_.for_each(std::max(step.live, step.later), h_,
                    LstmNormalisedBackward<T>{step, w.norm_c, w.norm_c_bias, rows.normal, d_read, ld});
  rows.x = m.c;
  rows.ld_x = h_;
  rows.factor = w.norm_c;
  normalise_backward(m, {rows, d_read, ld}, step.live, h_);
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise_sums_backward(const LayerBackward& call, const Memory& m,
                                                     const Saved& s, const BackwardStep<T>& step,
                                                     std::int64_t start) const {
  const std::int64_t width = order_.gates * h_, stride = call.sequence.row_stride;
  NormRows<T> rows = norm_rows(s.normal_h, width, start, stride);
  rows.x = m.d_sums + start * width;
  rows.ld_x = stride * width;
  rows.factor = weights(call).norm_recurrent;
  const T* dy = step.gates + order_.recurrent_column[0] * h_;
  normalise_backward(m, {rows, dy, step.ld_gates}, step.live, width);
}

// Takes the place of what the steps have left in d_sums.
template <class T, class Runtime>
void StepLayers<T, Runtime>::normalise_input_backward(const LayerBackward& call, const Memory& m,
                                                      const Saved& s) const {
  const std::int64_t width = order_.gates * h_;
  NormRows<T> rows = norm_rows(s.normal_x, width, 0, 1);
  rows.x = m.d_sums;
  rows.ld_x = width;
  rows.factor = weights(call).norm_input;
  normalise_backward(m, {rows, s.gates, order_.columns * h_}, call.sequence.total(), width);
}

template <class T, class Runtime>
void StepLayers<T, Runtime>::norm_gradients(const LayerBackward& call, const Memory& m,
                                            const Saved& s) const {
  const LayerParameters& at = weights(call).at;
  T* const gradients = elements(call.dparameters);
  const std::int64_t width = order_.gates * h_, ld = order_.columns * h_, flat_rows = call.sequence.total();
  SumChunks<T> of{.to = m.chunks, .from = s.gates, .ld = ld, .width = width, .rows = flat_rows};
  of.times = s.normal_x.n;
  of.ld_times = width;
  GateOrder input = order_;  // of sums that hold no more than the columns of W
  input.columns = order_.gates;
  const std::int64_t count = sum_chunks(of);
  runtime_.for_each(1, width, AddBiasGradients<T>{gradients + at.norm_ih, m.chunks, count, h_, input});
  of.from = s.gates + order_.recurrent_column[0] * h_;
  of.times = s.normal_h.n;
  add_sums(gradients + at.norm_hh, of);
  if (!lstm()) return;
  of = {.to = m.chunks, .from = m.d_read, .ld = h_, .width = h_, .rows = flat_rows};
  add_sums(gradients + at.norm_c_bias, of);
  of.times = s.normal_c.n;
  of.ld_times = h_;
  add_sums(gradients + at.norm_c, of);
}

}  // namespace rondo::cuda
