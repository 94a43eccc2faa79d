// The arrays of one call of level one on the device of its plan: inputs are sent there, outputs fetched back.
#pragma once

#include <vector>

#include "core/device_memory.h"

namespace rondo {

// Where the plan is on the host, and for arrays that lie on the device already, nothing happens.
class Transfers {
 public:
  Transfers(Device device, DeviceMemory& room) : device_(device), room_(room) {}

  // From send() on each view is one of its copy on the device.
  void in(ConstTensorView& view) {
    if (apart(view)) inputs_.push_back({&view, view, take(view)});
  }
  void in(std::span<const ConstTensorView>& views) {
    if (device_ == Device{}) return;
    auto& copies = lists_.emplace_back(views.begin(), views.end());
    for (ConstTensorView& view : copies) in(view);
    views = copies;
  }
  void out(TensorView& view) {
    if (apart(view)) outputs_.push_back({&view, view, take(view)});
  }

  void send() {
    if (inputs_.empty() && outputs_.empty()) return;
    room_.reserve(device_, bytes_);
    std::vector<Copy> copies;
    for (const auto& [view, host, offset] : inputs_) {
      *view = {room_.data() + offset, host.dtype, host.shape, device_};
      if (size(host) > 0) copies.push_back({room_.data() + offset, host.data, size(host)});
    }
    for (const auto& [view, host, offset] : outputs_) {
      *view = {room_.data() + offset, host.dtype, host.shape, device_};
    }
    if (!copies.empty()) room_.backend().copy_all(device_, copies);
  }
  // All outputs are there on return.
  void fetch() const {
    std::vector<Copy> copies;
    for (const auto& [view, host, offset] : outputs_) {
      if (size(host) > 0) copies.push_back({host.data, room_.data() + offset, size(host)});
    }
    if (!copies.empty()) room_.backend().copy_all(device_, copies);
  }

 private:
  template <class View>
  struct Moved {
    View* view;
    View host;
    std::size_t offset;
  };
  static std::size_t size(const ConstTensorView& view) {
    return static_cast<std::size_t>(view.shape.count() * element_bytes(view.dtype));
  }
  // Whether it has to be moved. What is no dense array is left for the plan to refuse.
  bool apart(const ConstTensorView& view) const {
    if (device_ == Device{} || view.device != Device{} || view.absent()) return false;
    for (int i = 0; i < view.shape.rank(); ++i) {
      if (view.shape[i] < 0) return false;
    }
    return view.strides == ConstTensorView(view.data, view.dtype, view.shape).strides;
  }
  std::size_t take(const ConstTensorView& view) {
    const std::size_t offset = bytes_;
    bytes_ += (size(view) + 255) / 256 * 256;
    return offset;
  }

  Device device_;
  DeviceMemory& room_;
  std::size_t bytes_ = 0;
  std::vector<Moved<ConstTensorView>> inputs_;
  std::vector<Moved<TensorView>> outputs_;
  std::vector<std::vector<ConstTensorView>> lists_;  // whose elements stay where they are
};

}  // namespace rondo
