// A backend without a GPU: cuda:0, whose passes write 42 into y, and cuda:1, which is not usable.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/backend.h"

namespace fake {

// Everything is refused with a sentence, or is the trivial thing that a test can recognise.
class FakePlan final : public rondo::BackendPlan {
 public:
  explicit FakePlan(const rondo::Request& request) : request_(request) {}
  std::size_t workspace_bytes() const override { return 0; }
  std::size_t tape_bytes() const override { return 0; }
  std::unique_ptr<rondo::Packed> pack(const void*) const override {
    auto packed = std::make_unique<rondo::Packed>();
    packed->config = request_.config;
    packed->phase = request_.phase;
    return packed;
  }
  void forward(const rondo::Packed&, const rondo::ForwardCall& call) override {
    const rondo::TensorView& y = call.args.y;
    std::fill_n(static_cast<float*>(y.data), y.shape.count(), 42.0F);
  }
  void backward(const rondo::Packed&, const rondo::BackwardCall&) override {
    throw rondo::DeviceError("fake: backward: the device fell off the bus");
  }
  std::string path() const override { return "fake kernels"; }

 private:
  rondo::Request request_;
};

using Kind = rondo::Device::Kind;

class FakeBackend final : public rondo::Backend {
 public:
  explicit FakeBackend(Kind kind = Kind::kCuda) : kind_(kind) {}
  Kind kind() const override { return kind_; }
  std::vector<rondo::DeviceInfo> devices() const override {
    return {{{kind_, 0}, true, "Fake GPU", ""},
            {{kind_, 1}, false, "Old fake GPU", "the driver is older than this fake"}};
  }
  rondo::Support supports(const rondo::Request& request) const override {
    if (request.config.dtype == rondo::DType::kF32) return {};
    return {false, "the fake runs f32 alone"};
  }
  std::unique_ptr<rondo::BackendPlan> make_plan(const rondo::Request& request) override {
    if (request.max_n <= 64) return std::make_unique<FakePlan>(request);
    throw rondo::DeviceError("fake: make_plan: out of memory at " + std::to_string(request.max_n) + " rows");
  }
  void* allocate(rondo::Device, std::size_t bytes) override { return std::malloc(bytes + 1); }
  void release(rondo::Device, void* memory) noexcept override { std::free(memory); }
  void zero(rondo::Device, void* memory, std::size_t bytes) override { std::memset(memory, 0, bytes); }
  void copy(rondo::Device, void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }

 private:
  Kind kind_;
};

// For modules that have to be refused before anything in them is called.
[[noreturn]] inline std::unique_ptr<rondo::Backend> must_not_be_called() { std::abort(); }

}  // namespace fake
