// The row-wise operations that core/stack.h asks of a backend, by the for_each of a runtime.
#pragma once

#include <memory>

#include "core/stack.h"
#include "cuda/runtime.h"

namespace rondo::cuda {

// Rows as code on the device reads them.
template <class T>
struct DeviceRows {
  T* data;  // null: absent
  std::int64_t ld;
  const std::int64_t* index;
  RONDO_CELL_FN T& operator()(std::int64_t row, std::int64_t column) const {
    return data[(index == nullptr ? row : index[row]) * ld + column];
  }
};
template <class T>
DeviceRows<T> rows_of(Rows rows) {
  return {static_cast<T*>(rows.data), rows.ld, rows.index};
}
template <class T>
DeviceRows<const T> rows_of(ConstRows rows) {
  return {static_cast<const T*>(rows.data), rows.ld, rows.index};
}

template <class T>
struct CopyRows {
  DeviceRows<T> to;
  DeviceRows<const T> from;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    to(row, column) = from.data == nullptr ? T(0.0F) : from(row, column);
  }
};

template <class T>
struct MergeRows {
  Merge how;
  DeviceRows<T> to;
  DeviceRows<const T> a, b;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    using W = Wide<T>;
    const W p = W(a(row, column)), q = b.data == nullptr ? W(0) : W(b(row, column));
    to(row, column) = T(how == Merge::kMul ? p * q : (p + q) * (how == Merge::kAve ? W(0.5) : W(1)));
  }
};

// A column is a block of four units.
template <class T>
struct DrawMask {
  DeviceRows<T> to;
  MaskDraw draw;
  std::int64_t width;
  T keep;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t block) const {
    const auto bits = draw.bits(row, block);
    for (std::int64_t j = 0; j < 4 && block * 4 + j < width; ++j) {
      const double uniform = unit_uniform(bits[static_cast<std::size_t>(j)]);
      to(row, block * 4 + j) = uniform < draw.rate ? T(0.0F) : keep;
    }
  }
};

template <class T, class Runtime>
class Glue : public LayerBackend {
 public:
  explicit Glue(std::shared_ptr<Runtime> runtime) : owner_(std::move(runtime)), runtime_(*owner_) {}
  bool on_host() const override { return false; }
  void reserve_index(std::int64_t count) override {
    runtime_.reserve(static_cast<std::size_t>(count) * sizeof(std::int64_t));
  }
  void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) override {
    runtime_.send(to, from, static_cast<std::size_t>(count) * sizeof(std::int64_t));
  }
  void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) override {
    runtime_.for_each(count, width, CopyRows<T>{rows_of<T>(to), rows_of<T>(from)});
  }
  void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                  std::int64_t width) override {
    runtime_.for_each(count, width, MergeRows<T>{how, rows_of<T>(to), rows_of<T>(a), rows_of<T>(b)});
  }
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) override {
    const T keep = static_cast<T>(draw.kept);
    runtime_.for_each(count, (width + 3) / 4, DrawMask<T>{rows_of<T>(to), draw, width, keep});
  }

 protected:
  std::shared_ptr<Runtime> owner_;  // shared with the weights, which may outlive the plan
  Runtime& runtime_;
};

}  // namespace rondo::cuda
