// Problems solved through level two on a device: every array in a block of its memory, absent or shared as
// the problem says.
#pragma once

#include <deque>
#include <vector>

#include "core/device_memory.h"
#include "problem.h"

namespace rondo::testing {

template <class T>
class OnDevice {
 public:
  OnDevice(const Problem& p, const Data& d, Phase phase)
      : p_(p),
        d_(d),
        plan_(p.config, {phase, p.t + p.spare_t, p.n + p.spare_n, p.device, nullptr, !p.resets.empty()}),
        tape_(bytes(plan_.tape_bytes())) {
    const auto count = static_cast<std::int64_t>(d.call.parameters.size());
    weights_ = plan_.pack(input(d.call.parameters, Shape{count}));
    args_.x = input(d.call.x, x_shape(p));
    if (p.initial_state) args_.h0 = input(d.call.h0, state_shape(p));
    if (p.initial_state && lstm()) args_.c0 = input(d.call.c0, cell_state_shape(p));
    if (!p.lengths.empty()) args_.lengths = {p.lengths.data(), Shape{p.n}};
    if (!p.mask.empty()) args_.mask = {d.call.mask.data(), flags_shape(p)};
    if (!p.resets.empty()) args_.resets = {d.call.resets.data(), flags_shape(p)};
    const Given& g = p.given;
    const bool apart = num_directions(p.config) == 2 && p.config.merge == Merge::kNone;
    if (g.y) args_.y = output(y_shape(p));
    if (g.y_reverse && apart) args_.y_reverse = output(y_shape(p));
    if (g.h_n) args_.h_n = output_over(args_.h0, g.h_n_is_h0, state_shape(p));
    if (g.c_n && lstm()) args_.c_n = output_over(args_.c0, g.c_n_is_c0, cell_state_shape(p));
    if (g.c && p.config.cell_sequence) args_.c = output(cell_sequence_shape(p));
    args_.workspace = bytes(plan_.workspace_bytes());
  }

  reference::Results<T> infer() {
    plan_.forward(weights_, args_);
    return {fetch(args_.y), fetch(args_.y_reverse), fetch(args_.h_n), fetch(args_.c_n), fetch(args_.c)};
  }
  Solution<T> train(const reference::Upstream<double>& up) {
    supply_masks();
    args_.tape = &tape_;
    const reference::Results<T> results = infer();
    const Given& g = p_.given;
    BackwardArgs b;
    b.workspace = bytes(plan_.workspace_bytes());
    if (!up.dy.empty() || p_.n == 0) b.dy = input(up.dy, y_shape(p_));
    if (!up.dy_reverse.empty()) b.dy_reverse = input(up.dy_reverse, y_shape(p_));
    if (!up.dh_n.empty()) b.dh_n = input(up.dh_n, state_shape(p_));
    if (!up.dc_n.empty()) b.dc_n = input(up.dc_n, cell_state_shape(p_));
    if (!up.dc.empty()) b.dc = input(up.dc, cell_sequence_shape(p_));
    if (g.dx) b.dx = output(x_shape(p_));
    if (g.dh0) b.dh0 = output_over(b.dh_n, g.dh0_is_dh_n, state_shape(p_));
    if (g.dc0 && lstm()) b.dc0 = output_over(b.dc_n, g.dc0_is_dc_n, cell_state_shape(p_));
    const std::vector<double> zeros(d_.call.parameters.size());
    if (g.dparameters) b.dparameters = writable(input(zeros, Shape{parameter_count(p_.config)}));
    plan_.backward(weights_, tape_, b);
    EXPECT_EQ(results.y, fetch(args_.y)) << "backward wrote y";
    return {results, {fetch(b.dx), fetch(b.dparameters), fetch(b.dh0), fetch(b.dc0)}};
  }

 private:
  bool lstm() const { return p_.config.cell == Cell::kLstm; }
  // Full of NaN: nothing that another block has left may be read.
  std::span<std::byte> bytes(std::size_t count) {
    memory_.emplace_back().reserve(p_.device, count);
    const std::vector<std::byte> spoilt(count, std::byte{0xFF});
    backend_of(p_.device).copy(p_.device, memory_.back().data(), spoilt.data(), count);
    return memory_.back().span();
  }
  TensorView output(const Shape& shape) {
    const std::int64_t size = shape.count() * static_cast<std::int64_t>(sizeof(T));
    // An empty array is not an absent one.
    std::byte* data = bytes(std::max<std::size_t>(static_cast<std::size_t>(size), 1)).data();
    return {data, p_.config.dtype, shape, p_.device};
  }
  ConstTensorView input(const std::vector<double>& values, const Shape& shape) {
    const TensorView to = output(shape);
    const std::vector<T> from = reference::convert<T>(values);
    backend_of(p_.device).copy(p_.device, to.data, from.data(), from.size() * sizeof(T));
    return to;
  }
  static TensorView writable(ConstTensorView v) {
    return {const_cast<void*>(v.data), v.dtype, v.shape, v.device};
  }
  TensorView output_over(ConstTensorView in, bool replaces, const Shape& shape) {
    return in.absent() || !replaces ? output(shape) : writable(in);
  }
  std::vector<T> fetch(ConstTensorView v) const {
    if (v.absent()) return {};
    std::vector<T> values(static_cast<std::size_t>(v.shape.count()));
    backend_of(p_.device).copy(p_.device, values.data(), v.data, values.size() * sizeof(T));
    return values;
  }
  void supply_masks() {
    const std::int64_t directions = num_directions(p_.config);
    for (const auto& m : d_.call.input_masks) {
      const auto i = static_cast<std::int64_t>(input_masks_.size());
      input_masks_.push_back(input(m, input_mask_shape(p_, i / directions)));
    }
    const reference::Call<double>& c = d_.call;
    DropoutArgs& drop = args_.dropout;
    drop.input_masks = input_masks_;
    drop.recurrent_masks = views(recurrent_masks_, c.recurrent_masks, recurrent_mask_shape(p_));
    drop.layer_masks = views(layer_masks_, c.layer_masks, layer_mask_shape(p_));
    drop.zoneout_h_masks = views(zoneout_h_masks_, c.zoneout_h_masks, zoneout_h_mask_shape(p_));
    drop.zoneout_c_masks = views(zoneout_c_masks_, c.zoneout_c_masks, zoneout_c_mask_shape(p_));
    drop.dropconnect_masks = views(dropconnect_masks_, c.dropconnect_masks, dropconnect_mask_shape(p_));
  }
  std::span<const ConstTensorView> views(std::vector<ConstTensorView>& to,
                                         const std::vector<std::vector<double>>& masks, const Shape& shape) {
    for (const std::vector<double>& mask : masks) to.push_back(input(mask, shape));
    return to;
  }

  const Problem& p_;
  const Data& d_;
  std::deque<DeviceMemory> memory_;
  Plan plan_;
  Tape tape_;
  PackedWeights weights_;
  ForwardArgs args_;
  std::vector<ConstTensorView> input_masks_, recurrent_masks_, layer_masks_;
  std::vector<ConstTensorView> zoneout_h_masks_, zoneout_c_masks_, dropconnect_masks_;
};

}  // namespace rondo::testing
