// A CUDA runtime that says what a test has it say, for programs that link no other.
#pragma once

#include <cuda_runtime_api.h>

namespace rondo::testing {

struct FakeCuda {
  cudaError_t stream = cudaSuccess;  // what it says when it is asked
  int queries = 0;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  // Of this runtime alone: cuDNN has one of its own, and what that meets is not seen here.
  cudaError_t last_error = cudaSuccess;
};
extern FakeCuda fake_cuda;
inline cudaStream_t const kStream = reinterpret_cast<cudaStream_t>(0x80);

}  // namespace rondo::testing
