// The runtime of cuda/runtime.h on one CUDA device: one stream, one memory pool, one cuBLAS handle.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>

#include "cuda/choose_path.h"
#include "cuda/launch.h"
#include "cuda/staging.h"

namespace rondo::cuda {

class Blas;
struct CudnnHandle;

// Serves every plan of its stream, from any thread: what two threads ask for is ordered by the stream.
class CudaRuntime {
 public:
  // stream: the caller's, which lives as long as this; null: one of its own.
  explicit CudaRuntime(int device, cudaStream_t stream = nullptr);
  ~CudaRuntime();
  CudaRuntime(const CudaRuntime&) = delete;
  CudaRuntime& operator=(const CudaRuntime&) = delete;

  void* allocate(std::size_t bytes);
  void release(void* memory) noexcept;
  void trim();
  template <class T>
  void gemm(const Gemm<T>& product);
  template <class F>
  void for_each(std::int64_t rows, std::int64_t width, const F& f);  // defined in for_each-inl.h
  void reserve(std::size_t bytes);
  void send(void* to, const void* from_host, std::size_t bytes);

  void zero(void* memory, std::size_t bytes);
  // Backend::copy_all.
  void copy(std::span<const Copy> copies);

  const DeviceTraits& traits() const { return traits_; }
  // A network by cuDNN on this stream; CudnnRefusal where there is none, or it does not run this one.
  std::unique_ptr<CudnnRnn> make_cudnn_rnn(const CudnnNetwork& network);

 private:
  struct DestroyStream {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  struct DestroyPool {
    void operator()(cudaMemPool_t pool) const { cudaMemPoolDestroy(pool); }
  };
  // The stream as Staging sees it.
  struct Lane {
    ~Lane();
    void make_events();
    std::byte* allocate_pinned(std::size_t bytes);
    void release_pinned(std::byte* memory) noexcept;
    void copy(void* to, const void* from, std::size_t bytes);
    void mark(int slot);
    void wait(int slot);

    int device;
    cudaStream_t stream;
    cudaEvent_t events[Staging<Lane>::kSlots] = {};
  };

  void launch(const void* kernel, const Launch& shape, void** arguments);
  void expect_no_capture(const char* why) const;
  cudaMemoryType place_of(const void* memory) const;

  int device_;
  DeviceTraits traits_;
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream> own_stream_;
  cudaStream_t stream_;
  std::unique_ptr<std::remove_pointer_t<cudaMemPool_t>, DestroyPool> pool_;
  Lane lane_;
  std::mutex in_staging_;
  Staging<Lane> staging_{lane_};
  // A product may be several kernels that share the handle's workspace, so products enter one at a time.
  std::mutex in_blas_;
  std::unique_ptr<Blas> blas_;
  std::mutex opening_cudnn_;
  std::unique_ptr<CudnnHandle> cudnn_;  // made when it is first needed
};

}  // namespace rondo::cuda
