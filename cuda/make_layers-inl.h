// Makes the first path of a request's candidates that is not refused.
#pragma once

#include "cuda/choose_path.h"
#include "cuda/cudnn_layers-inl.h"
#include "cuda/step_layers-inl.h"
#include "rondo/error.h"

namespace rondo::cuda {

// DeviceError where none is left, with what each said.
template <class T, class Runtime>
std::unique_ptr<LayerBackend> make_layers(const Request& request, const PathChoice& choice,
                                          const std::shared_ptr<Runtime>& runtime) {
  std::string refusals;
  for (Path path : choice.candidates) {
    path.reason += refusals;
    if (!path.cudnn) {
      if constexpr (sizeof(T) >= sizeof(float)) {
        return std::make_unique<StepLayers<T, Runtime>>(request, runtime, path.reason);
      }
      continue;
    }
    try {
      return std::make_unique<CudnnLayers<T, Runtime>>(request, path, runtime);
    } catch (const CudnnRefusal& refusal) {
      refusals += "; cuDNN " + to_string(*path.cudnn) + " was refused (" + refusal.what() + ")";
    }
  }
  throw DeviceError("no path of the CUDA backend runs this: " + choice.left_out + refusals);
}

}  // namespace rondo::cuda
