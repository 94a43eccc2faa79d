// Asks the CUDA runtime which devices there are.
#include "cuda/devices.h"

#include <cstdio>

#include "cuda/cuda_error.h"

namespace rondo::cuda {
namespace {

// The oldest that the module has code for: Ampere.
constexpr int kOldestMajor = 8;

std::string version_text(int version) {  // 13000: "13.0"
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DeviceInfo describe(int index, int driver, int runtime) {
  DeviceInfo info{{Device::Kind::kCuda, index}, false, "", ""};
  cudaDeviceProp properties;
  if (const cudaError_t status = cudaGetDeviceProperties(&properties, index); status != cudaSuccess) {
    cudaGetLastError();
    info.reason = std::string("cudaGetDeviceProperties failed: ") + cudaGetErrorString(status);
    return info;
  }
  char memory[32];
  std::snprintf(memory, sizeof memory, "%.1f GiB",
                static_cast<double>(properties.totalGlobalMem) / (1 << 30));
  const std::string capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  info.name = std::string(properties.name) + ", " + memory + ", " +
              std::to_string(properties.multiProcessorCount) + " SMs, compute capability " + capability +
              ", driver for CUDA " + version_text(driver) + ", runtime " + version_text(runtime);
  int pools = 0, mode = cudaComputeModeDefault;
  cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, index);
  cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, index);
  if (properties.major < kOldestMajor) {
    info.reason = std::string(properties.name) + " has compute capability " + capability + ", at least " +
                  std::to_string(kOldestMajor) + ".0 is needed";
  } else if (mode == cudaComputeModeProhibited) {
    info.reason = std::string(properties.name) + " is in prohibited compute mode (nvidia-smi -c 0 ends that)";
  } else if (pools == 0) {
    info.reason = std::string(properties.name) + " has no memory pools (cudaMallocAsync) under this driver";
  }
  info.usable = info.reason.empty();
  return info;
}

}  // namespace

std::string missing_device(cudaError_t status, int driver, int runtime) {
  const std::string text = std::string(" (cudaGetDeviceCount: ") + cudaGetErrorString(status) + ")";
  switch (status) {
    case cudaSuccess:
    case cudaErrorNoDevice:
      return "the NVIDIA driver sees no GPU" + text +
             ": check nvidia-smi, CUDA_VISIBLE_DEVICES and which devices the container was given";
    case cudaErrorStubLibrary:
      return "the libcuda.so that was loaded is the toolkit's stub, not a driver" + text +
             ": take the toolkit's folder of stubs out of LD_LIBRARY_PATH";
    case cudaErrorInsufficientDriver:
      if (driver == 0) {
        return "there is no NVIDIA driver" + text +
               ": install it, or give the container the host's (docker run --gpus all)";
      }
      return "the NVIDIA driver is for CUDA " + version_text(driver) + ", too old for runtime " +
             version_text(runtime) + text +
             ": install a newer one, or a build of rondo with an older toolkit";
    default:
      return "CUDA does not start" + text + restart_notice(status);
  }
}

std::vector<DeviceInfo> find_devices() {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    return {{{Device::Kind::kCuda, 0}, false, "", missing_device(status, driver, runtime)}};
  }
  std::vector<DeviceInfo> all;
  for (int i = 0; i < count; ++i) all.push_back(describe(i, driver, runtime));
  return all;
}

}  // namespace rondo::cuda
