// What a stack's forward and backward share: the pass's rows and steps, and where its memory lies.
#pragma once

#include "core/stack.h"

namespace rondo {

// Lists of rows that glue reads, by where each starts among them. [2]: of a forward and of a reverse
// direction.
struct IndexLists {
  std::int64_t count = 0;    // of all lists
  std::int64_t first, last;  // [N], which of our rows a row of the caller's starts as, and ends as, in time
  std::int64_t rows;         // [R], the caller's row of each of ours
  std::int64_t flat;  // [T * N], where our P flat rows lie in the caller's arrays, then what lies between
  // [E], the caller's rows with a step (checkpoints: whose last one is in this window), and which of our rows
  // it lies in. Outputs::kLast.
  std::int64_t ended, ended_in[2];
  // Skipped steps in the caller's arrays and the flat rows that they repeat: all first repeats of a step,
  // then all second ones. MaskedOutputs::kRepeat.
  std::int64_t repeat_to[2], repeat_from[2];
};

// The start of kept memory; backward reads what forward wrote.
struct PassHeader {
  std::int64_t live;   // our rows with at least one step
  std::int64_t rows;   // R
  std::int64_t steps;  // the most that a row has
  std::int64_t ended;  // E
  bool ragged;         // else ours are the caller's rows and steps
  bool some_ended;     // else all rows did, in order
  bool has_h0, has_c0;
  IndexLists lists;
};

// Kinds of masks that a caller may supply, see DropoutArgs.
constexpr std::int64_t kMaskKinds = 6;

struct StackPlan::Pass {
  Pass(StackPlan& stack, const Packed& packed, const Window& run)
      : plan(stack),
        config(stack.config_),
        weights(packed),
        glue(*stack.layers_),
        window(run),
        t(run.t),
        n(run.n),
        h(state_size(config)),
        cell_width(config.hidden_size),
        out(layer_input_size(config, 1)),
        top(config.num_layers - 1),
        directions(num_directions(config)),
        layers_a_call(stack.layers_a_call()),
        directions_a_call(stack.directions_a_call()),
        states(stack.states_a_call()),
        element(element_bytes(config.dtype)),
        training(run.tape != nullptr),
        last_only(config.outputs == Outputs::kLast),
        input_masks(training && config.dropout > 0),
        recurrent_masks(training && config.recurrent_dropout > 0),
        layer_masks(training && top > 0 && config.layer_dropout > 0),
        connect_masks(training && config.dropconnect > 0),
        zoneout_h(training && config.zoneout_h > 0),
        zoneout_c(training && config.zoneout_c > 0),
        layout(training ? stack.training_ : stack.inference_),
        kept(training ? run.tape : run.workspace),
        work(run.workspace),
        host(layout.host_bytes == 0 ? kept : (training ? run.host_tape : stack.host_.span().data())),
        header(*reinterpret_cast<PassHeader*>(piece(host, layout.header))),
        index(words(host, layout.index)),
        offsets(words(host, layout.offsets)) {}

  StackPlan& plan;
  const RnnConfig& config;
  const Packed& weights;
  LayerBackend& glue;
  const Window& window;
  const std::int64_t t, n, h;     // t: of the window
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
  std::int64_t* const index;    // where header.lists lie
  std::int64_t* const offsets;  // [T + 1], ragged

  std::byte* at(const Pieces& pieces, std::int64_t i = 0) const { return piece(kept, pieces, i); }
  std::byte* work_at(const Pieces& pieces, std::int64_t i = 0) const { return piece(work, pieces, i); }
  static std::byte* piece(std::byte* base, const Pieces& p, std::int64_t i = 0) {
    return base + p.offset + p.bytes * static_cast<std::size_t>(i < p.count ? i : i % p.count);
  }
  static std::int64_t* words(std::byte* base, const Pieces& p, std::int64_t i = 0) {
    return reinterpret_cast<std::int64_t*>(piece(base, p, i));
  }
  template <class P>
  P* shift(P* data, std::int64_t elements) const {
    using Byte = std::conditional_t<std::is_const_v<P>, const std::byte, std::byte>;
    return data == nullptr ? nullptr : reinterpret_cast<Byte*>(data) + elements * element;
  }
  std::int64_t pair(std::int64_t layer, int direction) const { return layer * directions + direction; }
  bool reverse(int direction) const { return config.direction == Direction::kReverse || direction == 1; }
  // One of the L*D states of [L*D, N, width], the caller's, or of [L*D, R, width], ours.
  template <class P>
  P* state(P* all, std::int64_t layer, int direction, std::int64_t width) const {
    return shift(all, pair(layer, direction) * n * width);
  }
  void* our_state(const Pieces& all, std::int64_t layer, int direction, std::int64_t width) const {
    return shift(static_cast<void*>(at(all)), pair(layer, direction) * header.rows * width);
  }

