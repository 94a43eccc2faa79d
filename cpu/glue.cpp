// The row-wise operations that core/stack.h asks of a backend, on the CPU.
#include "cpu/glue.h"

#include <algorithm>

namespace rondo::cpu {
namespace {

template <class T>
T* row(Rows rows, std::int64_t i) {
  return static_cast<T*>(rows.data) + i * rows.ld;
}
template <class T>
const T* row(ConstRows rows, std::int64_t i) {
  return static_cast<const T*>(rows.data) + i * rows.ld;
}
std::int64_t at(const std::int64_t* index, std::int64_t i) { return index == nullptr ? i : index[i]; }

}  // namespace

template <class T>
void Glue<T>::gather_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                          std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (from.data == nullptr) {
      std::fill_n(row<T>(to, i), width, T(0));
    } else {
      std::copy_n(row<T>(from, at(index, i)), width, row<T>(to, i));
    }
  }
}

template <class T>
void Glue<T>::scatter_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                           std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) std::copy_n(row<T>(from, i), width, row<T>(to, at(index, i)));
}

template <class T>
void Glue<T>::merge(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    T* y = row<T>(to, i);
    const T *p = row<T>(a, i), *q = row<T>(b, i);
    if (how == Merge::kMul) {
      for (std::int64_t j = 0; j < width; ++j) y[j] = p[j] * q[j];
    } else {
      const T scale = how == Merge::kAve ? T(0.5) : T(1);
      for (std::int64_t j = 0; j < width; ++j) y[j] = (p[j] + q[j]) * scale;
    }
  }
}

template <class T>
void Glue<T>::merge_backward(Merge how, ConstRows dy, ConstRows a, ConstRows b, Rows da, Rows db,
                             std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T* d = row<T>(dy, i);
    T *dp = row<T>(da, i), *dq = row<T>(db, i);
    if (how == Merge::kMul) {
      const T *p = row<T>(a, i), *q = row<T>(b, i);
      for (std::int64_t j = 0; j < width; ++j) {
        dp[j] = d[j] * q[j];
        dq[j] = d[j] * p[j];
      }
    } else {
      const T scale = how == Merge::kAve ? T(0.5) : T(1);
      for (std::int64_t j = 0; j < width; ++j) dp[j] = dq[j] = d[j] * scale;
    }
  }
}

template <class T>
void Glue<T>::scale_rows(Rows to, ConstRows from, ConstRows mask, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    T* y = row<T>(to, i);
    const T *x = row<T>(from, i), *m = row<T>(mask, i);
    for (std::int64_t j = 0; j < width; ++j) y[j] = x[j] * m[j];
  }
}

template <class T>
void Glue<T>::add_rows(Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    T* y = row<T>(to, i);
    const T *p = row<T>(a, i), *q = row<T>(b, i);
    for (std::int64_t j = 0; j < width; ++j) y[j] = p[j] + q[j];
  }
}

template <class T>
void Glue<T>::draw_mask(Rows to, const MaskDraw& draw, std::int64_t t, const std::int64_t* rows, std::int64_t count,
                        std::int64_t width) {
  const T keep = draw.rate < 1 ? static_cast<T>(1 / (1 - draw.rate)) : T(0);
  for (std::int64_t i = 0; i < count; ++i) {
    T* mask = row<T>(to, i);
    for (std::int64_t j = 0; j < width; j += 4) {
      const auto bits = draw.bits(t, at(rows, i), j / 4);
      for (std::int64_t k = j; k < std::min(j + 4, width); ++k) {
        mask[k] = unit_uniform(bits[static_cast<std::size_t>(k - j)]) < draw.rate ? T(0) : keep;
      }
    }
  }
}

template class Glue<float>;
template class Glue<double>;

}  // namespace rondo::cpu
