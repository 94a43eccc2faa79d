// The CUDA backend: its devices, their memory, and plans of the step path.
#include <mutex>

#include "cuda/cuda_error.h"
#include "cuda/devices.h"
#include "cuda/step_plan.h"

namespace rondo::cuda {

// A device's stream carries its copies, its memory's life and every pass of the plans without a stream of the
// caller's, so whatever is asked for later comes after what was asked for before, and such plans take turns.
// A plan on the caller's stream has a runtime of its own.
class CudaBackend final : public Backend {
 public:
  CudaBackend() : devices_(find_devices()), opened_(std::make_unique<Opened[]>(devices_.size())) {
    note_forks();
  }
  Device::Kind kind() const override { return Device::Kind::kCuda; }
  std::vector<DeviceInfo> devices() const override { return devices_; }

  Support supports(const Request& request) const override {
    // The rows of a gate matrix, G * H, stay below what any of CUDA's own 32-bit counts can hold.
    constexpr std::int64_t kMost = std::int64_t{1} << 28;
    const RnnConfig& c = request.config;
    if (c.dtype != DType::kF32 && c.dtype != DType::kF64) {
      return {false, "the CUDA backend computes in f32 and f64, not in " + to_string(c.dtype)};
    }
    if (c.input_size > kMost || c.hidden_size > kMost) {
      return {false, "input_size or hidden_size is above " + std::to_string(kMost) +
                         ", more than the CUDA backend takes"};
    }
    return {};
  }

  std::unique_ptr<BackendPlan> make_plan(const Request& request) override {
    std::shared_ptr<CudaRuntime> runtime = runtime_for(request);
    return std::make_unique<StackPlan>(request, request.config.dtype == DType::kF32
                                                    ? step_layers_f32(request, std::move(runtime))
                                                    : step_layers_f64(request, std::move(runtime)));
  }

  void* allocate(Device device, std::size_t bytes) override { return runtime_of(device)->allocate(bytes); }
  void release(Device device, void* memory) noexcept override { opened(device).runtime->release(memory); }
  void copy(Device device, void* to, const void* from, std::size_t bytes) override {
    const Copy one{to, from, bytes};
    copy_all(device, {&one, 1});
  }
  void copy_all(Device device, std::span<const Copy> copies) override { runtime_of(device)->copy(copies); }

 private:
  struct Opened {
    std::once_flag once;
    std::shared_ptr<CudaRuntime> runtime;  // never freed, like the backend
  };
  Opened& opened(Device device) { return opened_[static_cast<std::size_t>(device.index)]; }

  void expect_usable(Device device) const {
    if (device.index < 0 || static_cast<std::size_t>(device.index) >= devices_.size()) {
      throw DeviceError(to_string(device) + " does not exist");
    }
    const DeviceInfo& info = devices_[static_cast<std::size_t>(device.index)];
    if (!info.usable) throw DeviceError(to_string(device) + " cannot be used: " + info.reason);
  }
  // Opened when it is first needed: a context takes time and some hundred MB of the device.
  const std::shared_ptr<CudaRuntime>& runtime_of(Device device) {
    expect_usable(device);
    Opened& one = opened(device);
    std::call_once(one.once, [&] { one.runtime = std::make_shared<CudaRuntime>(device.index); });
    return one.runtime;
  }
  std::shared_ptr<CudaRuntime> runtime_for(const Request& request) {
    if (request.stream == nullptr) return runtime_of(request.device);
    expect_usable(request.device);
    return std::make_shared<CudaRuntime>(request.device.index, static_cast<cudaStream_t>(request.stream));
  }

  const std::vector<DeviceInfo> devices_;
  const std::unique_ptr<Opened[]> opened_;
};

}  // namespace rondo::cuda

RONDO_BACKEND_MODULE(std::make_unique<rondo::cuda::CudaBackend>())
