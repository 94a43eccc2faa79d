// The texts of failing CUDA calls.
#include "cuda/cuda_error.h"

#include <pthread.h>

#include <atomic>

#include "rondo/device.h"

namespace rondo::cuda {
namespace {

std::atomic<bool> forked{false};

}  // namespace

void note_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  if (registered != 0) throw DeviceError("pthread_atfork failed: there is no memory for it");
}

void refuse_after_fork(int device) {
  if (!forked.load(std::memory_order_relaxed)) return;
  throw DeviceError(
      to_string(Device{Device::Kind::kCuda, device}) +
      ": this process was forked after its parent had used CUDA and cannot use it: start it with"
      " exec, or fork before anything asks for a GPU");
}

std::string restart_notice(cudaError_t status) {
  switch (status) {
    // The errors after which, by driver_types.h, a process must be relaunched to use CUDA.
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice:
      return "; an earlier call may have caused it, and no CUDA call works in this process from now on:"
             " restart the process";
    // A context does not survive fork.
    case cudaErrorInitializationError:
      return "; a process that was forked after its parent had used CUDA cannot use it";
    default:
      return "";
  }
}

cudaError_t stream_error(cudaStream_t stream) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  cudaError_t status = cudaStreamIsCapturing(stream, &capture);
  if (status == cudaSuccess && capture == cudaStreamCaptureStatusNone) status = cudaStreamQuery(stream);
  cudaGetLastError();  // cudaErrorNotReady stays there too
  return status == cudaErrorNotReady ? cudaSuccess : status;
}

void throw_cuda_error(int device, const std::string& call, cudaError_t status) {
  cudaGetLastError();  // else the next check of somebody else's would report it
  const char* full =
      "; plan for a smaller max_t or max_n, end what else fills the device, or set RONDO_DEVICE=cpu";
  throw DeviceError(to_string(Device{Device::Kind::kCuda, device}) + ": " + call +
                    " failed: " + cudaGetErrorString(status) + restart_notice(status) +
                    (status == cudaErrorMemoryAllocation ? full : ""));
}

}  // namespace rondo::cuda
