// Composes a stack out of single layers: layers, directions, merges, dropout, ragged rows, layouts.
// A backend supplies LayerBackend; StackPlan is then its BackendPlan.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "core/backend.h"
#include "core/memory.h"
#include "core/philox.h"

namespace rondo {

// Which rows are live at each step, and where (step s, row r) lies in a matrix of P flat rows.
// Uniform: every row lives for all t steps. Ragged: rows are sorted by falling length, rows of length 0
// are left out, and step s holds rows 0 .. offsets[s+1] - offsets[s] - 1 (a packed sequence).
struct Sequence {
  std::int64_t t = 0;
  std::int64_t n = 0;  // rows with at least one step
  std::int64_t step_stride = 0;
  std::int64_t row_stride = 1;
  const std::int64_t* offsets = nullptr;  // [t + 1]; null: uniform

  std::int64_t start(std::int64_t s) const { return offsets ? offsets[s] : s * step_stride; }
  std::int64_t rows(std::int64_t s) const { return offsets ? offsets[s + 1] - offsets[s] : n; }
  std::int64_t total() const { return offsets ? offsets[t] : t * n; }
};

// What one call of a backend computes: one direction of one layer, both directions of one layer, or all of
// the stack. Joined directions lie side by side in y; a stack can be joined where each layer reads just that.
enum class Joins : std::uint8_t { kNothing, kDirections, kStack };

// One direction of one layer; of a joined call, the first.
struct LayerId {
  std::int64_t layer = 0;
  bool reverse = false;
};

// Rows of a matrix: row i starts at data + i * ld elements, or with an index at data + index[i] * ld.
template <class Void>
struct BasicRows {
  Void* data = nullptr;
  std::int64_t ld = 0;
  const std::int64_t* index = nullptr;
  template <class Const>
  requires(std::is_same_v<Const, const void> && !std::is_const_v<Void>) operator BasicRows<Const>() const {
    return {data, ld, index};
  }
};
using Rows = BasicRows<void>;
using ConstRows = BasicRows<const void>;

// Dropout factors of one layer and direction, one mask for all steps but for zoneout. A group is a gate under
// GateMasks::kPerGate, else there is one.
struct MaskFactors {
  const void* input = nullptr;      // [groups, group_rows, in]; null: none
  const void* recurrent = nullptr;  // [groups, group_rows, H]; null: none
  const void* connect = nullptr;    // [G*H, H], of R; null: none
  // [P, H], dense: how much of the new state replaces the old one, 0 or 1; null: in training all of it, in
  // inference 1 less the rate.
  const void* zoneout_h = nullptr;
  const void* zoneout_c = nullptr;
  int groups = 1;
  std::int64_t group_rows = 0;  // the batch, rows without a step included
};

// What the two passes of one layer share. Flat rows P are those of `sequence`, n its rows with a step. A call
// has S states, one for each layer and direction that it computes: 1 under Joins::kNothing. Each is [n, H],
// the next one state_stride elements on. A joined call always has y and dx, both dense, no masks and no c.
// Where h is projected, shapes have its size for H, but those of c.
struct LayerCall {
  const Packed& weights;
  LayerId id;
  Sequence sequence;
  std::int64_t state_stride;
  ConstRows x;  // [P, in]
  Rows y;  // [P, H or D*H]: written by forward, null when only the final state is wanted; read by backward
  const void* h0;  // [S, n, H]; null: zeros
  const void* c0;  // LSTM
  Rows c;          // [P, H], cell_sequence: written by forward; null: not wanted
  MaskFactors masks;
  std::byte* saved;  // of a training pass: written by forward, consumed by backward; null: inference
  std::byte* workspace;
};
struct LayerForward : LayerCall {
  void* h_n;  // [S, n, H]; null: not wanted; may be h0
  void* c_n;
};
struct LayerBackward : LayerCall {
  ConstRows dy;      // as y; null: zero
  ConstRows dc;      // [P, H], cell_sequence; null: zero
  const void* dh_n;  // [S, n, H]; null: zero
  const void* dc_n;
  Rows dx;             // [P, in]; null: not wanted
  bool accumulate_dx;  // the other direction has written dx
  void* dh0;           // [S, n, H]; null: not wanted; may be dh_n
  void* dc0;
  void* dparameters;  // the whole flat array, accumulated; null: not wanted
};

// Where a mask's values come from: four units of (step t, row n) are one Philox block, so that every device
// draws the same.
struct MaskDraw {
  std::array<std::uint32_t, 2> key;  // of (seed, offset)
  std::uint32_t stream;              // kind, gate, direction and layer
  double rate;
  double kept;  // the factor that is not 0
  // The number of each row (null: first + i), which is t * batch + n, or, with steps, n * steps + t.
  const std::int64_t* index;
  std::int64_t batch, steps;
  std::int64_t first = 0;
  struct Place {
    std::uint32_t t, n;
  };
  constexpr Place place(std::int64_t i) const {
    const std::int64_t number = index == nullptr ? first + i : index[i];
    return {static_cast<std::uint32_t>(steps > 0 ? number % steps : number / batch),
            static_cast<std::uint32_t>(steps > 0 ? number / steps : number % batch)};
  }
  constexpr std::array<std::uint32_t, 4> bits(std::int64_t i, std::int64_t unit_block) const {
    const Place at = place(i);
    return philox4x32({static_cast<std::uint32_t>(unit_block), at.n, at.t, stream}, key);
  }
};

// What a backend writes. All pointers lie on its device; Rows are of the configuration's dtype.
class LayerBackend {
 public:
  virtual ~LayerBackend() = default;
  virtual Joins joins() const { return Joins::kNothing; }
  // Enough for every call, with up to so many flat rows of a batch of n.
  virtual std::size_t saved_bytes(std::int64_t flat_rows) const = 0;
  virtual std::size_t workspace_bytes(std::int64_t flat_rows, std::int64_t n) const = 0;
  virtual std::unique_ptr<Packed> pack(const void* parameters) const = 0;
  virtual void forward(const LayerForward& call) = 0;
  virtual void backward(const LayerBackward& call) = 0;
  // Of all of the stack, see BackendPlan.
  virtual Steps* steps(const Packed&, std::int64_t /*n*/, std::byte* /*workspace*/) { return nullptr; }
  virtual std::string path() const = 0;

