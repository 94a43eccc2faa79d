// The functions of CUDA's runtime that cuda/cudnn_rnn.cpp and what it stands on call.
#include "fake_cuda.h"

#include <utility>

namespace rondo::testing {
FakeCuda fake_cuda;
}  // namespace rondo::testing
using rondo::testing::fake_cuda;

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = fake_cuda.capture;
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  ++fake_cuda.queries;
  return fake_cuda.last_error =
             stream == rondo::testing::kStream ? fake_cuda.stream : cudaErrorInvalidResourceHandle;
}
cudaError_t cudaGetLastError() { return std::exchange(fake_cuda.last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t) { return "the device is lost"; }
