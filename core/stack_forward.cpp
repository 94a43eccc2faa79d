// Forward pass of a stack.
#include "core/stack_compaction.h"

namespace rondo {

struct StackPlan::ForwardPass : Pass {
  ForwardPass(StackPlan& stack, const Packed& packed, const ForwardArgs& given, const Window& run)
      : Pass(stack, packed, run), args(given) {}
  const ForwardArgs& args;

  void run() {
    Compaction{*this, args}.run();
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
    for (int d = 0; header.ragged && !args.c.absent() && d < directions; ++d) {
      const Rows theirs{args.c.data, directions * cell_width}, ours{work_at(layout.c_steps), theirs.ld};
      expand(one_cell(theirs, d), one_cell(ours, d), d, cell_width);
    }
  }

 private:
  // Copies h0 and c0: backward needs them though h_n may overwrite them, and ragged rows are sorted.
  void keep_states() {
    const auto keep = [&](bool& has, const Pieces& to, const ConstTensorView& from, std::int64_t width) {
      has = !from.absent();
      if (has) take_states(at(to), from.data, End::kEnters, {0, config.num_layers * directions, width});
    };
    keep(header.has_h0, layout.h0, args.h0, h);
    keep(header.has_c0, layout.c0, args.c0, cell_width);
  }

  // In a stream the kind is followed by a gate, or under kOther by an OtherKind.
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
            make_mask({shift(to, g * header.rows * width), width}, {shift(from, g * n * width), width},
                      draw(kind, rate, l, d, g), header.rows, width);
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
        if (connect_masks && window.number == 0 && !window.again) {
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
    source.steps = batch_major() ? window.all : 0;
    if (!header.ragged) source.first = window.first * n;
    make_mask(to, in_window(from), source, flat_rows(), to.ld);
  }
  void make_layer_mask(std::int64_t l) {
    const Rows to{at(layout.layer_mask, l), out};
    const ConstRows from = supplied(args.dropout.layer_masks, l, out);
    const MaskDraw source = draw(kLayer, config.layer_dropout, l, 0, 0);
    if (config.layer_masks == LayerMasks::kPerSequence) return make_mask(to, from, source, header.rows, out);
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
    // Rows that are not the caller's, and the last layer's final state where that is an output, go by way of
    // our memory.
    void *const h_n = call.h_n, *const c_n = call.c_n;
    if (last_only && last == top) {
      call.h_n = shift(at(layout.last), d * header.rows * h);
    } else if (header.ragged && h_n != nullptr) {
      call.h_n = work_at(layout.h);
    }
    if (header.ragged && c_n != nullptr) call.c_n = work_at(layout.c);
    const auto keep_state = [&](void* to, const void* from, std::int64_t width) {  // of rows without a step
      if (to != nullptr) glue.copy_rows({to, width}, {from, width}, states * header.rows, width);
    };
    if (header.ragged) {
      keep_state(call.h_n, call.h0, h);
      keep_state(call.c_n, call.c0, cell_width);
    }
    if (header.live > 0) glue.forward(call);
    if (h_n != nullptr && h_n != call.h_n) give_states(h_n, call.h_n, End::kLeaves, h_states(l, d));
    if (c_n != nullptr && c_n != call.c_n) give_states(c_n, call.c_n, End::kLeaves, c_states(l, d));
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
      const Rows theirs = part(args.y, args.y_reverse, d);
      if (theirs.data == nullptr) continue;
      if (last_only) {
        write_last(theirs, d);
      } else if (!plan.reduces()) {
        expand(theirs, outputs(d, args), d, h);
      } else {
        merge_outputs(theirs);
      }
    }
  }
  void merge_outputs(Rows theirs) {
    if (!header.ragged) {
      return glue.merge_rows(config.merge, theirs, outputs(0, args), outputs(1, args), output_rows(), h);
    }
    const Rows room{work_at(layout.merged), h};
    expand(theirs, outputs(0, args), 0, h);
    expand(room, outputs(1, args), 1, h);
    glue.merge_rows(config.merge, theirs, theirs, room, t * n, h);
  }
  // Zeros for rows without a step, which may have had one in a window before.
  void write_last(Rows theirs, int d) {
    const bool all = !header.ragged && !header.some_ended;
    if (!all && window.number == 0) glue.copy_rows(theirs, {}, n, h);
    ConstRows ours = outputs(d, args);
    if (plan.reduces()) {
      const Rows merged{work_at(layout.merged), h};
      glue.merge_rows(config.merge, merged, ours, outputs(1, args), output_rows(), h);
      ours = merged;
    }
    theirs.index = ended();
    glue.copy_rows(theirs, ours, output_rows(), h);
  }
};

void StackPlan::run(const Packed& weights, const ForwardArgs& args, const Window& window) {
  ForwardPass(*this, weights, args, window).run();
}

}  // namespace rondo
