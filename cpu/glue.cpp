// The row-wise operations that core/stack.h asks of a backend, on the CPU.
#include "cpu/glue.h"

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
  const T keep = static_cast<T>(draw.kept);
  for (std::int64_t i = 0; i < count; ++i) {
    T* mask = row<T>(to, i);
    std::array<std::uint32_t, 4> bits{};
    for (std::int64_t j = 0; j < width; ++j) {
      if (j % 4 == 0) bits = draw.bits(i, j / 4);
      mask[j] = unit_uniform(bits[static_cast<std::size_t>(j % 4)]) < draw.rate ? T(0) : keep;
    }
  }
}

template class Glue<float>;
template class Glue<double>;

}  // namespace rondo::cpu
