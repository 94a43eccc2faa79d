// Layer normalisation of rows: their moments in two stages, then each element. Sums are made within chunks of
// a row and then over the chunks, each in a fixed order, so that many threads share a row and every run gives
// equal bits.
#pragma once

#include "cuda/ops.h"

namespace rondo::cuda {

#include "core/cells/layer_norm-inl.h"

// Of a row: n = (x - mean) scale.
template <class T>
struct Moments {
  T mean, scale;
};
// Of a row's gradient d of n, over the row.
template <class T>
struct GradientMeans {
  T d, dn;  // of d and of d n
};

// A row's chunks.
struct RowChunks {
  std::int64_t width, size, count;
  RONDO_CELL_FN std::int64_t begin(std::int64_t chunk) const { return chunk * size; }
  RONDO_CELL_FN std::int64_t end(std::int64_t chunk) const {
    return chunk + 1 < count ? (chunk + 1) * size : width;
  }
};

// Row r of a pointer p with stride ld is p + r * ld.
template <class T>
struct NormRows {
  T* x;                 // [rows] ld_x: what is normalised in, factor n out; backward: its gradient, out
  T* normal;            // [rows] ld_normal: n; null: not wanted
  Moments<T>* moments;  // [rows] ld_moments
  const T* factor;      // [width]
  std::int64_t ld_x, ld_normal, ld_moments;
};

// A column is a chunk: its mean and sum of squares about it, to [rows][count][2].
template <class T>
struct ChunkMoments {
  const T* x;
  std::int64_t ld_x;
  RowChunks chunks;
  T* to;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t chunk) const {
    const std::int64_t begin = chunks.begin(chunk), end = chunks.end(chunk);
    const T* of = x + row * ld_x;
    T sum = 0, squares = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += of[i];
    const T mean = sum / static_cast<T>(end - begin);
    for (std::int64_t i = begin; i < end; ++i) squares += (of[i] - mean) * (of[i] - mean);
    T* const out = to + (row * chunks.count + chunk) * 2;
    out[0] = mean;
    out[1] = squares;
  }
};

// One column. Chunks are joined as in Chan, Golub and LeVeque 1983, which does not cancel as sums of squares
// do.
template <class T>
struct RowMoments {
  Moments<T>* to;
  std::int64_t ld_to;
  RowChunks chunks;
  const T* from;  // [rows][count][2]
  T epsilon;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t) const {
    T mean = 0, squares = 0;
    for (std::int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const T* const part = from + (row * chunks.count + chunk) * 2;
      const T before = static_cast<T>(chunks.begin(chunk)), all = static_cast<T>(chunks.end(chunk));
      const T apart = part[0] - mean, share = (all - before) / all;
      mean += apart * share;
      squares += part[1] + apart * apart * before * share;
    }
    to[row * ld_to] = {mean, T(1) / std::sqrt(squares / static_cast<T>(chunks.width) + epsilon)};
  }
};

template <class T>
struct Normalise {
  NormRows<T> rows;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    T& x = rows.x[row * rows.ld_x + column];
    const Moments<T> m = rows.moments[row * rows.ld_moments];
    const T n = normalise(Ops<T>(), x, m.mean, m.scale);
    x = n * rows.factor[column];
    if (rows.normal != nullptr) rows.normal[row * rows.ld_normal + column] = n;
  }
};

// Of factor n, and from it that of n.
template <class T>
struct NormGradient {
  NormRows<T> rows;
  const T* dy;  // [rows] ld_dy
  std::int64_t ld_dy;
  RONDO_CELL_FN T d(std::int64_t row, std::int64_t column) const {
    return dy[row * ld_dy + column] * rows.factor[column];
  }
  RONDO_CELL_FN T n(std::int64_t row, std::int64_t column) const {
    return rows.normal[row * rows.ld_normal + column];
  }
};

// Sums of d and d n, to [rows][count][2].
template <class T>
struct ChunkGradients {
  NormGradient<T> of;
  RowChunks chunks;
  T* to;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t chunk) const {
    T d = 0, dn = 0;
    for (std::int64_t i = chunks.begin(chunk); i < chunks.end(chunk); ++i) {
      d += of.d(row, i);
      dn += of.d(row, i) * of.n(row, i);
    }
    T* const out = to + (row * chunks.count + chunk) * 2;
    out[0] = d;
    out[1] = dn;
  }
};
template <class T>
struct RowGradients {
  GradientMeans<T>* to;  // [rows]
  RowChunks chunks;
  const T* from;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t) const {
    T d = 0, dn = 0;
    for (std::int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      d += from[(row * chunks.count + chunk) * 2];
      dn += from[(row * chunks.count + chunk) * 2 + 1];
    }
    const T width = static_cast<T>(chunks.width);
    to[row] = {d / width, dn / width};
  }
};
template <class T>
struct NormaliseBackward {
  NormGradient<T> of;
  const GradientMeans<T>* means;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    const GradientMeans<T> m = means[row];
    const T scale = of.rows.moments[row * of.rows.ld_moments].scale;
    of.rows.x[row * of.rows.ld_x + column] =
        normalise_backward(Ops<T>(), of.d(row, column), of.n(row, column), m.d, m.dn, scale);
  }
};

}  // namespace rondo::cuda
