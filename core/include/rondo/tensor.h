// Tensors as they cross the interface: views that never own, and a move-only owner.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>

#include "rondo/device.h"
#include "rondo/half.h"

namespace rondo {

// Up to four sizes, outermost first, in elements.
class RONDO_API Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {  // more than four: InvalidArgument
    if (sizes.size() > kMaxRank) check_rank(sizes.size());
    for (const std::int64_t size : sizes) sizes_[static_cast<std::size_t>(rank_++)] = size;
  }
  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return sizes_[static_cast<std::size_t>(i)]; }
  std::int64_t count() const;  // product of the sizes; 1 for rank 0
  bool operator==(const Shape&) const = default;

 private:
  static void check_rank(std::size_t rank);
  std::array<std::int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};
RONDO_API std::string to_string(const Shape& shape);  // "[2, 3, 4]"

// InvalidArgument unless asked == have.
RONDO_API void check_dtype(DType have, DType asked);

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_const_t<T>;
  static_assert(std::is_same_v<U, float> || std::is_same_v<U, double> || std::is_same_v<U, Float16> ||
                    std::is_same_v<U, BFloat16> || std::is_same_v<U, std::int32_t> ||
                    std::is_same_v<U, std::int64_t> || std::is_same_v<U, std::uint8_t>,
                "element type must be float, double, Float16, BFloat16, int32_t, int64_t or uint8_t");
  if constexpr (std::is_same_v<U, float>) return DType::kF32;
  if constexpr (std::is_same_v<U, double>) return DType::kF64;
  if constexpr (std::is_same_v<U, Float16>) return DType::kF16;
  if constexpr (std::is_same_v<U, BFloat16>) return DType::kBf16;
  if constexpr (std::is_same_v<U, std::int32_t>) return DType::kI32;
  if constexpr (std::is_same_v<U, std::uint8_t>) return DType::kU8;
  return DType::kI64;
}

// A dense row-major array in somebody else's memory. Default-constructed (data == nullptr) it is
// "absent", which optional arguments accept. strides count elements; the library takes dense
// arrays only and says so when it gets another.
template <class Void>
struct BasicTensorView {
  Void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  Device device{};

  BasicTensorView() = default;
  BasicTensorView(Void* pointer, DType type, Shape sizes, Device where = {})
      : data(pointer), dtype(type), shape(sizes), device(where) {
    std::uint64_t stride = 1;  // wraps around for sizes that no memory has, which a call then refuses
    for (int i = shape.rank(); i-- > 0; stride *= static_cast<std::uint64_t>(shape[i])) {
      strides[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(stride);
    }
  }
  template <class T>
    requires(!std::is_void_v<T> && std::is_convertible_v<T*, Void*>)
  BasicTensorView(T* pointer, Shape sizes) : BasicTensorView(pointer, dtype_of<T>(), sizes) {}
  // A mutable view serves where a constant one is asked for.
  template <class Other>
    requires(std::is_const_v<Void> && !std::is_const_v<Other>)
  BasicTensorView(const BasicTensorView<Other>& o)
      : data(o.data), dtype(o.dtype), shape(o.shape), strides(o.strides), device(o.device) {}

  // Absent, as opposed to present with no elements (N = 0 has a shape, whatever its pointer).
  bool absent() const { return data == nullptr && shape.rank() == 0; }
  // The elements, dense. Another T than dtype: InvalidArgument.
  template <class T>
  auto span() const {
    check_dtype(dtype, dtype_of<T>());
    using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
    return std::span<Element>(static_cast<Element*>(data), static_cast<std::size_t>(shape.count()));
  }
};
using TensorView = BasicTensorView<void>;
using ConstTensorView = BasicTensorView<const void>;

// Owns zero-filled, 64-byte aligned host memory. Move-only.
class RONDO_API Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);
  bool absent() const { return data_ == nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  TensorView view() { return !absent() ? TensorView(data_.get(), dtype_, shape_) : TensorView(); }
  ConstTensorView view() const {
    return !absent() ? ConstTensorView(data_.get(), dtype_, shape_) : ConstTensorView();
  }
  operator TensorView() { return view(); }             // NOLINT: a tensor is used as its view
  operator ConstTensorView() const { return view(); }  // NOLINT
  // The elements. Another T than the tensor's dtype: InvalidArgument.
  template <class T>
  std::span<T> span() { return view().template span<T>(); }
  template <class T>
  std::span<const T> span() const { return view().template span<T>(); }
  void zero();

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_;
  DType dtype_ = DType::kF32;
  Shape shape_;
};

}  // namespace rondo
