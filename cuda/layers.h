// The paths by CUDA, compiled once per element type in layers_*.cu, the files that nvcc is slow on.
#pragma once

#include "cuda/choose_path.h"
#include "cuda/cuda_runtime.h"

namespace rondo::cuda {

// The first of the choice's paths that is not refused; DeviceError where none is left.
template <class T>
std::unique_ptr<LayerBackend> cuda_layers(const Request& request, const PathChoice& choice,
                                          std::shared_ptr<CudaRuntime> runtime);

}  // namespace rondo::cuda
