// Backward pass of a stack.
#include "core/stack_pass.h"

namespace rondo {

struct StackPlan::BackwardPass : Pass {
  BackwardPass(StackPlan& stack, const Packed& packed, const BackwardArgs& given, const ForwardArgs& taped,
               const Window& run)
      : Pass(stack, packed, run), args(given), forward(taped) {}
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
    for (int d = 0; header.ragged && !args.dc.absent() && d < directions; ++d) {
      const ConstRows theirs{args.dc.data, directions * cell_width};
      fold(one_cell(Rows{work_at(layout.c_steps), theirs.ld}, d), one_cell(theirs, d), d, cell_width);
    }
    if (dy[0].data == nullptr && dy[1].data == nullptr) return;
    if (last_only) {
      for (ConstRows& of_direction : dy) of_direction.index = ended();
      if (plan.reduces()) split_merged(outputs(0, forward), outputs(1, forward), output_rows());
    } else if (!plan.reduces()) {
      fold_outputs();
    } else if (header.ragged) {
      fold_merged();
    } else {
      split_merged(outputs(0, forward), outputs(1, forward), output_rows());
    }
  }
  // Joined directions have their gradients side by side, zeros where there is none.
  void fold_outputs() {
    const bool apart = side_by_side() && config.merge == Merge::kNone;
    if (!header.ragged && !apart) return;
    for (int d = 0; d < parts(); ++d) {
      if (dy[d].data == nullptr && !apart) continue;
      const Rows to = directions_of(work_at(layout.d_in, top + 1), d, true);
      fold(to, dy[d], d, h);
      dy[d] = to;
    }
  }
  // As split_merged, in the caller's rows and steps, where both directions have an output at each step.
  void fold_merged() {
    const ConstRows merged = dy[0];
    for (int d = 0; d < 2; ++d) {
      const Rows to = directions_of(work_at(layout.d_parts), d, true), room{work_at(layout.merged), h};
      ConstRows from = merged;
      if (config.merge == Merge::kMul) {
        expand(room, outputs(1 - d, forward), 1 - d, h);
        glue.merge_rows(Merge::kMul, room, room, merged, t * n, h);
        from = room;
      }
      fold(to, from, d, h);
      if (config.merge == Merge::kAve) glue.merge_rows(Merge::kAve, to, to, {}, flat_rows(), h);
      dy[d] = to;
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
    if (header.ragged) return {room, config.input_size};
    return in_window(Rows{args.dx.data, config.input_size});
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
    // Rows that are not the caller's, and a final state that is an output as well, go by way of our memory;
    // rows without a step pass their gradient through.
    const bool output = last_only && l + layers_a_call - 1 == top;
    if (header.ragged || output) {
      void* const dh = work_at(layout.h);
      take_states(dh, call.dh_n, End::kLeaves, h_states(l, d));
      if (output) {
        for (int i = 0; i < directions_a_call; ++i) add_output(dh, d + i, dy[d + i]);
        call.dy = {};
      }
      call.dh_n = dh;
      if (dh0 != nullptr) call.dh0 = dh;
    }
    if (header.ragged && config.cell == Cell::kLstm) {
      void* const dc = work_at(layout.c);
      take_states(dc, call.dc_n, End::kLeaves, c_states(l, d));
      call.dc_n = dc;
      if (dc0 != nullptr) call.dc0 = dc;
    }
    if (header.live > 0) glue.backward(call);
    if (call.dh0 != dh0) give_states(dh0, call.dh0, End::kEnters, h_states(l, d));
    if (call.dc0 != dc0) give_states(dc0, call.dc0, End::kEnters, c_states(l, d));
  }
  // To the gradients of a call's final states, that of one direction's output.
  void add_output(void* states_of_call, int direction, ConstRows gradient) {
    if (gradient.data == nullptr) return;
    const std::int64_t state = first_of_top() + direction % directions_a_call;
    const Rows to{shift(states_of_call, state * header.rows * h), h, ended_in(direction)};
    glue.merge_rows(Merge::kSum, to, to, gradient, header.ended, h);
  }
};

void StackPlan::run_backward(const Packed& weights, const BackwardArgs& args, const ForwardArgs& forward,
                             const Window& window) {
  BackwardPass(*this, weights, args, forward, window).run();
}

}  // namespace rondo