  // Whether the host reads and writes this memory as its own; else send_index copies an index there.
  virtual bool on_host() const = 0;
  virtual void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) = 0;
  // Before any pass: the most that send_index will be given.
  virtual void reserve_index(std::int64_t) {}

  // Glue: `count` rows of `width` elements.
  // to = from; zeros where from has no data.
  virtual void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) = 0;
  // to = a + b, (a + b) / 2 or a * b; `to` may be either; b without data is zeros.
  virtual void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                          std::int64_t width) = 0;
  // to[i][j] = 0 with the rate's probability, else kept.
  virtual void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) = 0;
};

// Composes whole passes. What a training forward keeps for backward lies in the tape, the rest (in
// inference: all) in the workspace. Under checkpoints the stack runs window by window of the steps, in the
// order of its direction: the tape holds the states between windows, and what one window keeps.
class StackPlan final : public BackendPlan {
 public:
  StackPlan(const Request& request, std::unique_ptr<LayerBackend> layers);
  std::size_t workspace_bytes() const override {
    return std::max(inference_.work_bytes, training_.work_bytes);
  }
  std::size_t tape_bytes() const override { return training_.kept_bytes; }
  std::size_t host_tape_bytes() const override { return training_.host_bytes; }
  std::unique_ptr<Packed> pack(const void* parameters) const override { return layers_->pack(parameters); }
  void forward(const Packed& weights, const ForwardCall& call) override;
  void backward(const Packed& weights, const BackwardCall& call) override;
  Steps* steps(const Packed& weights, std::int64_t n, std::byte* workspace) override {
    return layers_->steps(weights, n, workspace);
  }
  std::string path() const override { return layers_->path(); }