  // States of a pair of layer and direction and of those that follow.
  struct States {
    std::int64_t first, count, width;
  };
  States h_states(std::int64_t layer, int direction) const { return {pair(layer, direction), states, h}; }
  States c_states(std::int64_t layer, int direction) const {
    return {pair(layer, direction), states, cell_width};
  }
  // Which of our rows reads the state that enters a row of the caller's, and which leaves its final one.
  enum class End : std::uint8_t { kEnters, kLeaves };
  const std::int64_t* end_of_rows(End end, std::int64_t pair) const {
    const bool first = (end == End::kEnters) != reverse(static_cast<int>(pair % directions));
    return header.ragged ? list(first ? header.lists.first : header.lists.last) : nullptr;
  }
  // [count, R, width] from [count, N, width]; what nothing enters, or from null: zeros.
  void take_states(void* ours, const void* theirs, End end, const States& s) const {
    if (header.rows > n) glue.copy_rows({ours, s.width}, {}, s.count * header.rows, s.width);
    for (std::int64_t i = 0; i < s.count; ++i) {
      glue.copy_rows({shift(ours, i * header.rows * s.width), s.width, end_of_rows(end, s.first + i)},
                     {shift(theirs, i * n * s.width), s.width}, n, s.width);
    }
  }
  // And back.
  void give_states(void* theirs, const void* ours, End end, const States& s) const {
    for (std::int64_t i = 0; i < s.count; ++i) {
      glue.copy_rows({shift(theirs, i * n * s.width), s.width},
                     {shift(ours, i * header.rows * s.width), s.width, end_of_rows(end, s.first + i)}, n,
                     s.width);
    }
  }

  // A list where glue finds it.
  const std::int64_t* list(std::int64_t start) const {
    return (layout.host_bytes == 0 ? index : words(kept, layout.index_sent)) + start;
  }
  // These are null where ours are the caller's, all in order.
  const std::int64_t* rows() const { return header.ragged ? list(header.lists.rows) : nullptr; }
  const std::int64_t* flat() const { return header.ragged ? list(header.lists.flat) : nullptr; }
  const std::int64_t* ended() const { return header.some_ended ? list(header.lists.ended) : nullptr; }
  const std::int64_t* ended_in(int direction) const {
    return header.some_ended ? list(header.lists.ended_in[reverse(direction)]) : nullptr;
  }
  // The steps as the layers see them, and as all of the caller's lie in its arrays.
  Sequence sequence() const {
    if (header.ragged) return {header.steps, header.live, 0, 1, offsets};
    return batch_major() ? Sequence{t, n, 1, t, nullptr} : Sequence{t, n, n, 1, nullptr};
  }
  bool batch_major() const { return config.layout == Layout::kBatchMajor; }
  Sequence in_caller() const {
    return batch_major() ? Sequence{window.all, n, 1, window.all, nullptr}
                         : Sequence{window.all, n, n, 1, nullptr};
  }
  std::int64_t flat_rows() const { return sequence().total(); }
  // Rows of a caller's array as flat() counts them; where it is null, from the window's first.
  template <class R>
  R in_window(R theirs) const {
    return header.ragged ? theirs : R{shift(theirs.data, window.first * n * theirs.ld), theirs.ld};
  }

