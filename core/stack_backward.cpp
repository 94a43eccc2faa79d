// Backward pass of a stack.
#include <algorithm>

#include "core/stack_pass.h"

namespace rondo {

struct StackPlan::BackwardPass : Pass {
  BackwardPass(StackPlan& stack, const Packed& packed, const BackwardCall& call)
      : Pass(stack, packed, call.t, call.n, call.tape, true, call.args.workspace.data()),
        args(call.args),
        forward(call.forward) {}
  const BackwardArgs& args;
  const ForwardArgs& forward;

  void run() {
    const std::int64_t top = config.num_layers - 1;
    ConstRows dy[2] = {};  // [P, H] a direction; null: zero
    if (config.outputs == Outputs::kLast) {
      read_last();
    } else {
      read_sequence(dy);
    }
    for (std::int64_t l = top; l >= 0; --l) {
      const Rows dx = input_gradient(l);
      for (int d = 0; d < directions; ++d) run_layer(l, d, dy[d], dx, d > 0);
      if (l == 0 || header.live == 0) continue;
      if (header.layer_masks) apply_layer_mask(l - 1, dx, {dx.data, dx.ld});
      part(l - 1, {dx.data, dx.ld}, dy);
    }
    if (header.ragged && !args.dx.absent()) scatter(args.dx.data, {work_at(plan.work_.d_in[0]), config.input_size}, config.input_size);
  }

 private:
  // The gradient of each direction's outputs from that of their merge, [P, O].
  void part(std::int64_t layer, ConstRows merged, ConstRows* dy) {
    if (!plan.reduces()) {
      for (int d = 0; d < directions; ++d) dy[d] = {shift(merged.data, d * h), merged.ld};
      return;
    }
    const Rows a = y(layer, 0, forward), b = y(layer, 1, forward);
    const Rows da{work_at(plan.work_.d_parts), h}, db{work_at(plan.work_.d_parts, flat_rows() * h), h};
    glue.merge_backward(config.merge, merged, {a.data, a.ld}, {b.data, b.ld}, da, db, flat_rows(), h);
    dy[0] = {da.data, h};
    dy[1] = {db.data, h};
  }

  void read_sequence(ConstRows* dy) {
    const std::int64_t top = config.num_layers - 1;
    if (config.merge == Merge::kNone && directions == 2) {
      for (int d = 0; d < 2; ++d) {
        const ConstTensorView& view = d == 0 ? args.dy : args.dy_reverse;
        if (view.absent()) continue;
        dy[d] = packed(view.data, h, work_at(plan.work_.d_parts, d * flat_rows() * h));
      }
    } else if (!args.dy.absent()) {
      part(top, packed(args.dy.data, out, work_at(plan.work_.d_in[(top + 1) % 2])), dy);
    }
  }
  // The caller's rows as the layers see them.
  ConstRows packed(const void* data, std::int64_t width, std::byte* room) {
    if (!header.ragged) return {data, width};
    gather({room, width}, data, width);
    return {room, width};
  }

  // Outputs::kLast: the gradient of each direction's final state, into `last`.
  void read_last() {
    const Rows first{work_at(plan.work_.last), h}, second{work_at(plan.work_.last, n * h), h};
    const auto read = [&](const ConstTensorView& view, std::int64_t column, std::int64_t width, Rows to) {
      glue.gather_rows(to, {shift(view.data, column), width}, rows(), n, h);
    };
    if (directions == 1) return read(args.dy, 0, h, first);
    if (config.merge == Merge::kNone) {
      read(args.dy, 0, h, first);
      read(args.dy_reverse, 0, h, second);
    } else if (config.merge == Merge::kConcat) {
      read(args.dy, 0, out, first);
      read(args.dy, h, out, second);
    } else {
      const Rows merged{work_at(plan.work_.h), h};
      read(args.dy, 0, h, merged);
      merge_last_backward({merged.data, h}, first, second);
    }
  }
  // The last states are what forward wrote at each row's last step (reverse: at step 0).
  void merge_last_backward(ConstRows merged, Rows first, Rows second) {
    const std::int64_t top = config.num_layers - 1;
    const Sequence seq = sequence();
    const Rows a = y(top, 0, forward), b = y(top, 1, forward);
    const ConstRows last_b = step(ConstRows{b.data, b.ld}, seq, 0);
    for (std::int64_t s = 0; s < t; ++s) {
      const std::int64_t longer = s + 1 < t ? seq.rows(s + 1) : 0, count = seq.rows(s) - longer;
      if (count == 0) continue;
      const auto from_row = [&](auto rows, std::int64_t r) {
        rows.data = shift(rows.data, r * rows.ld);
        return rows;
      };
      glue.merge_backward(config.merge, from_row(merged, longer),
                          from_row(step(ConstRows{a.data, a.ld}, seq, s), longer), from_row(last_b, longer),
                          from_row(first, longer), from_row(second, longer), count, h);
    }
  }

  Rows input_gradient(std::int64_t l) const {
    if (l > 0) return {work_at(plan.work_.d_in[l % 2]), out};
    if (args.dx.absent()) return {};
    return {header.ragged ? work_at(plan.work_.d_in[0]) : args.dx.data, config.input_size};
  }

  void run_layer(std::int64_t l, int d, ConstRows dy, Rows dx, bool accumulate_dx) {
    const bool top_last = l + 1 == config.num_layers && config.outputs == Outputs::kLast;
    const bool detour = header.ragged || top_last;
    const void* dh_n = state(args.dh_n.data, l, d);
    const void* dc_n = state(args.dc_n.data, l, d);
    void* dh0 = state(args.dh0.data, l, d);
    void* dc0 = state(args.dc0.data, l, d);
    void *dh_to = dh0, *dc_to = dc0;
    if (detour) {
      const Rows dh{work_at(plan.work_.h), h}, dc{work_at(plan.work_.c), h};
      glue.gather_rows(dh, {dh_n, h}, rows(), n, h);
      if (top_last) {
        glue.add_rows(dh, {dh.data, h}, {work_at(plan.work_.last, d * n * h), h}, header.live, h);
      }
      dh_n = dh.data;
      dh_to = dh0 == nullptr ? nullptr : dh.data;  // rows without a step pass their gradient through
      if (config.cell == Cell::kLstm) {
        glue.gather_rows(dc, {dc_n, h}, rows(), n, h);
        dc_n = dc.data;
        dc_to = dc0 == nullptr ? nullptr : dc.data;
      }
    }
    if (header.live > 0) {
      const Rows out_rows = y(l, d, forward);
      plan.layers_->backward({weights, id(l, d), sequence(), input(l, forward), {out_rows.data, out_rows.ld},
                              kept_h0(l, d), kept_c0(l, d), masks(l, d), at(layout.saved[index(l, d)]), dy, dh_n,
                              dc_n, dx, accumulate_dx, dh_to, dc_to, args.dparameters.data,
                              work_at(plan.work_.layer)});
    }
    if (!detour) return;
    if (dh0 != nullptr) glue.scatter_rows({dh0, h}, {dh_to, h}, rows(), n, h);
    if (dc0 != nullptr) glue.scatter_rows({dc0, h}, {dc_to, h}, rows(), n, h);
  }
};

void StackPlan::backward(const Packed& weights, const BackwardCall& call) {
  if (call.n > 0) BackwardPass(*this, weights, call).run();
}

}  // namespace rondo
