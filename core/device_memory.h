// A growing block of memory on one device, not initialised.
#pragma once

#include <utility>

#include "core/backend.h"

namespace rondo {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& o) noexcept { swap(o); }
  DeviceMemory& operator=(DeviceMemory&& o) noexcept {
    swap(o);
    return *this;
  }
  ~DeviceMemory() { release(); }

  // At least this many bytes on `device`; contents are lost when the block grows or moves to another device.
  void reserve(Device device, std::size_t bytes) {
    if (bytes <= bytes_ && (device == device_ || bytes == 0)) return;
    Backend& backend = backend_of(device);
    auto* larger = static_cast<std::byte*>(backend.allocate(device, bytes));
    release();
    backend_ = &backend;
    device_ = device;
    data_ = larger;
    bytes_ = bytes;
  }
  std::byte* data() const { return data_; }
  // That of the device, once there is memory.
  Backend& backend() const { return *backend_; }
  std::span<std::byte> span() const { return {data_, bytes_}; }

 private:
  void release() {
    if (data_ != nullptr) backend_->release(device_, data_);
    data_ = nullptr;
  }
  void swap(DeviceMemory& o) noexcept {
    std::swap(backend_, o.backend_);
    std::swap(device_, o.device_);
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
  }

  Backend* backend_ = nullptr;
  Device device_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace rondo
