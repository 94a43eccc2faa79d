// The kernels of the step path for f32.
#include "cuda/for_each-inl.h"
#include "cuda/step_layers-inl.h"
#include "cuda/step_plan.h"

namespace rondo::cuda {

std::unique_ptr<LayerBackend> step_layers_f32(const Request& request, std::shared_ptr<CudaRuntime> runtime) {
  return std::make_unique<StepLayers<float, CudaRuntime>>(request, std::move(runtime));
}

}  // namespace rondo::cuda
