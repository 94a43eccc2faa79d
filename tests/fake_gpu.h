// A device whose memory the host cannot touch: pages that are open only within calls of its backend, which in
// turn refuses any pointer to the host's. A test program has one, and says what computes on it.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <map>

#include "core/stack.h"

namespace rondo::testing {

inline constexpr Device kFakeGpu{Device::Kind::kCuda, 0};

class FakeMemory {
 public:
  // Full of NaN.
  void* allocate(std::size_t bytes) {
    if (allocated_ + bytes > limit) throw DeviceError("fake gpu: no memory for " + std::to_string(bytes));
    void* memory = mmap(nullptr, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 0xFF, bytes);
    mprotect(memory, bytes + 1, PROT_NONE);
    blocks_[static_cast<std::byte*>(memory)] = bytes;
    allocated_ += bytes;
    return memory;
  }
  void release(void* memory) {
    const auto block = blocks_.find(static_cast<std::byte*>(memory));
    munmap(memory, block->second + 1);
    allocated_ -= block->second;
    blocks_.erase(block);
  }
  std::size_t allocated() const { return allocated_; }
  std::size_t limit = SIZE_MAX;

  // Null or in one of the blocks.
  void expect_here(const void* pointer) const {
    if (pointer == nullptr) return;
    const auto* at = static_cast<const std::byte*>(pointer);
    for (const auto& [begin, bytes] : blocks_) {
      if (at >= begin && at <= begin + bytes) return;
    }
    throw DeviceError("fake gpu: was given a pointer of the host");
  }
  struct Open;
  template <class... Pointers>
  Open open(const Pointers*... pointers) {
    (expect_here(pointers), ...);
    return Open(*this);
  }
  struct Open {
    explicit Open(FakeMemory& of) : memory(of) { memory.protect(PROT_READ | PROT_WRITE); }
    ~Open() { memory.protect(PROT_NONE); }
    Open(const Open&) = delete;
    FakeMemory& memory;
  };

 private:
  void protect(int how) const {
    for (const auto& [begin, bytes] : blocks_) mprotect(begin, bytes + 1, how);
  }
  std::map<std::byte*, std::size_t> blocks_;
  std::size_t allocated_ = 0;
};

class FakeGpu final : public Backend {
 public:
  using MakeLayers = std::function<std::unique_ptr<LayerBackend>(const Request&)>;
  FakeGpu(FakeMemory& memory, MakeLayers make_layers)
      : memory_(memory), make_layers_(std::move(make_layers)) {}
  Device::Kind kind() const override { return Device::Kind::kCuda; }
  std::vector<DeviceInfo> devices() const override { return {{kFakeGpu, true, "fake gpu", ""}}; }
  Support supports(const Request&) const override { return {}; }
  std::unique_ptr<BackendPlan> make_plan(const Request& request) override {
    return std::make_unique<StackPlan>(request, make_layers_(request));
  }
  void* allocate(Device, std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(Device, void* memory) noexcept override { memory_.release(memory); }
  void zero(Device, void* memory, std::size_t bytes) override {
    const auto open = memory_.open(memory);
    std::memset(memory, 0, bytes);
  }
  void copy(Device, void* to, const void* from, std::size_t bytes) override {
    const auto open = memory_.open();
    if (bytes > 0) std::memcpy(to, from, bytes);
  }

 private:
  FakeMemory& memory_;
  MakeLayers make_layers_;
};

}  // namespace rondo::testing