  // The part of the caller's y or dy that is one direction's (or their merge's); no data: absent.
  template <class Void>
  BasicRows<Void> part(const BasicTensorView<Void>& y, const BasicTensorView<Void>& y_reverse,
                       int direction) const {
    const auto& view = config.merge == Merge::kNone && direction == 1 ? y_reverse : y;
    const BasicRows<Void> all{shift(view.data, config.merge == Merge::kConcat ? direction * h : 0),
                              output_size(config)};
    return last_only ? all : in_window(all);
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
  // The outputs to merge or hand out: every step of the last layer, or the states of rows that ended.
  Rows outputs(int direction, const ForwardArgs& args) const {
    return last_only ? last_state(direction) : y(top, direction, args);
  }
  Rows last_state(int direction) const {
    return {shift(at(layout.last), (first_of_top() + direction) * header.rows * h), h, ended_in(direction)};
  }
  // The last layer's first state among those of a call.
  std::int64_t first_of_top() const { return states - directions_a_call; }
  std::int64_t output_rows() const { return last_only ? header.ended : flat_rows(); }

  LayerCall layer_call(std::int64_t layer, int direction, const ForwardArgs& args) const {
    const std::int64_t i = pair(layer, direction);
    LayerCall call{weights,
                   {layer, reverse(direction)},
                   sequence(),
                   header.rows * h,
                   input(layer, args),
                   y(layer + layers_a_call - 1, direction, args),
                   nullptr,
                   nullptr,
                   {},
                   {},
                   nullptr,
                   work_at(layout.layer)};
    if (header.has_h0) call.h0 = our_state(layout.h0, layer, direction, h);
    if (header.has_c0) call.c0 = our_state(layout.c0, layer, direction, cell_width);
    if (training) call.saved = at(layout.saved, i / states);
    call.masks.groups = groups();
    call.masks.group_rows = header.rows;
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
    if (!header.ragged)
      return one_cell(in_window(BasicRows<Void>{theirs.data, directions * cell_width}), direction);
    return one_cell(BasicRows<Void>{work_at(layout.c_steps), directions * cell_width}, direction);
  }
  template <class R>
  R one_cell(R all, int direction) const {
    return {shift(all.data, direction * cell_width), all.ld};
  }
  int groups() const { return config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1; }
  // What a layer reads, [P, in].
  ConstRows input(std::int64_t layer, const ForwardArgs& args) const {
    if (layer == 0) {
      const std::int64_t in = config.input_size;
      return header.ragged ? ConstRows{at(layout.x), in} : in_window(ConstRows{args.x.data, in});
    }
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
    for (std::int64_t s = 0; s < seq.t; ++s) {
      glue.merge_rows(Merge::kMul, step(to, seq, s), step(from, seq, s), mask, seq.rows(s), out);
    }
  }

  // The rows of one step.
  template <class R>
  R step(R rows, const Sequence& seq, std::int64_t s) const {
    return {shift(rows.data, seq.start(s) * rows.ld), seq.row_stride * rows.ld, rows.index};
  }
  // Our flat rows to a caller's [T, N, width] or [N, T, width], whose other steps become zeros.
  void scatter(Rows to, ConstRows from, std::int64_t width) const {
    const std::int64_t count = flat_rows();
    if (header.ragged) {
      to.index = flat() + count;
      glue.copy_rows(to, {}, t * n - count, width);
    }
    to.index = flat();
    glue.copy_rows(to, from, count, width);
  }
  // Outputs of a direction, likewise, but that skipped steps may repeat them.
  void expand(Rows to, ConstRows from, int direction, std::int64_t width) const {
    scatter(to, from, width);
    if (!header.ragged || !plan.repeats()) return;
    const int kind = reverse(direction);
    to.index = list(header.lists.repeat_to[kind]);
    from.index = list(header.lists.repeat_from[kind]);
    glue.copy_rows(to, from, words(host, layout.repeat_starts, kind)[t], width);
  }
  // Its gradient, dense: each of our rows gets that of its step and of those that repeat it.
  void fold(Rows to, ConstRows from, int direction, std::int64_t width) const {
    from.index = flat();
    glue.copy_rows(to, from, flat_rows(), width);
    if (!header.ragged || !plan.repeats() || from.data == nullptr) return;
    const int kind = reverse(direction);
    const std::int64_t* const starts = words(host, layout.repeat_starts, kind);
    for (std::int64_t i = 0; i < t && starts[i] < starts[t]; ++i) {
      to.index = list(header.lists.repeat_from[kind] + starts[i]);
      from.index = list(header.lists.repeat_to[kind] + starts[i]);
      glue.merge_rows(Merge::kSum, to, to, from, starts[i + 1] - starts[i], width);
    }
  }
};

}  // namespace rondo
