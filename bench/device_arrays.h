// Arrays where a device computes, and the stream of their own on which it does.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "rondo/rondo.h"

namespace bench {

class DeviceArrays {
 public:
  virtual ~DeviceArrays() = default;

  // Full of zeros; lives as long as this.
  rondo::TensorView make(rondo::DType dtype, const rondo::Shape& shape);
  // Uniform in +-bound; a long array repeats the values of its first part.
  rondo::TensorView make_random(rondo::DType dtype, const rondo::Shape& shape, double bound, unsigned seed);
  std::span<std::byte> make_bytes(std::size_t bytes);

  // From or to the host's memory or within the device's, in the stream's order; what the host reads or may
  // change is done with on return.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  // For PlanOptions::stream; null: the device has none.
  virtual void* stream() const = 0;
  // Waits until the stream is idle.
  virtual void synchronize() = 0;
  // Records what calls() asks of the stream, for replay(); in place of what was recorded before.
  virtual void capture(const std::function<void()>& calls) = 0;
  virtual void replay() = 0;

 protected:
  explicit DeviceArrays(rondo::Device device) : device_(device) {}
  // Zeroed, 64-byte aligned, not freed before this.
  virtual void* allocate(std::size_t bytes) = 0;

 private:
  rondo::Device device_;
};

// On the host, or by CUDA. A std::runtime_error says what is missing where the device cannot be used.
std::unique_ptr<DeviceArrays> make_device_arrays(rondo::Device device);

// "13.0" each; "" where there is no toolkit.
struct GpuVersions {
  std::string driver, runtime;  // the driver's: the newest CUDA that it runs
};
GpuVersions gpu_versions();

// Of device_arrays_cuda.cpp, or of device_arrays_no_cuda.cpp where the toolkit is missing.
std::unique_ptr<DeviceArrays> make_cuda_arrays(rondo::Device device);

}  // namespace bench
