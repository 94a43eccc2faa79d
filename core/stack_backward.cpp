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
    for (std::int64_t l = top; l >= 0; --l) {
      const Rows dx = input_gradient(l);
      for (int d = 0; d < directions; ++d) run_layer(l, d, dx);
      if (l == 0 || header.live == 0) continue;
      if (header.layer_masks) apply_layer_mask(l - 1, dx, dx);
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
    for (int d = 0; d < parts(); ++d) {
      dy[d] = part(args.dy, args.dy_reverse, d);
      if (dy[d].data == nullptr || !header.ragged) continue;
      if (last_only) {
        dy[d].index = rows();
      } else {
        const Rows room{shift(work_at(layout.d_in, top + 1), d * flat_rows() * h), h};
        dy[d].index = flat();
        glue.copy_rows(room, dy[d], flat_rows(), h);
        dy[d] = room;
      }
    }
    if (plan.reduces() && dy[0].data != nullptr) {
      split_merged(outputs(0, forward), outputs(1, forward), output_rows());
    }
  }

  // Makes dy of each direction out of that of their merge.
  void split_merged(ConstRows a, ConstRows b, std::int64_t count) {
    const ConstRows merged = dy[0];
    const bool product = config.merge == Merge::kMul;  // else both get the same
    for (int d = 0; d < (product ? 2 : 1); ++d) {
      const Rows to{work_at(layout.d_parts, d), h};
      glue.merge_rows(config.merge, to, merged, !product ? ConstRows{} : (d == 0 ? b : a), count, h);
      dy[d] = to;
    }
    if (!product) dy[1] = dy[0];
  }

  Rows input_gradient(std::int64_t l) const {
    if (l > 0) return {work_at(layout.d_in, l), out};
    if (args.dx.absent()) return {};
    return {header.ragged ? work_at(layout.d_in, 0) : args.dx.data, config.input_size};
  }

  void run_layer(std::int64_t l, int d, Rows dx) {
    void *const dh0 = state(args.dh0.data, l, d), *const dc0 = state(args.dc0.data, l, d);
    LayerBackward call{layer_call(l, d, forward),
                       dy[d],
                       state(args.dh_n.data, l, d),
                       state(args.dc_n.data, l, d),
                       dx,
                       d > 0,
                       dh0,
                       dc0,
                       args.dparameters.data};
    // Sorted rows, and a final state that is an output as well, go by way of our memory; rows without a step
    // pass their gradient through.
    const bool output = last_only && l == top;
    if (header.ragged || output) {
      const Rows dh{work_at(layout.h), h};
      glue.copy_rows(dh, {call.dh_n, h, rows()}, n, h);
      if (output) {
        if (dy[d].data != nullptr) glue.merge_rows(Merge::kSum, dh, dh, dy[d], header.live, h);
        call.dy = {};
      }
      call.dh_n = dh.data;
      if (dh0 != nullptr) call.dh0 = dh.data;
    }
    if (header.ragged && config.cell == Cell::kLstm) {
      const Rows dc{work_at(layout.c), h};
      glue.copy_rows(dc, {call.dc_n, h, rows()}, n, h);
      call.dc_n = dc.data;
      if (dc0 != nullptr) call.dc0 = dc.data;
    }
    if (header.live > 0) glue.backward(call);
    if (call.dh0 != dh0) glue.copy_rows({dh0, h, rows()}, {call.dh0, h}, n, h);
    if (call.dc0 != dc0) glue.copy_rows({dc0, h, rows()}, {call.dc0, h}, n, h);
  }
};

void StackPlan::backward(const Packed& weights, const BackwardCall& call) {
  if (call.n > 0) BackwardPass(*this, weights, call).run();
}

}  // namespace rondo
