// A growing block of 64-byte aligned host memory, not initialised.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>

#include "rondo/error.h"

namespace rondo {

class AlignedMemory {
 public:
  // At least this many bytes; contents are lost when it grows.
  void reserve(std::size_t bytes) {
    if (bytes <= size_) return;
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    auto* larger = static_cast<std::byte*>(std::aligned_alloc(64, rounded));
    if (larger == nullptr) throw DeviceError("cpu: no memory for " + std::to_string(bytes) + " bytes");
    data_.reset(larger);
    size_ = rounded;
  }
  std::span<std::byte> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace rondo
