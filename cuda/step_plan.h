// The step path by CUDA, compiled once per element type in step_plan_*.cu, the files that nvcc is slow on.
#pragma once

#include <memory>

#include "core/stack.h"
#include "cuda/cuda_runtime.h"

namespace rondo::cuda {

std::unique_ptr<LayerBackend> step_layers_f32(const Request& request, std::shared_ptr<CudaRuntime> runtime);
std::unique_ptr<LayerBackend> step_layers_f64(const Request& request, std::shared_ptr<CudaRuntime> runtime);

}  // namespace rondo::cuda
