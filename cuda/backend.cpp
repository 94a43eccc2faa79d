// The CUDA backend: its devices, their memory, and plans by the path that suits them.
#include <cstdlib>
#include <mutex>

#include "cuda/cuda_error.h"
#include "cuda/cudnn_handle.h"
#include "cuda/devices.h"
#include "cuda/layers.h"
#include "rondo/half.h"

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
  std::string identity() const override {
    const std::string gpus = Backend::identity();
    if (gpus.empty()) return gpus;
    try {
      return gpus + "; cuDNN " + cudnn_version();
    } catch (const CudnnRefusal&) {
      return gpus + "; without cuDNN";
    }
  }

  Support supports(const Request& request) const override {
    // The rows of a gate matrix, G * H, stay below what any of CUDA's own 32-bit counts can hold.
    constexpr std::int64_t kMost = std::int64_t{1} << 28;
    const RnnConfig& c = request.config;
    if (c.input_size > kMost || c.hidden_size > kMost) {
      return {false, "input_size or hidden_size is above " + std::to_string(kMost) +
                         ", more than the CUDA backend takes"};
    }
    // Which candidates there are does not hang on the device, only their order.
    const PathChoice choice = choose_path(request, {}, asked_path());
    return choice.candidates.empty() ? Support{false, choice.left_out} : Support{};
  }

  std::unique_ptr<BackendPlan> make_plan(const Request& whole) override {
    Request request = whole;  // as layers see it
    request.max_t = whole.max_window();
    std::shared_ptr<CudaRuntime> runtime = runtime_for(request);
    const PathChoice choice = choose_path(request, runtime->traits(), asked_path());
    const auto layers = [&] {
      switch (request.config.dtype) {
        case DType::kF32:
          return cuda_layers<float>(request, choice, std::move(runtime));
        case DType::kF64:
          return cuda_layers<double>(request, choice, std::move(runtime));
        case DType::kF16:
          return cuda_layers<Float16>(request, choice, std::move(runtime));
        default:
          return cuda_layers<BFloat16>(request, choice, std::move(runtime));
      }
    };
    return std::make_unique<StackPlan>(whole, layers());
  }

  void* allocate(Device device, std::size_t bytes) override { return runtime_of(device)->allocate(bytes); }
  void release(Device device, void* memory) noexcept override { opened(device).runtime->release(memory); }
  void zero(Device device, void* memory, std::size_t bytes) override {
    runtime_of(device)->zero(memory, bytes);
  }
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

  static AskedPath asked_path() {
    const char* text = std::getenv("RONDO_CUDA_PATH");
    return parse_path(text == nullptr ? "" : text);
  }

  const std::vector<DeviceInfo> devices_;
  const std::unique_ptr<Opened[]> opened_;
};

}  // namespace rondo::cuda

RONDO_BACKEND_MODULE(std::make_unique<rondo::cuda::CudaBackend>())
