// Arrays filled for any device, and those of the host.
#include "bench/device_arrays.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <vector>

namespace bench {
namespace {

// Values that are drawn: enough that no cache mistakes an array for a constant, few enough to take no time.
constexpr std::int64_t kMostDrawn = (1 << 20) + 7;

template <class T>
std::vector<T> drawn(std::int64_t count, double bound, unsigned seed) {
  using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;
  std::mt19937 generator(seed);
  std::uniform_real_distribution<Real> uniform(static_cast<Real>(-bound), static_cast<Real>(bound));
  std::vector<T> values(static_cast<std::size_t>(std::min(count, kMostDrawn)));
  for (T& value : values) value = static_cast<T>(uniform(generator));
  return values;
}

class HostArrays final : public DeviceArrays {
 public:
  HostArrays() : DeviceArrays(rondo::Device{}) {}
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void* stream() const override { return nullptr; }
  void synchronize() override {}
  void capture(const std::function<void()>&) override {
    throw rondo::InvalidArgument("--graph: the CPU has no CUDA graphs, expected --device cuda or cuda:N");
  }
  void replay() override {}

 protected:
  // By calloc: the system's fresh pages are zero, and those that nobody writes take no memory.
  void* allocate(std::size_t bytes) override {
    constexpr std::size_t kAlignment = 64;
    std::size_t room = bytes + kAlignment;
    void* block = std::calloc(room, 1);
    if (block == nullptr) throw std::bad_alloc();
    blocks_.emplace_back(block);
    return std::align(kAlignment, bytes, block, room);
  }

 private:
  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  std::vector<std::unique_ptr<void, Free>> blocks_;
};

}  // namespace

rondo::TensorView DeviceArrays::make(rondo::DType dtype, const rondo::Shape& shape) {
  const std::int64_t bytes = shape.count() * rondo::element_bytes(dtype);
  return {allocate(static_cast<std::size_t>(bytes)), dtype, shape, device_};
}

rondo::TensorView DeviceArrays::make_random(rondo::DType dtype, const rondo::Shape& shape, double bound,
                                            unsigned seed) {
  const rondo::TensorView made = make(dtype, shape);
  const auto fill = [&]<class T>(T) {
    const std::vector<T> values = drawn<T>(shape.count(), bound, seed);
    const auto part = static_cast<std::int64_t>(values.size());
    for (std::int64_t at = 0; at < shape.count(); at += part) {
      const auto count = static_cast<std::size_t>(std::min(part, shape.count() - at));
      copy(static_cast<T*>(made.data) + at, values.data(), count * sizeof(T));
    }
  };
  if (dtype == rondo::DType::kF32) fill(float{});
  if (dtype == rondo::DType::kF64) fill(double{});
  if (dtype == rondo::DType::kF16) fill(rondo::Float16{});
  if (dtype == rondo::DType::kBf16) fill(rondo::BFloat16{});
  return made;
}

std::span<std::byte> DeviceArrays::make_bytes(std::size_t bytes) {
  return {static_cast<std::byte*>(allocate(bytes)), bytes};
}

std::unique_ptr<DeviceArrays> make_device_arrays(rondo::Device device) {
  if (device.kind == rondo::Device::Kind::kCpu) return std::make_unique<HostArrays>();
  std::string reason = "there is no such device";
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (!(info.device == device)) continue;
    if (info.usable) return make_cuda_arrays(device);
    reason = info.reason;
  }
  throw std::runtime_error(rondo::to_string(device) + " cannot be used: " + reason);
}

}  // namespace bench
