// Shape and the owning Tensor.
#include "rondo/tensor.h"

#include <cstdlib>
#include <cstring>

#include "core/validate.h"

namespace rondo {

void Shape::check_rank(std::size_t rank) { validate_rank(rank); }

std::int64_t Shape::count() const {
  std::int64_t count = 1;
  for (int i = 0; i < rank_; ++i) count *= (*this)[i];
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(shape) {
  validate_sizes("Tensor", shape, element_bytes(dtype));
  // At least one block, so that a tensor without elements is present.
  const auto blocks = static_cast<std::size_t>(shape.count() * element_bytes(dtype) / 64 + 1);
  data_.reset(std::aligned_alloc(64, blocks * 64));
  if (!data_) throw DeviceError(message("cpu: no memory for a tensor ", shape, " of ", dtype));
  zero();
}

void Tensor::zero() {
  const auto bytes = static_cast<std::size_t>(shape_.count() * element_bytes(dtype_));
  if (!absent()) std::memset(data_.get(), 0, bytes);
}

void Tensor::Free::operator()(void* p) const { std::free(p); }

}  // namespace rondo
