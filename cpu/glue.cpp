// The row-wise operations that core/stack.h asks of a backend, on the CPU.
#include "cpu/glue.h"

#include <cmath>

#include "cpu/kernels/kernels.h"

namespace rondo::cpu {
namespace {

template <class T, class Void>
auto row(BasicRows<Void> rows, std::int64_t i) {
  using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
  return static_cast<Element*>(rows.data) + (rows.index == nullptr ? i : rows.index[i]) * rows.ld;
}

}  // namespace

template <class T>
void Glue<T>::copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (from.data == nullptr) {
      std::fill_n(row<T>(to, i), width, T(0));
    } else {
      std::copy_n(row<T>(from, i), width, row<T>(to, i));
    }
  }
}

template <class T>
void Glue<T>::merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                         std::int64_t width) {
  const T scale = how == Merge::kAve ? T(0.5) : T(1);
  for (std::int64_t i = 0; i < count; ++i) {
    T* y = row<T>(to, i);
    const T *p = row<T>(a, i), *q = b.data == nullptr ? nullptr : row<T>(b, i);
    if (q == nullptr) {
      for (std::int64_t j = 0; j < width; ++j) y[j] = how == Merge::kMul ? T(0) : p[j] * scale;
    } else if (how == Merge::kMul) {
      for (std::int64_t j = 0; j < width; ++j) y[j] = p[j] * q[j];
    } else {
      for (std::int64_t j = 0; j < width; ++j) y[j] = (p[j] + q[j]) * scale;
    }
  }
}

template <class T>
void Glue<T>::draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) {
  // A number of 24 bits times 2^-24 is below the rate where it is below this.
  const auto below = static_cast<std::uint32_t>(std::ceil(draw.rate * 0x1p24));
  const auto draw_row = kernels<T>().draw_mask_row;
  for (std::int64_t i = 0; i < count; ++i) {
    const MaskDraw::Place at = draw.place(i);
    draw_row({draw.key, draw.stream, at.t, at.n, below, draw.kept}, row<T>(to, i), width);
  }
}

template class Glue<float>;
template class Glue<double>;

}  // namespace rondo::cpu
