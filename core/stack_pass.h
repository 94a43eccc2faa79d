// What a stack's forward and backward share: the pass's rows and steps, and where its memory lies.
#pragma once

#include <algorithm>

#include "core/stack.h"

namespace rondo {

// The start of kept memory; backward reads what forward wrote.
struct PassHeader {
  std::int64_t live;  // rows with at least one step
  bool ragged;
  bool has_h0, has_c0;
  bool input_masks, recurrent_masks, layer_masks;
};

struct StackPlan::Pass {
  Pass(StackPlan& stack, const Packed& packed, std::int64_t steps, std::int64_t rows, std::byte* kept_memory,
       bool taped, std::byte* work_memory)
      : plan(stack),
        config(stack.config_),
        weights(packed),
        glue(*stack.layers_),
        t(steps),
        n(rows),
        h(config.hidden_size),
        out(layer_input_size(config, 1)),
        directions(num_directions(config)),
        element(element_bytes(config.dtype)),
        kept(kept_memory),
        layout(taped ? stack.taped_ : stack.untaped_),
        training(taped),
        work(work_memory),
        header(*reinterpret_cast<PassHeader*>(kept + layout.header)),
        row_index(reinterpret_cast<std::int64_t*>(kept + layout.rows)),
        offsets(reinterpret_cast<std::int64_t*>(kept + layout.offsets)) {}

  StackPlan& plan;
  const RnnConfig& config;
  const Packed& weights;
  LayerBackend& glue;
  const std::int64_t t, n, h;
  const std::int64_t out;  // what a layer hands to the next: H, or D*H side by side
  const int directions;
  const std::int64_t element;  // bytes of one
  std::byte* const kept;
  const KeptLayout& layout;
  const bool training;
  std::byte* const work;
  PassHeader& header;
  std::int64_t* const row_index;  // [N], the caller's row of each of ours; read when ragged
  std::int64_t* const offsets;    // [T + 1], ragged

  const std::int64_t* rows() const { return header.ragged ? row_index : nullptr; }
  bool batch_major() const { return config.layout == Layout::kBatchMajor; }
  // The steps as the layers see them, and as they lie in the caller's arrays.
  Sequence sequence() const {
    if (header.ragged) return {t, header.live, 0, 1, offsets};
    return in_caller();
  }
  Sequence in_caller() const { return {t, n, batch_major() ? 1 : n, batch_major() ? t : 1, nullptr}; }
  std::int64_t flat_rows() const { return sequence().total(); }

  std::byte* at(std::size_t offset, std::int64_t elements = 0) const { return kept + offset + elements * element; }
  std::byte* work_at(std::size_t offset, std::int64_t elements = 0) const {
    return work + offset + elements * element;
  }
  template <class P>
  P* shift(P* data, std::int64_t elements) const {
    using Byte = std::conditional_t<std::is_const_v<P>, const std::byte, std::byte>;
    return data == nullptr ? nullptr : static_cast<Byte*>(data) + elements * element;
  }
  std::size_t index(std::int64_t layer, int direction) const {
    return static_cast<std::size_t>(layer * directions + direction);
  }
  LayerId id(std::int64_t layer, int direction) const {
    return {layer, config.direction == Direction::kReverse || direction == 1};
  }
  std::int64_t input_width(std::int64_t layer) const { return layer_input_size(config, layer); }

  // One of the L*D states of an [L*D, N, H] array.
  template <class P>
  P* state(P* all, std::int64_t layer, int direction) const {
    return shift(all, static_cast<std::int64_t>(index(layer, direction)) * n * h);
  }
  const void* kept_h0(std::int64_t layer, int direction) const {
    return header.has_h0 ? state(at(layout.h0), layer, direction) : nullptr;
  }
  const void* kept_c0(std::int64_t layer, int direction) const {
    return header.has_c0 ? state(at(layout.c0), layer, direction) : nullptr;
  }

  // Whether the last layer writes the caller's y itself.
  bool direct(const TensorView& y) const {
    return !header.ragged && config.outputs == Outputs::kSequence && !y.absent() && !plan.reduces();
  }
  // What a direction of a layer writes, [P, H].
  Rows y(std::int64_t layer, int direction, const ForwardArgs& args) const {
    const bool last = layer + 1 == config.num_layers;
    if (last && config.merge == Merge::kNone && directions == 2) {
      const TensorView& view = direction == 0 ? args.y : args.y_reverse;
      if (direct(view)) return {view.data, h};
    } else if (last && direct(args.y)) {
      return {shift(args.y.data, direction * h), out};
    }
    const std::size_t offset = layout.y[static_cast<std::size_t>(layer)];
    if (plan.reduces()) return {at(offset, direction * flat_rows() * h), h};
    return {at(offset, direction * h), directions * h};
  }
  // What a layer reads, [P, in].
  ConstRows input(std::int64_t layer, const ForwardArgs& args) const {
    if (layer == 0) return {header.ragged ? at(layout.x) : args.x.data, config.input_size};
    if (plan.reduces() || header.layer_masks) return {at(layout.input[static_cast<std::size_t>(layer)]), out};
    return {at(layout.y[static_cast<std::size_t>(layer - 1)]), out};
  }

  LayerMasksIn masks(std::int64_t layer, int direction) const {
    LayerMasksIn m;
    const int groups = config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1;
    m.input_groups = m.recurrent_groups = groups;
    m.group_rows = n;
    if (header.input_masks) m.input = at(layout.input_mask[index(layer, direction)]);
    if (header.recurrent_masks) m.recurrent = at(layout.recurrent_mask[index(layer, direction)]);
    return m;
  }

  // to [P, width] times the mask on the output of a layer.
  void apply_layer_mask(std::int64_t layer, Rows to, ConstRows from) const {
    const Sequence seq = sequence();
    const std::byte* mask = at(layout.layer_mask[static_cast<std::size_t>(layer)]);
    if (config.layer_masks == LayerMasks::kPerStep) {
      return glue.scale_rows(to, from, {mask, out}, seq.total(), out);
    }
    for (std::int64_t s = 0; s < seq.t; ++s) {
      glue.scale_rows(step(to, seq, s), step(from, seq, s), {mask, out}, seq.rows(s), out);
    }
  }

  // The rows of one step.
  template <class R>
  R step(R rows, const Sequence& seq, std::int64_t s) const {
    return {shift(rows.data, seq.start(s) * rows.ld), seq.row_stride * rows.ld};
  }
  // Between a caller's [T, N, width] or [N, T, width] and packed rows.
  void gather(Rows to, const void* from, std::int64_t width) const {
    const Sequence packed = sequence(), theirs = in_caller();
    for (std::int64_t s = 0; s < t; ++s) {
      glue.gather_rows(step(to, packed, s), step(ConstRows{from, width}, theirs, s), row_index, packed.rows(s), width);
    }
  }
  void scatter(void* to, ConstRows from, std::int64_t width) const {
    const Sequence packed = sequence(), theirs = in_caller();
    glue.gather_rows({to, width}, {}, nullptr, t * n, width);
    for (std::int64_t s = 0; s < t; ++s) {
      glue.scatter_rows(step(Rows{to, width}, theirs, s), step(from, packed, s), row_index, packed.rows(s), width);
    }
  }
};

}  // namespace rondo
