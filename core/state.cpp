// The state of streams between calls.
#include <algorithm>

#include "core/validate.h"
#include "rondo/rnn.h"

namespace rondo {

void State::reset() {
  h_.zero();
  c_.zero();
}

void State::reset_row(std::int64_t row) {
  for (Tensor* all : {&h_, &c_}) {
    if (all->absent()) continue;
    const Shape& shape = all->shape();
    validate_row(row, shape[1]);
    const std::int64_t bytes = shape[2] * element_bytes(all->dtype());
    auto* data = static_cast<std::byte*>(all->view().data) + row * bytes;
    for (std::int64_t i = 0; i < shape[0]; ++i) std::fill_n(data + i * shape[1] * bytes, bytes, std::byte{0});
  }
}

}  // namespace rondo
