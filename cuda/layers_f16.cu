// The kernels for f16.
#include "cuda/for_each-inl.h"
#include "cuda/layers.h"
#include "cuda/make_layers-inl.h"
#include "rondo/half.h"

namespace rondo::cuda {

template <>
std::unique_ptr<LayerBackend> cuda_layers<Float16>(const Request& request, const PathChoice& choice,
                                                   std::shared_ptr<CudaRuntime> runtime) {
  return make_layers<Float16>(request, choice, std::move(runtime));
}

}  // namespace rondo::cuda
