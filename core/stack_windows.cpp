// Passes of a stack: at once, or under checkpoints window by window, with the states between windows kept and
// what each window keeps for backward computed anew.
#include <cstring>
#include <new>

#include "core/stack_pass.h"

namespace rondo {

// What a pass of several windows keeps, and in inference works with, beside what one window does.
struct StackPlan::Windows {
  StackPlan& plan;
  std::int64_t t, n;
  std::byte *tape, *host_tape, *workspace;

  const MemoryLayout& layout = tape != nullptr ? plan.training_ : plan.inference_;
  std::byte* const kept = tape != nullptr ? tape : workspace;
  std::byte* const host = layout.host_bytes == 0 ? kept : host_tape;
  const std::int64_t count = (t + plan.window_ - 1) / plan.window_;
  const bool several = count > 1;

  // By its number in the order in which they run forward.
  Window window(std::int64_t number, bool again = false) const {
    const bool reverse = plan.config_.direction == Direction::kReverse;
    const std::int64_t first = (reverse ? count - 1 - number : number) * plan.window_;
    return {first, std::min(plan.window_, t - first), t, n, tape, host_tape, workspace, number, again};
  }
  TensorView states(std::byte* memory, std::int64_t width) const {
    const RnnConfig& c = plan.config_;
    return {memory, c.dtype, Shape{c.num_layers * num_directions(c), n, width}};
  }
  TensorView h_before(std::int64_t number) const {
    return states(Pass::piece(kept, layout.h_between, number), state_size(plan.config_));
  }
  TensorView c_before(std::int64_t number) const {
    if (plan.config_.cell != Cell::kLstm) return {};
    return states(Pass::piece(kept, layout.c_between, number), plan.config_.hidden_size);
  }
  TensorView h_carry() const {
    return states(Pass::piece(workspace, layout.h_carry), state_size(plan.config_));
  }
  TensorView c_carry() const {
    if (plan.config_.cell != Cell::kLstm) return {};
    return states(Pass::piece(workspace, layout.c_carry), plan.config_.hidden_size);
  }
  ForwardArgs& args() const { return *reinterpret_cast<ForwardArgs*>(Pass::piece(host, layout.args)); }

  // Copies what the windows read, the arrays of the sequences and masks of dropout apart.
  const ForwardArgs& keep(const ForwardArgs& given) const;
  // The arguments of one window.
  ForwardArgs part(const ForwardArgs& all, std::int64_t number) const;
};

const ForwardArgs& StackPlan::Windows::keep(const ForwardArgs& given) const {
  ForwardArgs& a = *new (&args()) ForwardArgs(given);
  const auto keep_array = [&](ConstTensorView& view, const Pieces& room) {
    if (view.absent()) return;
    std::byte* const to = Pass::piece(host, room);
    const auto bytes = static_cast<std::size_t>(view.shape.count() * element_bytes(view.dtype));
    std::memcpy(to, view.data, bytes);
    view.data = to;
  };
  const auto keep_start = [&](ConstTensorView& view, const TensorView& room) {
    if (view.absent()) return;
    const std::int64_t width = room.shape[2];
    plan.layers_->copy_rows({room.data, width}, {view.data, width}, room.shape[0] * n, width);
    view = room;
  };
  keep_start(a.h0, h_before(0));
  keep_start(a.c0, c_before(0));
  keep_array(a.lengths, layout.lengths);
  keep_array(a.mask, layout.mask);
  keep_array(a.resets, layout.resets);
  auto* views = reinterpret_cast<ConstTensorView*>(Pass::piece(host, layout.views));
  DropoutArgs& d = a.dropout;
  for (auto* masks : {&d.input_masks, &d.recurrent_masks, &d.zoneout_h_masks, &d.zoneout_c_masks,
                      &d.dropconnect_masks, &d.layer_masks}) {
    ConstTensorView* const end = std::copy(masks->begin(), masks->end(), views);
    *masks = {views, end};
    views = end;
  }
  return a;
}

ForwardArgs StackPlan::Windows::part(const ForwardArgs& all, std::int64_t number) const {
  ForwardArgs a = all;
  if (number > 0) {
    a.h0 = h_before(number);
    a.c0 = c_before(number);
  }
  if (number + 1 < count) {
    a.h_n = h_before(number + 1);
    a.c_n = c_before(number + 1);
  }
  return a;
}

void StackPlan::forward(const Packed& weights, const ForwardCall& call) {
  if (call.n == 0) return;
  const Windows windows{*this, call.t, call.n, call.tape, call.host_tape, call.args.workspace.data()};
  if (!windows.several) return run(weights, call.args, windows.window(0));
  const ForwardArgs& args = call.tape != nullptr ? windows.keep(call.args) : call.args;
  for (std::int64_t i = 0; i < windows.count; ++i) run(weights, windows.part(args, i), windows.window(i));
}

void StackPlan::backward(const Packed& weights, const BackwardCall& call) {
  if (call.n == 0) return;
  const Windows windows{*this, call.t, call.n, call.tape, call.host_tape, call.args.workspace.data()};
  if (!windows.several) return run_backward(weights, call.args, call.forward, windows.window(0));
  for (std::int64_t i = windows.count; i-- > 0;) {
    const bool last = i + 1 == windows.count;  // its tape is there
    ForwardArgs forward = windows.part(windows.args(), i);
    if (!last) {
      forward.y = forward.y_reverse = forward.c = forward.h_n = forward.c_n = {};
      run(weights, forward, windows.window(i, true));
    }
    BackwardArgs args = call.args;
    if (!last) args.dh_n = windows.h_carry(), args.dc_n = windows.c_carry();
    if (i > 0) args.dh0 = windows.h_carry(), args.dc0 = windows.c_carry();
    run_backward(weights, args, forward, windows.window(i, true));
  }
}

}  // namespace rondo
