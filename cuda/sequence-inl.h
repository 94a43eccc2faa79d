// What the step path does to whole sequences and states beside the products.
#pragma once

#include "core/gate_order.h"
#include "core/stack.h"
#include "cuda/runtime.h"

namespace rondo::cuda {

// A Sequence whose offsets lie on the device.
struct DeviceSequence {
  std::int64_t t, n, step_stride, row_stride;
  const std::int64_t* offsets;  // [t + 1]; null: uniform

  struct Place {
    std::int64_t step, row;
  };
  RONDO_CELL_FN Place place(std::int64_t flat) const {
    if (offsets == nullptr) {
      return step_stride == n ? Place{flat / n, flat % n} : Place{flat % row_stride, flat / row_stride};
    }
    std::int64_t step = 0, end = t;  // offsets[step] <= flat < offsets[end]
    while (end - step > 1) {
      const std::int64_t middle = (step + end) / 2;
      (offsets[middle] <= flat ? step : end) = middle;
    }
    return {step, flat - offsets[step]};
  }
  // The flat row of (step, row), or -1 when the row has no such step.
  RONDO_CELL_FN std::int64_t flat(std::int64_t step, std::int64_t row) const {
    if (step < 0 || step >= t) return -1;
    if (offsets == nullptr) return step * step_stride + row * row_stride;
    return row < offsets[step + 1] - offsets[step] ? offsets[step] + row : -1;
  }
};

// to [n][H] = from, or zeros, and masked likewise times the masks.
template <class T>
struct LoadState {
  T* to;
  const T* from;  // null: zeros
  const T* mask;  // [groups] mask_group [n][H]; null: none
  T* masked;      // [groups] masked_group [n][H]
  std::int64_t h, mask_group, masked_group;
  int groups;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t unit) const {
    const std::int64_t at = row * h + unit;
    const T value = from == nullptr ? T(0) : from[at];
    to[at] = value;
    for (int g = 0; mask != nullptr && g < groups; ++g) {
      masked[g * masked_group + at] = value * mask[g * mask_group + at];
    }
  }
};

// to [P][width] = x times its row's mask [n][width].
template <class T>
struct MaskSequence {
  DeviceSequence sequence;
  T* to;
  const T* x;
  std::int64_t ld_x;
  const T* mask;
  std::int64_t width;
  RONDO_CELL_FN void operator()(std::int64_t flat, std::int64_t column) const {
    to[flat * width + column] = x[flat * ld_x + column] * mask[sequence.place(flat).row * width + column];
  }
};

// dx [P] ld_dx = from [P][width] times its row's mask, or that added.
template <class T>
struct UnmaskGradient {
  DeviceSequence sequence;
  T* dx;
  std::int64_t ld_dx;
  const T *from, *mask;
  std::int64_t width;
  bool accumulate;
  RONDO_CELL_FN void operator()(std::int64_t flat, std::int64_t column) const {
    T& to = dx[flat * ld_dx + column];
    const T value = from[flat * width + column] * mask[sequence.place(flat).row * width + column];
    to = accumulate ? to + value : value;
  }
};

// to [P][H] = h_{t-1}, times its row's mask [n][H] if there is one.
template <class T>
struct GatherPrevious {
  DeviceSequence sequence;
  T* to;
  const T* y;   // [P] ld_y
  const T* h0;  // [n][H]; null: zeros
  const T* mask;
  std::int64_t ld_y, h;
  bool reverse;
  RONDO_CELL_FN void operator()(std::int64_t flat, std::int64_t unit) const {
    const auto [step, row] = sequence.place(flat);
    const std::int64_t previous = sequence.flat(reverse ? step + 1 : step - 1, row);
    T value = previous >= 0 ? y[previous * ld_y + unit] : T(0);
    if (previous < 0 && h0 != nullptr) value = h0[row * h + unit];
    to[flat * h + unit] = mask == nullptr ? value : value * mask[row * h + unit];
  }
};

// to = a times b, or that added; rows of one width.
template <class T>
struct MultiplyMatrices {
  T* to;
  const T *a, *b;
  std::int64_t width;
  bool accumulate;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t at = row * width + column;
    to[at] = accumulate ? to[at] + a[at] * b[at] : a[at] * b[at];
  }
};

// Vectors of parameters take sums of columns: of chunks of rows, then of the chunks, each in a fixed order.
template <class T>
struct SumChunks {
  T* to;          // [chunks][width]
  const T* from;  // [rows] ld
  std::int64_t ld, width, rows, chunk;
  const T* times;  // [rows] ld_times: another factor of what is summed; null: none
  std::int64_t ld_times;
  RONDO_CELL_FN void operator()(std::int64_t number, std::int64_t column) const {
    const std::int64_t end = number + 1 < (rows + chunk - 1) / chunk ? (number + 1) * chunk : rows;
    T sum = 0;
    for (std::int64_t row = number * chunk; row < end; ++row) {
      const T factor = times == nullptr ? T(1) : times[row * ld_times + column];
      sum += from[row * ld + column] * factor;
    }
    to[number * width + column] = sum;
  }
};
template <class T>
struct AddChunks {
  T* to;            // [width]
  const T* chunks;  // [count][width]
  std::int64_t count, width;
  RONDO_CELL_FN void operator()(std::int64_t, std::int64_t column) const {
    T sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += chunks[i * width + column];
    to[column] += sum;
  }
};
// A row is a bias, ih or hh, a column one of its elements.
template <class T>
struct AddBiasGradients {
  T* to;            // [2][G * H]
  const T* chunks;  // [count][columns * H]
  std::int64_t count, h;
  GateOrder order;
  RONDO_CELL_FN void operator()(std::int64_t bias, std::int64_t element) const {
    const std::int64_t gate = element / h;
    const int column = bias == 0 ? order.input_column[gate] : order.recurrent_column[gate];
    T sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      sum += chunks[(i * order.columns + column) * h + element % h];
    }
    to[bias * order.gates * h + element] += sum;
  }
};

}  // namespace rondo::cuda
