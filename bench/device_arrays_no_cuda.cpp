// In place of device_arrays_cuda.cpp where rondo-bench is built without the CUDA toolkit.
#include <stdexcept>

#include "bench/device_arrays.h"

namespace bench {

std::unique_ptr<DeviceArrays> make_cuda_arrays(rondo::Device device) {
  throw std::runtime_error(
      rondo::to_string(device) +
      ": this rondo-bench was built without the CUDA toolkit and makes no arrays on a GPU "
      "(rondo-bench compare, on arrays of the host, needs none)");
}

GpuVersions gpu_versions() { return {}; }

}  // namespace bench
