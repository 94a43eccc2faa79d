// The CPU backend: the one device that every build has.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <string>

#include "core/settings.h"
#include "core/stack.h"
#include "cpu/kernels/kernels.h"
#include "cpu/layer.h"

namespace rondo::cpu {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

std::string named(int threads) {
  static const std::string processor = processor_name();
  return processor + ", " + std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ") +
         isa_name();
}

class CpuBackend final : public Backend {
 public:
  Device::Kind kind() const override { return Device::Kind::kCpu; }
  std::vector<DeviceInfo> devices() const override { return {{Device{}, true, named(num_threads()), ""}}; }
  // Whatever number of threads the program has set.
  std::string identity() const override { return named(available_cpus()); }
  Support supports(const Request& request) const override {
    // Leading dimensions of a BLAS are 32-bit.
    constexpr std::int64_t kMost = std::int64_t{1} << 28;
    const RnnConfig& c = request.config;
    if (c.dtype != DType::kF32 && c.dtype != DType::kF64) {
      return {false, "the CPU backend computes in f32 and f64, not in " + to_string(c.dtype)};
    }
    if (c.input_size <= kMost && c.hidden_size <= kMost) return {};
    return {false,
            "input_size or hidden_size is above " + std::to_string(kMost) + ", more than BLAS can count"};
  }
  std::unique_ptr<BackendPlan> make_plan(const Request& request) override {
    std::unique_ptr<LayerBackend> layers;
    if (request.config.dtype == DType::kF32) {
      layers = std::make_unique<Layers<float>>(request);
    } else {
      layers = std::make_unique<Layers<double>>(request);
    }
    return std::make_unique<StackPlan>(request, std::move(layers));
  }
  void* allocate(Device, std::size_t bytes) override {
    void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == nullptr) throw DeviceError("cpu: no memory for " + std::to_string(bytes) + " bytes");
    return memory;
  }
  void release(Device, void* memory) noexcept override { std::free(memory); }
  void zero(Device, void* memory, std::size_t bytes) override { std::memset(memory, 0, bytes); }
  void copy(Device, void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
};

}  // namespace
}  // namespace rondo::cpu

namespace rondo {
void register_builtin_backends() { register_backend(std::make_unique<cpu::CpuBackend>()); }
}  // namespace rondo
