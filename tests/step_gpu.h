// The step path of the CUDA backend as a device of a test program: its code on a runtime of the host.
#pragma once

#include "cuda/step_layers-inl.h"
#include "host_runtime.h"

namespace rondo::testing {

struct StepGpu {
  FakeMemory memory;
  HostDevice device;
};

// The one of this process, registered at the first use.
inline StepGpu& step_gpu() {
  static StepGpu* const gpu = [] {
    auto* made = new StepGpu;
    backends();
    register_backend(std::make_unique<FakeGpu>(
        made->memory, [made](const Request& request) -> std::unique_ptr<LayerBackend> {
          // One a plan, so that what a plan has not reserved is not there.
          auto runtime = std::make_shared<HostRuntime>(made->memory, made->device);
          if (request.config.dtype == DType::kF32) {
            return std::make_unique<cuda::StepLayers<float, HostRuntime>>(request, std::move(runtime));
          }
          return std::make_unique<cuda::StepLayers<double, HostRuntime>>(request, std::move(runtime));
        }));
    return made;
  }();
  return *gpu;
}

}  // namespace rondo::testing
