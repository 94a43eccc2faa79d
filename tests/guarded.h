// Buffers for tests: filled with NaN, red zones on both sides, aligned or deliberately not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "rondo/tensor.h"

namespace rondo::testing {

// Every byte is 0xFF at first, which is a NaN in each floating type and -1 in the integers.
template <class T>
class Guarded {
 public:
  enum class Start { kAligned64, kOneElementOff };

  explicit Guarded(std::size_t count, Start start = Start::kAligned64)
      : count_(count), memory_(count * sizeof(T) + 2 * kZone + 64 + sizeof(T), std::byte{0xFF}) {
    const auto base = reinterpret_cast<std::uintptr_t>(memory_.data());
    begin_ = (base + kZone + 63) / 64 * 64 - base;
    if (start == Start::kOneElementOff) begin_ += sizeof(T);
  }
  template <class U>
  Guarded(const std::vector<U>& values, Start start) : Guarded(values.size(), start) {
    for (std::size_t i = 0; i < count_; ++i) data()[i] = static_cast<T>(values[i]);
    kept_ = memory_;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return reinterpret_cast<T*>(memory_.data() + begin_); }
  std::span<T> span() { return {data(), count_}; }
  std::span<std::byte> bytes() { return {memory_.data() + begin_, count_ * sizeof(T)}; }
  // Full of NaN again: nothing of an earlier use is left to be read.
  std::span<std::byte> refilled() {
    std::memset(data(), 0xFF, count_ * sizeof(T));
    return bytes();
  }
  TensorView view(Shape shape) { return {data(), dtype_of<T>(), shape}; }

  bool zones_intact() const {
    const std::size_t end = begin_ + count_ * sizeof(T);
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if ((i < begin_ || i >= end) && memory_[i] != std::byte{0xFF}) return false;
    }
    return true;
  }
  // For an input: nothing has been written at all.
  bool unchanged() const { return memory_ == kept_; }

 private:
  static constexpr std::size_t kZone = 256;  // four of the widest vectors
  std::size_t count_ = 0, begin_ = 0;
  std::vector<std::byte> memory_, kept_;
};

}  // namespace rondo::testing
