// A device whose memory the host cannot touch: pages that are open only within calls of its backend, which in
// turn refuses any pointer to the host's. It computes by the CPU's kernels, so its results are the same bits.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <map>

#include "core/stack.h"
#include "cpu/layer.h"

namespace rondo::testing {

inline constexpr Device kFakeGpu{Device::Kind::kCuda, 0};

class FakeMemory {
 public:
  void* allocate(std::size_t bytes) {
    if (allocated_ + bytes > limit) throw DeviceError("fake gpu: no memory for " + std::to_string(bytes));
    void* memory = mmap(nullptr, bytes + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

class FakeLayers final : public LayerBackend {
 public:
  FakeLayers(FakeMemory& memory, std::unique_ptr<LayerBackend> cpu) : memory_(memory), cpu_(std::move(cpu)) {}
  std::size_t saved_bytes(std::int64_t flat) const override { return cpu_->saved_bytes(flat); }
  std::size_t workspace_bytes(std::int64_t flat, std::int64_t n) const override {
    return cpu_->workspace_bytes(flat, n);
  }
  std::string path() const override { return "fake gpu"; }
  bool on_host() const override { return false; }
  std::unique_ptr<Packed> pack(const void* parameters) const override {
    const auto open = memory_.open(parameters);
    return cpu_->pack(parameters);
  }
  void forward(const LayerForward& call) override {
    const auto open = opened(call);
    expect_here(call.h_n, call.c_n);
    cpu_->forward(call);
  }
  void backward(const LayerBackward& call) override {
    const auto open = opened(call);
    expect_here(call.dy.data, call.dh_n, call.dc_n, call.dx.data, call.dh0, call.dc0, call.dparameters);
    cpu_->backward(call);
  }
  void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) override {
    const auto open = memory_.open(to);
    cpu_->send_index(to, from, count);
  }
  void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, from.data, from.index);
    cpu_->copy_rows(to, from, count, width);
  }
  void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                  std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, a.data, a.index, b.data, b.index);
    cpu_->merge_rows(how, to, a, b, count, width);
  }
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, draw.index);
    cpu_->draw_mask(to, draw, count, width);
  }

 private:
  template <class... Pointers>
  void expect_here(const Pointers*... pointers) const {
    (memory_.expect_here(pointers), ...);
  }
  FakeMemory::Open opened(const LayerCall& c) {
    return memory_.open(c.x.data, c.y.data, c.h0, c.c0, c.masks.input, c.masks.recurrent, c.saved,
                        c.workspace);
  }

  FakeMemory& memory_;
  std::unique_ptr<LayerBackend> cpu_;
};

class FakeGpu final : public Backend {
 public:
  explicit FakeGpu(FakeMemory& memory) : memory_(memory) {}
  Device::Kind kind() const override { return Device::Kind::kCuda; }
  std::vector<DeviceInfo> devices() const override { return {{kFakeGpu, true, "fake gpu", ""}}; }
  Support supports(const Request&) const override { return {}; }
  std::unique_ptr<BackendPlan> make_plan(const Request& request) override {
    std::unique_ptr<LayerBackend> cpu;
    if (request.config.dtype == DType::kF32) cpu = std::make_unique<cpu::Layers<float>>(request);
    if (request.config.dtype == DType::kF64) cpu = std::make_unique<cpu::Layers<double>>(request);
    return std::make_unique<StackPlan>(request, std::make_unique<FakeLayers>(memory_, std::move(cpu)));
  }
  void* allocate(Device, std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(Device, void* memory) noexcept override { memory_.release(memory); }
  void copy(Device, void* to, const void* from, std::size_t bytes) override {
    const auto open = memory_.open();
    if (bytes > 0) std::memcpy(to, from, bytes);
  }

 private:
  FakeMemory& memory_;
};

// The one fake GPU of this process, registered at the first use.
inline FakeMemory& fake_gpu() {
  static FakeMemory* const memory = [] {
    auto* made = new FakeMemory;
    backends();
    register_backend(std::make_unique<FakeGpu>(*made));
    return made;
  }();
  return *memory;
}

}  // namespace rondo::testing
