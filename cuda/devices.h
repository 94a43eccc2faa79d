// The CUDA devices of this machine, and what is missing where one cannot be used.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "rondo/device.h"

namespace rondo::cuda {

// Asks the driver; makes no context. Never empty: without a device, one entry says why.
std::vector<DeviceInfo> find_devices();

// The sentence for a failed cudaGetDeviceCount. driver: as cudaDriverGetVersion gives it, 0 without one.
std::string missing_device(cudaError_t status, int driver, int runtime);

}  // namespace rondo::cuda
