// Forward pass of a stack.
#include "core/stack_pass.h"

namespace rondo {

struct StackPlan::ForwardPass : Pass {
  ForwardPass(StackPlan& stack, const Packed& packed, const ForwardCall& call)
      : Pass(stack, packed, call.t, call.n, call.tape, call.host_tape, call.args.workspace.data()),
        args(call.args) {}
  const ForwardArgs& args;

  void run() {
    read_lengths();
    header.has_h0 = header.has_c0 = false;
    if (training || header.ragged) keep_states();
    if (training) make_masks();
    if (header.ragged) {
      const std::int64_t in = config.input_size;
      glue.copy_rows({at(layout.x), in}, {args.x.data, in, flat()}, flat_rows(), in);
    }
    for (std::int64_t l = 0; l <= top; l += layers_a_call) {
      if (l > 0) make_input(l);
      for (int d = 0; d < directions; d += static_cast<int>(directions_a_call)) run_layer(l, d);
    }
    if (!writes_theirs()) write_outputs();
    if (header.ragged && !args.c.absent()) {
      const std::int64_t width = directions * cell_width;
      scatter({args.c.data, width}, {work_at(layout.c_steps), width}, width);
    }
  }

 private:
  // Sorts rows by falling length, equal ones in their order, and counts the rows of each step.
  void read_lengths() {
    header.ragged = false;
    header.live = n;
    if (args.lengths.absent()) return;
    auto* lengths = words(host, layout.lengths);
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
      const Sequence theirs = in_caller();
      for (std::int64_t r = 0; r < rows; ++r) {
        flat_index[offsets[s] + r] = theirs.start(s) + row_index[r] * theirs.row_stride;
      }
    }
    if (layout.host_bytes == 0) return;
    glue.send_index(words(kept, layout.rows_sent), row_index, n);
    glue.send_index(words(kept, layout.flat_sent), flat_index, offsets[t]);
  }

  // Copies h0 and c0: backward needs them though h_n may overwrite them, and ragged rows are sorted.
  void keep_states() {
    const auto keep = [&](bool& has, const Pieces& to, const ConstTensorView& from, std::int64_t width) {
      has = !from.absent();
      if (has) copy_states(at(to), nullptr, from.data, rows(), {config.num_layers * directions, width});
    };
    keep(header.has_h0, layout.h0, args.h0, h);
    keep(header.has_c0, layout.c0, args.c0, cell_width);
  }

  // Kinds of which there is one a gate, or one; those from kZoneoutH on take the place of kOther's gates.
  enum MaskKind : std::uint32_t { kInput = 0, kRecurrent = 1, kLayer = 2, kOther = 3 };
  enum OtherKind : std::uint8_t { kZoneoutH = 0, kZoneoutC = 1, kConnect = 2 };
  MaskDraw draw(MaskKind kind, double rate, std::int64_t layer, int direction, int gate) const {
    const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    const DropoutArgs& from = args.dropout;
    // Seed and offset fill a Philox key and half a counter; one block of it keys the masks of this call.
    const auto key =
        philox4x32({low(from.offset), low(from.offset >> 32), 0, 0}, {low(from.seed), low(from.seed >> 32)});
    const std::uint32_t stream = kind | static_cast<std::uint32_t>(gate) << 2 |
                                 static_cast<std::uint32_t>(direction) << 4 |
                                 static_cast<std::uint32_t>(layer) << 5;
    return {{key[0], key[1]}, stream, rate, rate < 1 ? 1 / (1 - rate) : 0, rows(), n, 0};
  }
  // Supplied at `from`, or drawn.
  void make_mask(Rows to, ConstRows from, const MaskDraw& draw, std::int64_t count, std::int64_t width) {
    if (from.data == nullptr) return glue.draw_mask(to, draw, count, width);
    from.index = draw.index;
    glue.copy_rows(to, from, count, width);
  }
  void make_masks() {
    const DropoutArgs& drop = args.dropout;
    for (std::int64_t l = 0; l <= top; ++l) {
      for (int d = 0; d < directions; ++d) {
        const std::int64_t i = pair(l, d);
        const auto per_group = [&](MaskKind kind, double rate, auto masks, std::byte* to,
                                   std::int64_t width) {
          const void* from = supplied(masks, i, width).data;
          for (int g = 0; g < groups(); ++g) {
            make_mask({shift(to, g * n * width), width}, {shift(from, g * n * width), width},
                      draw(kind, rate, l, d, g), n, width);
          }
        };
        if (input_masks) {
          per_group(kInput, config.dropout, drop.input_masks, at(layout.input_mask, i),
                    layer_input_size(config, l));
        }
        if (recurrent_masks) {
          per_group(kRecurrent, config.recurrent_dropout, drop.recurrent_masks, at(layout.recurrent_mask, i),
                    h);
        }
        if (connect_masks) {
          MaskDraw source = draw(kOther, config.dropconnect, l, d, kConnect);
          source.index = nullptr;
          source.batch = num_gates(config.cell) * cell_width;
          make_mask({at(layout.connect_mask, i), h}, supplied(drop.dropconnect_masks, i, h), source,
                    source.batch, h);
        }
        if (zoneout_h) make_zoneout(kZoneoutH, l, d);
        if (zoneout_c) make_zoneout(kZoneoutC, l, d);
      }
      if (layer_masks && l < top) make_layer_mask(l);
    }
  }
  static ConstRows supplied(std::span<const ConstTensorView> masks, std::int64_t i, std::int64_t width) {
    return {masks.empty() ? nullptr : masks[static_cast<std::size_t>(i)].data, width};
  }
  // A mask of its own for every step.
  void make_step_mask(Rows to, ConstRows from, MaskDraw source) {
    source.index = flat();
    source.steps = config.layout == Layout::kBatchMajor ? t : 0;
    make_mask(to, from, source, flat_rows(), to.ld);
  }
  void make_layer_mask(std::int64_t l) {
    const Rows to{at(layout.layer_mask, l), out};
    const ConstRows from = supplied(args.dropout.layer_masks, l, out);
    const MaskDraw source = draw(kLayer, config.layer_dropout, l, 0, 0);
    if (config.layer_masks == LayerMasks::kPerSequence) return make_mask(to, from, source, n, out);
    make_step_mask(to, from, source);
  }
  void make_zoneout(OtherKind kind, std::int64_t l, int d) {
    const bool of_h = kind == kZoneoutH;
    const std::int64_t i = pair(l, d), width = of_h ? h : cell_width;
    MaskDraw source = draw(kOther, of_h ? config.zoneout_h : config.zoneout_c, l, d, kind);
    source.kept = 1;
    make_step_mask({at(of_h ? layout.zoneout_h : layout.zoneout_c, i), width},
                   supplied(of_h ? args.dropout.zoneout_h_masks : args.dropout.zoneout_c_masks, i, width),
                   source);
  }

