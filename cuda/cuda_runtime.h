// The runtime of cuda/runtime.h on one CUDA device: one stream, one memory pool, one cuBLAS handle.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>

#include "cuda/cudnn_rnn.h"
#include "cuda/launch.h"

namespace rondo::cuda {

struct CudnnHandle;

// Serves every plan of its device, from any thread: what two threads ask for is ordered by the stream.
class CudaRuntime {
 public:
  explicit CudaRuntime(int device);
  ~CudaRuntime();
  CudaRuntime(const CudaRuntime&) = delete;
  CudaRuntime& operator=(const CudaRuntime&) = delete;

  void* allocate(std::size_t bytes);
  void release(void* memory) noexcept;
  template <class T>
  void gemm(const Gemm<T>& product);
  template <class F>
  void for_each(std::int64_t rows, std::int64_t width, const F& f);  // defined in for_each-inl.h
  void send(void* to, const void* from_host, std::size_t bytes);

  // Any two of host and device memory; complete on return.
  void copy(void* to, const void* from, std::size_t bytes);

  // A network by cuDNN on this stream; CudnnRefusal where there is none, or it does not run this one.
  std::unique_ptr<CudnnRnn> make_cudnn_rnn(const CudnnNetwork& network);

 private:
  struct DestroyStream {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  struct DestroyPool {
    void operator()(cudaMemPool_t pool) const { cudaMemPoolDestroy(pool); }
  };
  struct Blas;

  void launch(const void* kernel, const Launch& shape, void** arguments);

  int device_;
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream> stream_;
  std::unique_ptr<std::remove_pointer_t<cudaMemPool_t>, DestroyPool> pool_;
  // A product may be several kernels that share the handle's workspace, so products enter one at a time.
  std::mutex in_blas_;
  std::unique_ptr<Blas> blas_;
  std::mutex opening_cudnn_;
  std::unique_ptr<CudnnHandle> cudnn_;  // made when it is first needed
};

}  // namespace rondo::cuda
