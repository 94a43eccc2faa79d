// Backward pass of a stack.
#include "core/stack_pass.h"

namespace rondo {

struct StackPlan::BackwardPass : Pass {
  BackwardPass(StackPlan& stack, const Packed& packed, const BackwardCall& call)
      : Pass(stack, packed, call.t, call.n, call.tape, call.host_tape, call.args.workspace.data()),
        args(call.args),
        forward(call.forward) {}
  const BackwardArgs& args;
  const ForwardArgs& forward;
  ConstRows dy[2] = {};  // of each direction's outputs; no data: zero

  void run() {
    read_outputs();
    for (std::int64_t l = top + 1 - layers_a_call; l >= 0; l -= layers_a_call) {
      const Rows dx = input_gradient(l);
      for (int d = 0; d < directions; d += static_cast<int>(directions_a_call)) run_layer(l, d, dx);
      if (l == 0 || header.live == 0) continue;
      if (layer_masks) apply_layer_mask(l - 1, dx, dx);
      for (int d = 0; d < parts(); ++d) dy[d] = {shift(dx.data, d * h), dx.ld};
      if (plan.reduces()) split_merged(y(l - 1, 0, forward), y(l - 1, 1, forward), flat_rows());
    }
    if (header.ragged && !args.dx.absent()) {
      scatter({args.dx.data, config.input_size}, input_gradient(0), config.input_size);
    }
  }

 private:
  // The caller's gradients of the outputs as the layers see them.
  void read_outputs() {
    for (int d = 0; d < parts(); ++d) dy[d] = part(args.dy, args.dy_reverse, d);
    const bool some = dy[0].data != nullptr || dy[1].data != nullptr;
    const bool apart = side_by_side() && config.merge == Merge::kNone;
    for (int d = 0; d < parts() && some; ++d) {
      if (last_only) {
        dy[d].index = rows();
      } else if (header.ragged || apart) {
        if (dy[d].data == nullptr && !apart) continue;
        std::byte* const room = work_at(layout.d_in, top + 1);
        const Rows to = plan.reduces() ? Rows{room, h} : directions_of(room, d, true);
        dy[d].index = flat();
        glue.copy_rows(to, dy[d], flat_rows(), h);
        dy[d] = to;
      }
    }
    if (header.ragged && !args.dc.absent()) {
      const std::int64_t width = directions * cell_width;
      glue.copy_rows({work_at(layout.c_steps), width}, {args.dc.data, width, flat()}, flat_rows(), width);
    }
    if (plan.reduces() && dy[0].data != nullptr) {
      split_merged(outputs(0, forward), outputs(1, forward), output_rows());
    }
  }

  // Makes dy of each direction out of that of their merge.
  void split_merged(ConstRows a, ConstRows b, std::int64_t count) {
    const ConstRows merged = dy[0];
    const bool product = config.merge == Merge::kMul;  // else both get the same
    const bool shared = !product && !side_by_side();
    for (int d = 0; d < (shared ? 1 : 2); ++d) {
      const Rows to = directions_of(work_at(layout.d_parts), d, true);
      glue.merge_rows(config.merge, to, merged, !product ? ConstRows{} : (d == 0 ? b : a), count, h);
      dy[d] = to;
    }
    if (shared) dy[1] = dy[0];
  }

  // Of a call that starts with layer l.
  Rows input_gradient(std::int64_t l) const {
    std::byte* const room = work_at(layout.d_in, l + layers_a_call - 1);
    if (l > 0) return {room, out};
    const bool joined = plan.joins_ != Joins::kNothing;
    if (args.dx.absent()) return joined ? Rows{room, config.input_size} : Rows{};
    return {header.ragged ? room : args.dx.data, config.input_size};
  }

  void run_layer(std::int64_t l, int d, Rows dx) {
    void *const dh0 = state(args.dh0.data, l, d, h), *const dc0 = state(args.dc0.data, l, d, cell_width);
    LayerBackward call{layer_call(l, d, forward),
                       dy[d],
                       l == top ? cell_steps(args.dc, d) : ConstRows{},
                       state(args.dh_n.data, l, d, h),
                       state(args.dc_n.data, l, d, cell_width),
                       dx,
                       d > 0,
                       dh0,
                       dc0,
                       args.dparameters.data};
    // Sorted rows, and a final state that is an output as well, go by way of our memory; rows without a step
    // pass their gradient through.
    const bool output = last_only && l + layers_a_call - 1 == top;
    if (header.ragged || output) {
      void* const dh = work_at(layout.h);
      copy_states(dh, nullptr, call.dh_n, rows(), h_states());
      if (output) {
        for (int i = 0; i < directions_a_call; ++i) add_output(dh, i, dy[d + i]);
        call.dy = {};
      }
      call.dh_n = dh;
      if (dh0 != nullptr) call.dh0 = dh;
    }
    if (header.ragged && config.cell == Cell::kLstm) {
      void* const dc = work_at(layout.c);
      copy_states(dc, nullptr, call.dc_n, rows(), c_states());
      call.dc_n = dc;
      if (dc0 != nullptr) call.dc0 = dc;
    }
    if (header.live > 0) glue.backward(call);
    if (call.dh0 != dh0) copy_states(dh0, rows(), call.dh0, nullptr, h_states());
    if (call.dc0 != dc0) copy_states(dc0, rows(), call.dc0, nullptr, c_states());
  }
  // To the gradients of a call's final states, that of one direction's output.
  void add_output(void* states_of_call, int direction, ConstRows gradient) {
    if (gradient.data == nullptr) return;
    const Rows to{shift(states_of_call, (first_of_top() + direction) * n * h), h};
    glue.merge_rows(Merge::kSum, to, to, gradient, header.live, h);
  }
};

void StackPlan::backward(const Packed& weights, const BackwardCall& call) {
  if (call.n > 0) BackwardPass(*this, weights, call).run();
}

}  // namespace rondo
