// The one kernel of the step path. Only nvcc compiles this.
#pragma once

#include <type_traits>

#include "cuda/cuda_runtime.h"

namespace rondo::cuda {

template <class F>
__global__ void __launch_bounds__(kBlockThreads) for_each_kernel(std::int64_t rows, std::int64_t width, F f) {
  const std::int64_t block_x = blockDim.x, block_y = blockDim.y;
  const LaunchedThread thread{blockIdx.x * block_x + threadIdx.x, blockIdx.y * block_y + threadIdx.y,
                              gridDim.x * block_x, gridDim.y * block_y};
  thread.visit(rows, width, f);
}

template <class F>
void CudaRuntime::for_each(std::int64_t rows, std::int64_t width, const F& f) {
  static_assert(std::is_trivially_copyable_v<F>, "it is copied to the device as bytes");
  static_assert(sizeof(F) <= 4000, "a kernel has 4 KiB of arguments");
  if (rows <= 0 || width <= 0) return;
  F copy = f;
  void* arguments[] = {&rows, &width, &copy};
  launch(reinterpret_cast<const void*>(&for_each_kernel<F>), launch_over(rows, width), arguments);
}

}  // namespace rondo::cuda
