// Forward pass of a stack.
#include <algorithm>

#include "core/stack_pass.h"

namespace rondo {

struct StackPlan::ForwardPass : Pass {
  ForwardPass(StackPlan& stack, const Packed& packed, const ForwardCall& call)
      : Pass(stack, packed, call.t, call.n,
             call.tape != nullptr ? call.tape : call.args.workspace.data() + stack.work_.kept, call.tape != nullptr,
             call.args.workspace.data()),
        args(call.args) {}
  const ForwardArgs& args;

  void run() {
    read_lengths();
    header.has_h0 = !args.h0.absent();
    header.has_c0 = !args.c0.absent();
    const DropoutArgs& drop = args.dropout;
    header.input_masks = training && (config.dropout > 0 || !drop.input_masks.empty());
    header.recurrent_masks = training && (config.recurrent_dropout > 0 || !drop.recurrent_masks.empty());
    header.layer_masks =
        training && config.num_layers > 1 && (config.layer_dropout > 0 || !drop.layer_masks.empty());
    if (training || header.ragged) keep_states();
    if (training) make_masks();
    if (header.ragged) gather({at(layout.x), config.input_size}, args.x.data, config.input_size);
    for (std::int64_t l = 0; l < config.num_layers; ++l) {
      for (int d = 0; d < directions; ++d) run_layer(l, d);
      if (l + 1 < config.num_layers) make_input(l + 1);
    }
    if (config.outputs == Outputs::kLast) {
      write_last();
    } else {
      write_sequence();
    }
  }

 private:
  // Sorts rows by falling length, equal ones in their order, and counts the rows of each step.
  void read_lengths() {
    header.ragged = false;
    header.live = n;
    if (args.lengths.absent()) return;
    auto* lengths = reinterpret_cast<std::int64_t*>(kept + layout.lengths);
    for (std::int64_t r = 0; r < n; ++r) {
      lengths[r] = args.lengths.dtype == DType::kI32 ? static_cast<const std::int32_t*>(args.lengths.data)[r]
                                                     : static_cast<const std::int64_t*>(args.lengths.data)[r];
      row_index[r] = r;
    }
    if (std::all_of(lengths, lengths + n, [&](std::int64_t length) { return length == t; })) return;
    header.ragged = true;
    std::sort(row_index, row_index + n, [&](std::int64_t a, std::int64_t b) {
      return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
    });
    std::int64_t rows = n;
    offsets[0] = 0;
    for (std::int64_t s = 0; s < t; ++s) {
      while (rows > 0 && lengths[row_index[rows - 1]] <= s) --rows;
      if (s == 0) header.live = rows;
      offsets[s + 1] = offsets[s] + rows;
    }
  }

  // Copies h0 and c0: backward needs them though h_n may overwrite them, and ragged rows are sorted.
  void keep_states() {
    for (std::int64_t l = 0; l < config.num_layers; ++l) {
      for (int d = 0; d < directions; ++d) {
        if (header.has_h0) {
          glue.gather_rows({state(at(layout.h0), l, d), h}, {state(args.h0.data, l, d), h}, rows(), n, h);
        }
        if (header.has_c0) {
          glue.gather_rows({state(at(layout.c0), l, d), h}, {state(args.c0.data, l, d), h}, rows(), n, h);
        }
      }
    }
  }

  enum MaskKind : std::uint32_t { kInput = 0, kRecurrent = 1, kLayer = 2 };
  MaskDraw draw(MaskKind kind, double rate, std::int64_t layer, int direction, int gate) const {
    const DropoutArgs& from = args.dropout;
    const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    // Seed and offset fill a Philox key and half a counter; one block of it keys the masks of this call.
    const auto key = philox4x32({low(from.offset), low(from.offset >> 32), 0, 0}, {low(from.seed), low(from.seed >> 32)});
    const std::uint32_t stream = kind | static_cast<std::uint32_t>(gate) << 2 |
                                 static_cast<std::uint32_t>(direction) << 4 | static_cast<std::uint32_t>(layer) << 5;
    return {{key[0], key[1]}, stream, rate};
  }
  // [groups, n, width] at `to`: supplied, or drawn.
  void make_sequence_masks(MaskKind kind, double rate, std::span<const ConstTensorView> supplied, std::int64_t layer,
                           int direction, std::byte* to, std::int64_t width) {
    const int groups = config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1;
    for (int g = 0; g < groups; ++g) {
      const Rows mask{shift(to, g * n * width), width};
      if (supplied.empty()) {
        glue.draw_mask(mask, draw(kind, rate, layer, direction, g), 0, rows(), n, width);
      } else {
        glue.gather_rows(mask, {shift(supplied[index(layer, direction)].data, g * n * width), width}, rows(), n, width);
      }
    }
  }
  void make_masks() {
    const DropoutArgs& drop = args.dropout;
    for (std::int64_t l = 0; l < config.num_layers; ++l) {
      for (int d = 0; d < directions; ++d) {
        if (header.input_masks) {
          make_sequence_masks(kInput, config.dropout, drop.input_masks, l, d, at(layout.input_mask[index(l, d)]),
                              input_width(l));
        }
        if (header.recurrent_masks) {
          make_sequence_masks(kRecurrent, config.recurrent_dropout, drop.recurrent_masks, l, d,
                              at(layout.recurrent_mask[index(l, d)]), h);
        }
      }
      if (header.layer_masks && l + 1 < config.num_layers) make_layer_mask(l);
    }
  }
  void make_layer_mask(std::int64_t l) {
    const auto supplied = args.dropout.layer_masks;
    std::byte* to = at(layout.layer_mask[static_cast<std::size_t>(l)]);
    const void* from = supplied.empty() ? nullptr : supplied[static_cast<std::size_t>(l)].data;
    const MaskDraw source = draw(kLayer, config.layer_dropout, l, 0, 0);
    if (config.layer_masks == LayerMasks::kPerSequence) {
      if (from == nullptr) return glue.draw_mask({to, out}, source, 0, rows(), n, out);
      return glue.gather_rows({to, out}, {from, out}, rows(), n, out);
    }
    const Sequence seq = sequence(), theirs = in_caller();
    for (std::int64_t s = 0; s < t; ++s) {
      const Rows mask = step(Rows{to, out}, seq, s);
      if (from == nullptr) {
        glue.draw_mask(mask, source, s, rows(), seq.rows(s), out);
      } else {
        glue.gather_rows(mask, step(ConstRows{from, out}, theirs, s), rows(), seq.rows(s), out);
      }
    }
  }

