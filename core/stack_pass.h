// What a stack's forward and backward share: the pass's rows and steps, and where its memory lies.
#pragma once

#include "core/stack.h"

namespace rondo {

// The start of kept memory; backward reads what forward wrote.
struct PassHeader {
  std::int64_t live;  // rows with at least one step
  bool ragged;
  bool has_h0, has_c0;
};

struct StackPlan::Pass {
  // tape null: inference.
  Pass(StackPlan& stack, const Packed& packed, std::int64_t steps, std::int64_t batch, std::byte* tape,
       std::byte* host_tape, std::byte* workspace)
      : plan(stack),
        config(stack.config_),
        weights(packed),
        glue(*stack.layers_),
        t(steps),
        n(batch),
        h(state_size(config)),
        cell_width(config.hidden_size),
        out(layer_input_size(config, 1)),
        top(config.num_layers - 1),
        directions(num_directions(config)),
        layers_a_call(stack.layers_a_call()),
        directions_a_call(stack.directions_a_call()),
        states(stack.states_a_call()),
        element(element_bytes(config.dtype)),
        training(tape != nullptr),
        last_only(config.outputs == Outputs::kLast),
        input_masks(training && config.dropout > 0),
        recurrent_masks(training && config.recurrent_dropout > 0),
        layer_masks(training && top > 0 && config.layer_dropout > 0),
        connect_masks(training && config.dropconnect > 0),
        zoneout_h(training && config.zoneout_h > 0),
        zoneout_c(training && config.zoneout_c > 0),
        layout(training ? stack.training_ : stack.inference_),
        kept(training ? tape : workspace),
        work(workspace),
        host(layout.host_bytes == 0 ? kept : (training ? host_tape : stack.host_.span().data())),
        header(*reinterpret_cast<PassHeader*>(piece(host, layout.header))),
        row_index(words(host, layout.rows)),
        offsets(words(host, layout.offsets)),
        flat_index(words(host, layout.flat)) {}

  StackPlan& plan;
  const RnnConfig& config;
  const Packed& weights;
  LayerBackend& glue;
  const std::int64_t t, n, h;
  const std::int64_t cell_width;  // of c; h's is h
  const std::int64_t out;         // what a layer hands to the next: H, or D*H side by side
  const std::int64_t top;         // the last layer
  const int directions;
  const std::int64_t layers_a_call, directions_a_call, states;  // states: of a call
  const std::int64_t element;                                   // bytes of one
  const bool training, last_only;
  const bool input_masks, recurrent_masks, layer_masks, connect_masks, zoneout_h, zoneout_c;
  const MemoryLayout& layout;
  std::byte *const kept, *const work, *const host;
  PassHeader& header;
  std::int64_t* const row_index;   // [N], the caller's row of each of ours; read when ragged
  std::int64_t* const offsets;     // [T + 1], ragged
  std::int64_t* const flat_index;  // [P], likewise of each step and row in the caller's arrays

  std::byte* at(const Pieces& pieces, std::int64_t i = 0) const { return piece(kept, pieces, i); }
  std::byte* work_at(const Pieces& pieces, std::int64_t i = 0) const { return piece(work, pieces, i); }
  static std::byte* piece(std::byte* base, const Pieces& p, std::int64_t i = 0) {
    return base + p.offset + p.bytes * static_cast<std::size_t>(i < p.count ? i : i % p.count);
  }
  static std::int64_t* words(std::byte* base, const Pieces& p) {
    return reinterpret_cast<std::int64_t*>(piece(base, p));
  }
  template <class P>
  P* shift(P* data, std::int64_t elements) const {
    using Byte = std::conditional_t<std::is_const_v<P>, const std::byte, std::byte>;
    return data == nullptr ? nullptr : reinterpret_cast<Byte*>(data) + elements * element;
  }
  std::int64_t pair(std::int64_t layer, int direction) const { return layer * directions + direction; }
  // One of the L*D states of [L*D, N, width].
  template <class P>
  P* state(P* all, std::int64_t layer, int direction, std::int64_t width) const {
    return shift(all, pair(layer, direction) * n * width);
  }

  // `count` states [N, width] from one place to another; from null: zeros.
  struct States {
    std::int64_t count, width;
  };
  void copy_states(void* to, const std::int64_t* to_row, const void* from, const std::int64_t* from_row,
                   const States& states_of) const {
    const auto [count, width] = states_of;
    for (std::int64_t i = 0; i < count; ++i) {
      glue.copy_rows({shift(to, i * n * width), width, to_row}, {shift(from, i * n * width), width, from_row},
                     n, width);
    }
  }
  States h_states() const { return {states, h}; }  // of one call
  States c_states() const { return {states, cell_width}; }

  // The same two where glue finds them; null: not ragged, all in order.
  const std::int64_t* rows() const { return sent(row_index, layout.rows_sent); }
  const std::int64_t* flat() const { return sent(flat_index, layout.flat_sent); }
  const std::int64_t* sent(const std::int64_t* ours, const Pieces& there) const {
    return !header.ragged ? nullptr : (layout.host_bytes == 0 ? ours : words(kept, there));
  }
  // The steps as the layers see them, and as they lie in the caller's arrays.
  Sequence sequence() const { return header.ragged ? Sequence{t, header.live, 0, 1, offsets} : in_caller(); }
  Sequence in_caller() const {
    const bool batch_major = config.layout == Layout::kBatchMajor;
    return {t, n, batch_major ? 1 : n, batch_major ? t : 1, nullptr};
  }
  std::int64_t flat_rows() const { return sequence().total(); }

