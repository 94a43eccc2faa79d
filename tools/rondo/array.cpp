// Arrays of files as tensors, with the checks of type and sizes.
#include "array.h"

#include <algorithm>
#include <cstring>

#include "file_error.h"

namespace cli {
namespace {

void check_sizes(const Array& array, const Sizes& sizes, const std::string& expected) {
  bool same = array.sizes.size() == sizes.size();
  for (std::size_t i = 0; same && i < sizes.size(); ++i) same = sizes[i] < 0 || sizes[i] == array.sizes[i];
  if (same) return;
  throw FileError(array.path, array.place, "has shape " + to_string(array.sizes) + ", expected " + expected);
}

rondo::Shape shape_of(const Sizes& sizes) {
  switch (sizes.size()) {
    case 1:
      return {sizes[0]};
    case 2:
      return {sizes[0], sizes[1]};
    default:
      return {sizes.at(0), sizes.at(1), sizes.at(2)};
  }
}

template <class From, class To>
void convert(const Array& array, std::span<To> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    From value;
    std::memcpy(&value, array.bytes.data() + i * sizeof value, sizeof value);
    to[i] = static_cast<To>(value);
  }
}

template <class To>
void fill(const Array& array, std::span<To> to) {
  array.dtype == rondo::DType::kF32 ? convert<float>(array, to) : convert<double>(array, to);
}

template <class T>
void check_lengths(const Array& array, std::span<const T> lengths, std::int64_t t) {
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] >= 0 && lengths[i] <= t) continue;
    throw FileError(array.path, array.place,
                    "row " + std::to_string(i) + " has length " + std::to_string(lengths[i]) +
                        ", expected 0 to T=" + std::to_string(t));
  }
}

}  // namespace

std::string to_string(const Sizes& sizes) {
  std::string text = "[";
  for (const std::int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

bool count_bytes(const Sizes& sizes, std::int64_t bytes_each, std::uint64_t& bytes) {
  // A size of 0 does not excuse the others: their product is what strides are made of.
  std::int64_t product = bytes_each;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) return false;
    empty = empty || size == 0;
    if (size > 0 && __builtin_mul_overflow(product, size, &product)) return false;
  }
  bytes = empty ? 0 : static_cast<std::uint64_t>(product);
  return true;
}

void check_float(const Array& array) {
  if (array.dtype != rondo::DType::kF32 && array.dtype != rondo::DType::kF64) {
    throw FileError(array.path, array.place,
                    "has elements of type " + rondo::to_string(array.dtype) + ", expected f32 or f64");
  }
}

rondo::Tensor float_tensor(const Array& array, rondo::DType dtype, const Sizes& sizes,
                           const std::string& expected) {
  check_float(array);
  check_sizes(array, sizes, expected);
  rondo::Tensor tensor(dtype, shape_of(array.sizes));
  dtype == rondo::DType::kF32 ? fill(array, tensor.span<float>()) : fill(array, tensor.span<double>());
  return tensor;
}

rondo::Tensor lengths_tensor(const Array& array, std::int64_t n, std::int64_t t) {
  const bool wide = array.dtype == rondo::DType::kI64;
  if (!wide && array.dtype != rondo::DType::kI32) {
    throw FileError(array.path, array.place,
                    "has elements of type " + rondo::to_string(array.dtype) + ", expected i32 or i64");
  }
  check_sizes(array, {n}, "[N=" + std::to_string(n) + "]");
  rondo::Tensor tensor(array.dtype, {n});
  if (n > 0) std::memcpy(tensor.view().data, array.bytes.data(), array.bytes.size());
  if (wide) {
    check_lengths(array, std::span<const std::int64_t>(tensor.span<std::int64_t>()), t);
  } else {
    check_lengths(array, std::span<const std::int32_t>(tensor.span<std::int32_t>()), t);
  }
  return tensor;
}

rondo::Tensor flags_tensor(const Array& array, const Sizes& sizes, const std::string& expected) {
  if (array.dtype != rondo::DType::kU8) {
    throw FileError(array.path, array.place,
                    "has elements of type " + rondo::to_string(array.dtype) + ", expected bool or u8");
  }
  check_sizes(array, sizes, expected);
  rondo::Tensor tensor(array.dtype, shape_of(array.sizes));
  if (!array.bytes.empty()) std::memcpy(tensor.view().data, array.bytes.data(), array.bytes.size());
  return tensor;
}

}  // namespace cli
