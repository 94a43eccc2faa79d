// An array as a file holds it: named, typed, row-major; and its way into a tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rondo/rondo.h"

namespace cli {

using Sizes = std::vector<std::int64_t>;
std::string to_string(const Sizes& sizes);  // "[2, 3, 4]"

// Elements of the file, little-endian, as many as the sizes say.
struct Array {
  std::string path, place;  // for messages; place: a member of the file, or empty
  rondo::DType dtype = rondo::DType::kF32;
  Sizes sizes;
  std::vector<std::byte> bytes;
};

// Bytes of so many elements; false when 64 bits do not count them, or a size is negative.
bool count_bytes(const Sizes& sizes, std::int64_t bytes_each, std::uint64_t& bytes);

// FileError unless the elements are f32 or f64.
void check_float(const Array& array);
// The array as f32 or f64, rounded where it was f64, in these sizes; else FileError. `expected` names them:
// "[T, N, I=3]"; -1 stands for any size.
rondo::Tensor float_tensor(const Array& array, rondo::DType dtype, const Sizes& sizes,
                           const std::string& expected);
// [N], i32 or i64, as it is; each in 0..t.
rondo::Tensor lengths_tensor(const Array& array, std::int64_t n, std::int64_t t);
// Bool or u8, as it is, in these sizes.
rondo::Tensor flags_tensor(const Array& array, const Sizes& sizes, const std::string& expected);

// What a file of results holds: in this order.
using Results = std::vector<std::pair<std::string, rondo::ConstTensorView>>;

}  // namespace cli
