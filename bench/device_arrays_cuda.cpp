// Arrays on a GPU, by the CUDA runtime.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/device_arrays.h"

namespace bench {
namespace {

class CudaArrays final : public DeviceArrays {
 public:
  explicit CudaArrays(rondo::Device device) : DeviceArrays(device), device_(device) {
    check("cudaSetDevice", cudaSetDevice(device.index));
    // One that no other stream waits for, and that waits for none.
    check("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CudaArrays() override {
    cudaStreamSynchronize(stream_);
    forget_graph();
    for (void* block : blocks_) cudaFree(block);
    cudaStreamDestroy(stream_);
  }

  // Of pageable memory, which is what the host's is here, CUDA itself returns once it is done with it.
  void copy(void* to, const void* from, std::size_t bytes) override {
    check("cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_));
  }
  void* stream() const override { return stream_; }
  void synchronize() override { check("cudaStreamSynchronize", cudaStreamSynchronize(stream_)); }

  void capture(const std::function<void()>& calls) override {
    forget_graph();
    check("cudaStreamBeginCapture", cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      calls();
    } catch (...) {
      if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check("cudaStreamEndCapture", cudaStreamEndCapture(stream_, &graph));
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check("cudaGraphInstantiate", status);
    check("cudaGraphUpload", cudaGraphUpload(graph_, stream_));
  }
  void replay() override { check("cudaGraphLaunch", cudaGraphLaunch(graph_, stream_)); }

 protected:
  void* allocate(std::size_t bytes) override {
    void* block = nullptr;
    const std::size_t asked = std::max<std::size_t>(bytes, 1);
    const cudaError_t status = cudaMalloc(&block, asked);
    if (status != cudaSuccess) fail("cudaMalloc of " + std::to_string(bytes) + " bytes", status);
    blocks_.push_back(block);
    check("cudaMemsetAsync", cudaMemsetAsync(block, 0, asked, stream_));
    return block;
  }

 private:
  [[noreturn]] void fail(const std::string& call, cudaError_t status) const {
    cudaGetLastError();  // else a later launch would report it again
    throw std::runtime_error(rondo::to_string(device_) + ": " + call +
                             " failed: " + cudaGetErrorString(status));
  }
  void check(const char* call, cudaError_t status) const {
    if (status != cudaSuccess) fail(call, status);
  }

  void forget_graph() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
    graph_ = nullptr;
  }

  rondo::Device device_;
  cudaStream_t stream_ = nullptr;
  std::vector<void*> blocks_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace

std::unique_ptr<DeviceArrays> make_cuda_arrays(rondo::Device device) {
  return std::make_unique<CudaArrays>(device);
}

GpuVersions gpu_versions() {
  const auto text = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || cudaRuntimeGetVersion(&runtime) != cudaSuccess)
    return {};
  return {text(driver), text(runtime)};
}

}  // namespace bench
