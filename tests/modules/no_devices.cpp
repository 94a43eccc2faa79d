// A module whose backend finds no device.
#include "core/backend.h"

namespace {
class Blind final : public rondo::Backend {
 public:
  rondo::Device::Kind kind() const override { return rondo::Device::Kind::kCuda; }
  std::vector<rondo::DeviceInfo> devices() const override { return {}; }
  rondo::Support supports(const rondo::Request&) const override { return {false, "it has no device"}; }
  std::unique_ptr<rondo::BackendPlan> make_plan(const rondo::Request&) override { return nullptr; }
  void* allocate(rondo::Device, std::size_t) override { return nullptr; }
  void release(rondo::Device, void*) noexcept override {}
  void zero(rondo::Device, void*, std::size_t) override {}
  void copy(rondo::Device, void*, const void*, std::size_t) override {}
};
}  // namespace

RONDO_BACKEND_MODULE(std::make_unique<Blind>())
