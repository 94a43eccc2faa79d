// Every failing call of the CUDA runtime as a DeviceError.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "rondo/error.h"

namespace rondo::cuda {

// "cuda:0: cudaMallocAsync of 1048576 bytes failed: out of memory"
[[noreturn]] void throw_cuda_error(int device, const std::string& call, cudaError_t status);
inline void check(int device, const char* call, cudaError_t status) {
  if (status != cudaSuccess) throw_cuda_error(device, call, status);
}

// Whether every later call of this process fails as well; else "".
std::string restart_notice(cudaError_t status);

// What CUDA has against the stream, cudaSuccess if nothing: also while it is busy, or being captured, which a
// question would end. cuBLAS and cuDNN only say that a call failed, and have CUDA runtimes of their own,
// whose last errors this module does not see; a device that is lost shows on every stream. Leaves no error
// behind.
cudaError_t stream_error(cudaStream_t stream);

// A child of fork cannot use CUDA once its parent has. From note_forks() on, refuse_after_fork() throws in
// every process that is forked, before it calls CUDA with what is not its own.
void note_forks();
void refuse_after_fork(int device);

// The device is the calling thread's current one as long as this lives. Where the thread had used no device,
// going back to 0 makes a context there: CUDA's runtime has no call that does not.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    refuse_after_fork(device);
    check(device, "cudaGetDevice", cudaGetDevice(&before_));
    if (before_ == device) return;
    check(device, "cudaSetDevice", cudaSetDevice(device));
    changed_ = true;
  }
  ~CurrentDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

}  // namespace rondo::cuda