  // The part of the caller's y or dy that is one direction's (or their merge's); no data: absent.
  template <class Void>
  BasicRows<Void> part(const BasicTensorView<Void>& y, const BasicTensorView<Void>& y_reverse,
                       int direction) const {
    const auto& view = config.merge == Merge::kNone && direction == 1 ? y_reverse : y;
    return {shift(view.data, config.merge == Merge::kConcat ? direction * h : 0), output_size(config)};
  }
  // How many such parts there are.
  int parts() const { return plan.reduces() ? 1 : directions; }
  // Whether a call writes both directions side by side.
  bool side_by_side() const { return directions_a_call == 2; }
  // Whether the caller's y can be what the last layer writes.
  bool writes_theirs() const {
    const bool apart = side_by_side() && config.merge == Merge::kNone;
    return !header.ragged && !last_only && !plan.reduces() && !apart;
  }

  // What a direction of a layer writes, [P, H]: where the caller wants it if it can be written there at once.
  Rows y(std::int64_t layer, int direction, const ForwardArgs& args) const {
    if (layer == top && writes_theirs()) {
      if (const Rows theirs = part(args.y, args.y_reverse, direction); theirs.data != nullptr) return theirs;
    }
    return directions_of(at(layout.y, layer), direction, plan.reduces());
  }
  // One direction of memory for [P, D*H]: side by side, or one after the other.
  Rows directions_of(std::byte* memory, int direction, bool apart) const {
    if (apart && !side_by_side()) return {shift(memory, direction * flat_rows() * h), h};
    return {shift(memory, direction * h), directions * h};
  }
  // The outputs to merge or hand out: every step of the last layer, or its final state.
  Rows outputs(int direction, const ForwardArgs& args) const {
    return last_only ? last_state(direction) : y(top, direction, args);
  }
  Rows last_state(int direction) const {
    return {shift(at(layout.last), (first_of_top() + direction) * n * h), h};
  }
  // The last layer's first state among those of a call.
  std::int64_t first_of_top() const { return states - directions_a_call; }
  std::int64_t output_rows() const { return last_only ? header.live : flat_rows(); }

  LayerCall layer_call(std::int64_t layer, int direction, const ForwardArgs& args) const {
    const std::int64_t i = pair(layer, direction);
    LayerCall call{weights,
                   {layer, config.direction == Direction::kReverse || direction == 1},
                   sequence(),
                   n * h,
                   input(layer, args),
                   y(layer + layers_a_call - 1, direction, args),
                   nullptr,
                   nullptr,
                   {},
                   {},
                   nullptr,
                   work_at(layout.layer)};
    if (header.has_h0) call.h0 = state(at(layout.h0), layer, direction, h);
    if (header.has_c0) call.c0 = state(at(layout.c0), layer, direction, cell_width);
    if (training) call.saved = at(layout.saved, i / states);
    call.masks.groups = groups();
    call.masks.group_rows = n;
    if (input_masks) call.masks.input = at(layout.input_mask, i);
    if (recurrent_masks) call.masks.recurrent = at(layout.recurrent_mask, i);
    if (connect_masks) call.masks.connect = at(layout.connect_mask, i);
    if (zoneout_h) call.masks.zoneout_h = at(layout.zoneout_h, i);
    if (zoneout_c) call.masks.zoneout_c = at(layout.zoneout_c, i);
    return call;
  }
  // c of every step of one direction of the last layer, or its gradient, in the caller's array or in ours.
  template <class Void>
  BasicRows<Void> cell_steps(const BasicTensorView<Void>& theirs, int direction) const {
    if (theirs.absent()) return {};
    Void* const all = header.ragged ? static_cast<Void*>(work_at(layout.c_steps)) : theirs.data;
    return {shift(all, direction * cell_width), directions * cell_width};
  }
  int groups() const { return config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1; }
  // What a layer reads, [P, in].
  ConstRows input(std::int64_t layer, const ForwardArgs& args) const {
    if (layer == 0) return {header.ragged ? at(layout.x) : args.x.data, config.input_size};
    if (plan.reduces() || layer_masks) return {at(layout.input, layer - 1), out};
    return {at(layout.y, layer - 1), out};
  }

  // to [P, O] = from times the mask on the output of a layer.
  void apply_layer_mask(std::int64_t layer, Rows to, ConstRows from) const {
    const ConstRows mask{at(layout.layer_mask, layer), out};
    const Sequence seq = sequence();
    if (config.layer_masks == LayerMasks::kPerStep) {
      return glue.merge_rows(Merge::kMul, to, from, mask, seq.total(), out);
    }
    for (std::int64_t s = 0; s < t; ++s) {
      glue.merge_rows(Merge::kMul, step(to, seq, s), step(from, seq, s), mask, seq.rows(s), out);
    }
  }

  // The rows of one step.
  template <class R>
  R step(R rows, const Sequence& seq, std::int64_t s) const {
    return {shift(rows.data, seq.start(s) * rows.ld), seq.row_stride * rows.ld, rows.index};
  }
  // Flat rows to a caller's [T, N, width] or [N, T, width], whose padded steps become zeros.
  void scatter(Rows to, ConstRows from, std::int64_t width) const {
    if (header.ragged) glue.copy_rows(to, {}, t * n, width);
    to.index = flat();
    glue.copy_rows(to, from, flat_rows(), width);
  }
};

}  // namespace rondo
