// Host arrays on their way to a device and back, through slots of pinned memory: what waits is the host, and
// only for a slot that the device has not done with. Without vendor headers, so that tests run it on the
// host.
#pragma once

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/backend.h"

namespace rondo::cuda {

// A Lane is an order of copies that others carry out, CUDA's a stream:
//
//   std::byte* allocate_pinned(std::size_t bytes);
//   void release_pinned(std::byte* memory) noexcept;             null: nothing
//   void copy(void* to, const void* from, std::size_t bytes);    after those before; returns at once
//   void mark(int slot);                                         the copies asked for so far
//   void wait(int slot);                                         for those of its last mark, if there was one
template <class Lane>
class Staging {
 public:
  static constexpr int kSlots = 4;
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;  // longer arrays go piece by piece

  explicit Staging(Lane& lane) : lane_(lane) {}
  ~Staging() {
    try {
      for (int slot = 0; slot < kSlots; ++slot) lane_.wait(slot);
    } catch (...) {
      // A device that is lost writes no more.
    }
    lane_.release_pinned(memory_);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // At least so many bytes a slot. Waits and allocates: for planning, not for a pass.
  void reserve(std::size_t bytes) {
    if (bytes <= slot_bytes_) return;
    const std::size_t rounded = (bytes + 255) / 256 * 256;
    std::byte* larger = lane_.allocate_pinned(kSlots * rounded);
    try {
      for (int slot = 0; slot < kSlots; ++slot) lane_.wait(slot);
    } catch (...) {
      lane_.release_pinned(larger);
      throw;
    }
    lane_.release_pinned(memory_);
    memory_ = larger;
    slot_bytes_ = rounded;
  }
  std::size_t slot_bytes() const { return slot_bytes_; }

  // At most slot_bytes() of them: more is a fault of the planning. The source may change once it returns.
  void send(void* to, const void* from, std::size_t bytes) {
    if (bytes > slot_bytes_) {
      throw std::logic_error("rondo sends " + std::to_string(bytes) + " bytes where planning reserved " +
                             std::to_string(slot_bytes_) + ": please report this");
    }
    const int slot = take();
    lane_.wait(slot);
    std::memcpy(data(slot), from, bytes);
    lane_.copy(to, data(slot), bytes);
    lane_.mark(slot);
  }
  // Any number of bytes, once something was reserved.
  void send_chunks(const Copy& copy) {
    each_chunk(copy, [&](const Copy& chunk) { send(chunk.to, chunk.from, chunk.bytes); });
  }
  // To the host; all of it is there on return. The device is waited for once its work is all asked for, or
  // when the slots run out.
  void fetch(std::span<const Copy> copies) {
    Copy pending[kSlots] = {};  // by slot; gone with an exception, as the arrays that it names may be
    const auto finish = [&](int slot) {
      lane_.wait(slot);
      if (pending[slot].bytes > 0) std::memcpy(pending[slot].to, data(slot), pending[slot].bytes);
      pending[slot] = {};
    };
    for (const Copy& copy : copies) {
      each_chunk(copy, [&](const Copy& chunk) {
        const int slot = take();
        finish(slot);
        lane_.copy(data(slot), chunk.from, chunk.bytes);
        lane_.mark(slot);
        pending[slot] = chunk;
      });
    }
    for (int i = 0; i < kSlots; ++i) {
      if (const int slot = take(); pending[slot].bytes > 0) finish(slot);
    }
  }

 private:
  int take() { return next_++ % kSlots; }
  std::byte* data(int slot) const { return memory_ + static_cast<std::size_t>(slot) * slot_bytes_; }
  template <class F>
  void each_chunk(const Copy& copy, const F& f) const {
    const std::size_t most = std::min(kChunkBytes, slot_bytes_);
    for (std::size_t at = 0; at < copy.bytes; at += most) {
      f(Copy{static_cast<std::byte*>(copy.to) + at, static_cast<const std::byte*>(copy.from) + at,
             std::min(most, copy.bytes - at)});
    }
  }

  Lane& lane_;
  std::byte* memory_ = nullptr;
  std::size_t slot_bytes_ = 0;
  unsigned next_ = 0;
};

}  // namespace rondo::cuda