  void run_layer(std::int64_t l, int d) {
    LayerForward call{layer_call(l, d, args), state(args.h_n.data, l, d, h),
                      state(args.c_n.data, l, d, cell_width)};
    if (!training && !header.ragged) {
      call.h0 = state(args.h0.data, l, d, h);
      call.c0 = state(args.c0.data, l, d, cell_width);
    }
    if (l == top) call.c = cell_steps(args.c, d);
    const std::int64_t last = l + layers_a_call - 1;
    const bool joined = plan.joins_ != Joins::kNothing;
    const bool wants_y =
        training || joined || l < top || (!last_only && part(args.y, args.y_reverse, d).data != nullptr);
    if (!wants_y) call.y = {};
    // Sorted rows, and the last layer's final state where that is an output, go by way of our memory.
    void *const h_n = call.h_n, *const c_n = call.c_n;
    if (last_only && last == top) {
      call.h_n = shift(at(layout.last), d * n * h);
    } else if (header.ragged && h_n != nullptr) {
      call.h_n = work_at(layout.h);
    }
    if (header.ragged && c_n != nullptr) call.c_n = work_at(layout.c);
    if (header.ragged) {  // rows without a step keep their initial state
      if (call.h_n != nullptr) copy_states(call.h_n, nullptr, call.h0, nullptr, h_states());
      if (call.c_n != nullptr) copy_states(call.c_n, nullptr, call.c0, nullptr, c_states());
    }
    if (header.live > 0) glue.forward(call);
    if (h_n != nullptr && h_n != call.h_n) copy_states(h_n, rows(), call.h_n, nullptr, h_states());
    if (c_n != nullptr && c_n != call.c_n) copy_states(c_n, rows(), call.c_n, nullptr, c_states());
  }

  // What layer l reads, from what layer l - 1 wrote.
  void make_input(std::int64_t l) {
    if (!plan.reduces() && !layer_masks) return;
    const Rows to{at(layout.input, l - 1), out};
    ConstRows from = y(l - 1, 0, args);
    if (plan.reduces()) {
      glue.merge_rows(config.merge, to, from, y(l - 1, 1, args), flat_rows(), h);
      from = to;
    }
    if (layer_masks) apply_layer_mask(l - 1, to, from);
  }

  // The last layer's outputs, where it has not written them itself.
  void write_outputs() {
    for (int d = 0; d < parts(); ++d) {
      Rows theirs = part(args.y, args.y_reverse, d);
      if (theirs.data == nullptr) continue;
      ConstRows ours = outputs(d, args);
      if (plan.reduces()) {
        const bool direct = !header.ragged && !last_only;
        const Rows merged{direct ? theirs.data : work_at(layout.merged), h};
        glue.merge_rows(config.merge, merged, ours, outputs(1, args), output_rows(), h);
        if (direct) continue;
        ours = merged;
      }
      if (!last_only) {
        scatter(theirs, ours, h);
      } else {  // zeros for rows without a step
        glue.copy_rows(theirs, {}, n, h);
        theirs.index = rows();
        glue.copy_rows(theirs, ours, header.live, h);
      }
    }
  }
};

void StackPlan::forward(const Packed& weights, const ForwardCall& call) {
  if (call.n > 0) ForwardPass(*this, weights, call).run();
}

}  // namespace rondo
