// The kernels of the step path for f64.
#include "cuda/for_each-inl.h"
#include "cuda/step_layers-inl.h"
#include "cuda/step_plan.h"

namespace rondo::cuda {

std::unique_ptr<LayerBackend> step_layers_f64(const Request& request, std::shared_ptr<CudaRuntime> runtime) {
  return std::make_unique<StepLayers<double, CudaRuntime>>(request, std::move(runtime));
}

}  // namespace rondo::cuda