  bool last_layer(std::int64_t l) const { return l + 1 == config.num_layers; }

  void run_layer(std::int64_t l, int d) {
    const bool top_last = last_layer(l) && config.outputs == Outputs::kLast;
    // Sorted rows, and the top's last state, which is an output: by way of the workspace.
    const bool detour = header.ragged || top_last;
    const bool kept_states = training || header.ragged;
    const void* h0 = kept_states ? kept_h0(l, d) : state(args.h0.data, l, d);
    const void* c0 = kept_states ? kept_c0(l, d) : state(args.c0.data, l, d);
    void* h_n = state(args.h_n.data, l, d);
    void* c_n = state(args.c_n.data, l, d);
    void* h_out = h_n;
    void* c_out = c_n;
    if (detour) {
      h_out = top_last ? work_at(plan.work_.last, d * n * h) : work_at(plan.work_.h);
      c_out = c_n == nullptr ? nullptr : work_at(plan.work_.c);
      // Rows without a step keep their initial state.
      glue.gather_rows({h_out, h}, {h0, h}, nullptr, n, h);
      if (c_out != nullptr) glue.gather_rows({c_out, h}, {c0, h}, nullptr, n, h);
    }
    if (header.live > 0) {
      const bool wants_y = training || !last_layer(l) || (config.outputs == Outputs::kSequence && wanted(d));
      plan.layers_->forward({weights, id(l, d), sequence(), input(l, args), wants_y ? y(l, d, args) : Rows{}, h0, c0,
                             h_out, c_out, masks(l, d), training ? at(layout.saved[index(l, d)]) : nullptr,
                             work_at(plan.work_.layer)});
    }
    if (!detour) return;
    if (h_n != nullptr) glue.scatter_rows({h_n, h}, {h_out, h}, rows(), n, h);
    if (c_n != nullptr) glue.scatter_rows({c_n, h}, {c_out, h}, rows(), n, h);
  }
  bool wanted(int d) const {
    return !(config.merge == Merge::kNone && d == 1 ? args.y_reverse : args.y).absent();
  }

  // What layer l reads, from what layer l-1 wrote.
  void make_input(std::int64_t l) {
    if (header.live == 0) return;
    const Rows to{at(layout.input[static_cast<std::size_t>(l)]), out};
    const Rows below = y(l - 1, 0, args);
    ConstRows from{below.data, below.ld};
    if (plan.reduces()) {
      const Rows other = y(l - 1, 1, args);
      glue.merge(config.merge, to, from, {other.data, other.ld}, flat_rows(), h);
      from = {to.data, to.ld};
    }
    if (header.layer_masks) apply_layer_mask(l - 1, to, from);
  }

  // The last layer's outputs, where it has not written them itself.
  void write_sequence() {
    const std::int64_t top = config.num_layers - 1;
    const Rows first = y(top, 0, args);
    if (config.merge == Merge::kNone && directions == 2) {
      for (int d = 0; d < 2; ++d) {
        const TensorView& view = d == 0 ? args.y : args.y_reverse;
        const Rows from = y(top, d, args);
        if (!view.absent() && !direct(view)) scatter(view.data, {from.data, from.ld}, h);
      }
    } else if (args.y.absent() || direct(args.y)) {
      return;
    } else if (!plan.reduces()) {
      scatter(args.y.data, {first.data, first.ld}, out);
    } else {
      const Rows second = y(top, 1, args);
      const Rows to{header.ragged ? work_at(plan.work_.merged) : args.y.data, h};
      glue.merge(config.merge, to, {first.data, first.ld}, {second.data, second.ld}, flat_rows(), h);
      if (header.ragged) scatter(args.y.data, {to.data, h}, h);
    }
  }

  // Outputs::kLast: the final states of the last layer's directions; zeros for rows without a step.
  void write_last() {
    const ConstRows first{work_at(plan.work_.last), h}, second{work_at(plan.work_.last, n * h), h};
    const auto write = [&](const TensorView& view, std::int64_t column, std::int64_t width, ConstRows from) {
      if (view.absent()) return;
      const Rows to{shift(view.data, column), width};
      glue.gather_rows(to, {}, nullptr, n, h);
      glue.scatter_rows(to, from, rows(), header.live, h);
    };
    if (directions == 1) return write(args.y, 0, h, first);
    if (config.merge == Merge::kNone) {
      write(args.y, 0, h, first);
      write(args.y_reverse, 0, h, second);
    } else if (config.merge == Merge::kConcat) {
      write(args.y, 0, out, first);
      write(args.y, h, out, second);
    } else {
      const Rows to{work_at(plan.work_.h), h};
      glue.merge(config.merge, to, first, second, n, h);
      write(args.y, 0, h, {to.data, h});
    }
  }
};

void StackPlan::forward(const Packed& weights, const ForwardCall& call) {
  if (call.n > 0) ForwardPass(*this, weights, call).run();
}

}  // namespace rondo
