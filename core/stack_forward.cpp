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
    const auto keep = [&](bool& has, const Pieces& to, const ConstTensorView& from) {
      has = !from.absent();
      if (has) copy_states(at(to), nullptr, from.data, rows(), config.num_layers * directions);
    };
    keep(header.has_h0, layout.h0, args.h0);
    keep(header.has_c0, layout.c0, args.c0);
  }

  enum MaskKind : std::uint32_t { kInput = 0, kRecurrent = 1, kLayer = 2 };
  MaskDraw draw(MaskKind kind, double rate, std::int64_t layer, int direction, int gate) const {
    const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    const DropoutArgs& from = args.dropout;
    // Seed and offset fill a Philox key and half a counter; one block of it keys the masks of this call.
    const auto key =
        philox4x32({low(from.offset), low(from.offset >> 32), 0, 0}, {low(from.seed), low(from.seed >> 32)});
    const std::uint32_t stream = kind | static_cast<std::uint32_t>(gate) << 2 |
                                 static_cast<std::uint32_t>(direction) << 4 |
                                 static_cast<std::uint32_t>(layer) << 5;
    return {{key[0], key[1]}, stream, rate, rows(), n, 0};
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
        const auto per_group = [&](MaskKind kind, double rate, auto supplied, std::byte* to,
                                   std::int64_t width) {
          const void* from = supplied.empty() ? nullptr : supplied[static_cast<std::size_t>(i)].data;
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
      }
      if (layer_masks && l < top) make_layer_mask(l);
    }
  }
  void make_layer_mask(std::int64_t l) {
    const auto supplied = args.dropout.layer_masks;
    const Rows to{at(layout.layer_mask, l), out};
    const ConstRows from{supplied.empty() ? nullptr : supplied[static_cast<std::size_t>(l)].data, out};
    MaskDraw source = draw(kLayer, config.layer_dropout, l, 0, 0);
    if (config.layer_masks == LayerMasks::kPerSequence) return make_mask(to, from, source, n, out);
    source.index = flat();
    source.steps = config.layout == Layout::kBatchMajor ? t : 0;
    make_mask(to, from, source, flat_rows(), out);
  }

  void run_layer(std::int64_t l, int d) {
    LayerForward call{layer_call(l, d, args), state(args.h_n.data, l, d), state(args.c_n.data, l, d)};
    if (!training && !header.ragged) {
      call.h0 = state(args.h0.data, l, d);
      call.c0 = state(args.c0.data, l, d);
    }
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
      if (call.h_n != nullptr) copy_states(call.h_n, nullptr, call.h0, nullptr, states);
      if (call.c_n != nullptr) copy_states(call.c_n, nullptr, call.c0, nullptr, states);
    }
    if (header.live > 0) glue.forward(call);
    if (h_n != nullptr && h_n != call.h_n) copy_states(h_n, rows(), call.h_n, nullptr, states);
    if (c_n != nullptr && c_n != call.c_n) copy_states(c_n, rows(), call.c_n, nullptr, states);
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