 private:
  // Equal pieces of a block of memory, by number; when they are fewer than the numbers they serve in turn.
  struct Pieces {
    std::size_t offset = 0, bytes = 0;
    std::int64_t count = 0;
  };
  // Memory of a pass at the plan's largest sizes. l: by layer, d: by direction, i: by layer * D + direction.
  // T: of a window. R: the layers' rows, N but for resets.
  struct MemoryLayout {
    // On the host: PassHeader, the lists of IndexLists, [T + 1], 2 times [T + 1].
    Pieces header, index, offsets, repeat_starts;
    // Of a whole pass under checkpoints: ForwardArgs, what they view, [N], the window in which a row has its
    // last step.
    Pieces args, lengths, mask, resets, views, ends_in;
    std::size_t host_bytes;       // 0 where kept memory is the host's, and holds these too
    Pieces index_sent;            // elsewhere
    Pieces h_between, c_between;  // [L*D, N, H], before each window; in inference one serves in turn
    Pieces h0, c0;                // [L*D, R, H]
    Pieces x;                     // [P, I], ragged
    Pieces y;                     // by call's last layer: [P, D*H], or D times [P, H] when the merge reduces
    Pieces input;                 // l - 1: [P, O], what layer l reads where that is not y of l - 1
    Pieces last;                  // [D or S, R, H], the last layer's final states under Outputs::kLast
    Pieces layer_mask;            // l: [P or R, O], on the output of layer l
    Pieces input_mask, recurrent_mask, connect_mask;  // i
    Pieces zoneout_h, zoneout_c;                      // i: [P, H]
    Pieces saved;                                     // by call
    std::size_t kept_bytes;
    Pieces layer, h, c;       // the backend's; [S, R, H]
    Pieces h_carry, c_carry;  // [L*D, N, H], the gradients between windows
    Pieces merged;            // [T*N, O], or [N, O] under Outputs::kLast
    Pieces d_parts;           // d: [P, H]
    Pieces d_in;              // at most two of [P, I or O]
    Pieces c_steps;           // [P, D*H], cell_sequence, ragged: c of every step, or its gradient
    std::size_t work_bytes;
  };
  // The steps that one pass runs: first .. first + t - 1 of the caller's `all`; and its memory.
  struct Window {
    std::int64_t first, t, all, n;
    std::byte *tape, *host_tape;  // null: inference
    std::byte* workspace;
    std::int64_t number = 0;  // in the order in which they run forward
    bool again = false;       // for backward, after all have run
  };
  struct Pass;
  struct ForwardPass;
  struct BackwardPass;
  struct Compaction;
  struct Segment;
  struct Windows;

  void run(const Packed& weights, const ForwardArgs& args, const Window& window);
  void run_backward(const Packed& weights, const BackwardArgs& args, const ForwardArgs& forward,
                    const Window& window);
  MemoryLayout lay_out(bool training) const;
  class Layouter;
  std::int64_t index_words() const;
  bool windowed() const { return window_ < max_t_; }
  // Whether outputs of skipped steps repeat those before them.
  bool repeats() const {
    return config_.masked_outputs == MaskedOutputs::kRepeat &&
           (config_.outputs == Outputs::kSequence || config_.cell_sequence);
  }
  bool reduces() const;  // the merge makes H values of both directions
  std::int64_t layers_a_call() const { return joins_ == Joins::kStack ? config_.num_layers : 1; }
  std::int64_t directions_a_call() const { return joins_ == Joins::kNothing ? 1 : num_directions(config_); }
  std::int64_t states_a_call() const { return layers_a_call() * directions_a_call(); }

  RnnConfig config_;
  Phase phase_;
  std::int64_t max_t_, max_n_;
  std::int64_t window_;    // the most steps that run at once
  bool ragged_;            // calls may have rows that end early or leave steps out
  std::int64_t max_rows_;  // R: a reset at the first step cuts off a row without steps
  std::unique_ptr<LayerBackend> layers_;
  Joins joins_;
  MemoryLayout inference_{}, training_{};
  AlignedMemory host_;      // of an inference pass
  AlignedMemory segments_;  // [R], while a pass sorts them
};

}  // namespace rondo
