// cuDNN's handle for one device and stream, and the networks that run there. Without cuDNN's headers.
#pragma once

#include <mutex>

#include "cuda/cuda_error.h"
#include "cuda/cudnn_rnn.h"

struct cudnnContext;  // cudnnHandle_t points to one

namespace rondo::cuda {

class CudnnLibrary;

// Of the cuDNN that is installed, "9.19.0"; CudnnRefusal without one.
std::string cudnn_version();

struct CudnnHandle {
  // By the cuDNN that is installed; CudnnRefusal without one.
  CudnnHandle(int device, cudaStream_t stream);
  CudnnHandle(int device, cudaStream_t stream, const CudnnLibrary& library);
  ~CudnnHandle();
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;

  const CudnnLibrary& library;
  const int device;
  const cudaStream_t stream;
  cudnnContext* handle = nullptr;
  std::mutex in_use;  // a handle is not for two threads at once
};

// Outlived by the handle. CudnnRefusal where cuDNN does not run this network.
std::unique_ptr<CudnnRnn> make_cudnn_rnn(CudnnHandle& handle, const CudnnNetwork& network);

}  // namespace rondo::cuda
