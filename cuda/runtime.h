// What the step path asks of a device. Two classes fulfil it: cuda/cuda_runtime.h by CUDA and cuBLAS, on one
// stream, and tests/host_runtime.h by loops on the host, so that the step path is tested without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Before functions that run on either side.
#if defined(__CUDACC__)
#define RONDO_CELL_FN __host__ __device__ inline
#else
#define RONDO_CELL_FN inline
#endif

namespace rondo::cuda {

// What elements are computed in: floats where they have 16 bits, else themselves.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 2, float, T>;

// C [m, n] = op(A) op(B) + (accumulate ? C : 0), row-major. op(A) is [m, k], op(B) is [k, n].
template <class T>
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t lda = 0;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool accumulate = false;
  bool tf32 = false;  // of floats: operands may be rounded to TF32
};

// A runtime has, each ordered after the ones before, and none but reserve waiting for the device's last work:
//
//   void* allocate(std::size_t bytes);             256-byte aligned; DeviceError when full
//   void release(void* memory) noexcept;
//   void trim();                                   while planning: the system gets what is released; may wait
//   template <class T> void gemm(const Gemm<T>&);  float or double; any size may be 0; k = 0 without
//   accumulate
//                                                  gives zeros
//   template <class F> void for_each(std::int64_t rows, std::int64_t width, const F& f);
//                                                  f(row, column) for each, in any order and at once; F is
//                                                  plain data with a RONDO_CELL_FN void operator()(row,
//                                                  column) const
//   DeviceTraits traits() const;                   cuda/choose_path.h
//   std::unique_ptr<CudnnRnn> make_cudnn_rnn(const CudnnNetwork&);   cuda/cudnn_rnn.h; CudnnRefusal
//   void reserve(std::size_t bytes);               before any pass: the most that one send will be given
//   void send(void* to, const void* from_host, std::size_t bytes);   the source may change once it returns

}  // namespace rondo::cuda
