// The kernels for f32.
#include "cuda/for_each-inl.h"
#include "cuda/layers.h"
#include "cuda/make_layers-inl.h"

namespace rondo::cuda {

template <>
std::unique_ptr<LayerBackend> cuda_layers<float>(const Request& request, const PathChoice& choice,
                                                 std::shared_ptr<CudaRuntime> runtime) {
  return make_layers<float>(request, choice, std::move(runtime));
}

}  // namespace rondo::cuda
