// Composes a stack out of single layers: layers, directions, merges, dropout, ragged rows, layouts.
// A backend supplies LayerBackend; StackPlan is then its BackendPlan.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"
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

// One direction of one layer.
struct LayerId {
  std::int64_t layer = 0;
  bool reverse = false;
};

// A dense block of rows: row i starts at data + i * ld elements.
struct Rows {
  void* data = nullptr;
  std::int64_t ld = 0;
};
struct ConstRows {
  const void* data = nullptr;
  std::int64_t ld = 0;
};

// Masks hold factors; a group is a gate under GateMasks::kPerGate, else there is one.
struct LayerMasksIn {
  const void* input = nullptr;      // [groups, n, in]; null: none
  const void* recurrent = nullptr;  // [groups, n, H]; null: none
  int input_groups = 1;
  int recurrent_groups = 1;
  std::int64_t group_rows = 0;  // rows from one group to the next (the batch, length-0 rows included)
};

struct LayerForward {
  const Packed& weights;
  LayerId id;
  Sequence sequence;
  ConstRows x;             // [P, in]
  Rows y;                  // [P, H]; null: only the final state is wanted
  const void* h0;          // [n, H]; null: zeros
  const void* c0;          // LSTM
  void* h_n;               // [n, H]; null: not wanted; may be h0
  void* c_n;
  LayerMasksIn masks;
  std::byte* saved;        // null: inference
  std::byte* workspace;
};

struct LayerBackward {
  const Packed& weights;
  LayerId id;
  Sequence sequence;
  ConstRows x;             // as in forward
  ConstRows y;             // what forward wrote
  const void* h0;
  const void* c0;
  LayerMasksIn masks;
  std::byte* saved;        // consumed
  ConstRows dy;            // [P, H]; null: zero
  const void* dh_n;        // [n, H]; null: zero
  const void* dc_n;
  Rows dx;                 // [P, in]; null: not wanted
  bool accumulate_dx;      // the other direction has written dx
  void* dh0;               // [n, H]; null: not wanted; may be dh_n
  void* dc0;
  void* dparameters;       // the whole flat array, accumulated; null: not wanted
  std::byte* workspace;
};

// Where a mask's values come from: four units at (step t, row, unit / 4) are one Philox block, so that
// every device draws the same.
struct MaskDraw {
  std::array<std::uint32_t, 2> key;  // of (seed, offset)
  std::uint32_t stream;              // kind, gate, direction and layer
  double rate;
  std::array<std::uint32_t, 4> bits(std::int64_t t, std::int64_t row, std::int64_t unit_block) const {
    return philox4x32({static_cast<std::uint32_t>(unit_block), static_cast<std::uint32_t>(row),
                       static_cast<std::uint32_t>(t), stream}, key);
  }
};

// What a backend writes. All pointers lie on its device; Rows are of the configuration's dtype.
class LayerBackend {
 public:
  virtual ~LayerBackend() = default;
  virtual std::size_t saved_bytes(LayerId id, std::int64_t flat_rows, std::int64_t n) const = 0;
  virtual std::size_t workspace_bytes(LayerId id, std::int64_t flat_rows, std::int64_t n) const = 0;
  virtual std::unique_ptr<Packed> pack(const void* parameters) const = 0;
  virtual void forward(const LayerForward& call) = 0;
  virtual void backward(const LayerBackward& call) = 0;
  virtual std::string path() const = 0;

  // Glue. count rows of width elements each.
  // to[i] = from[index[i]]; index null: i. from null: zeros.
  virtual void gather_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                           std::int64_t width) = 0;
  // to[index[i]] = from[i].
  virtual void scatter_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                            std::int64_t width) = 0;
  // to = merge(a, b); sum, mul or ave.
  virtual void merge(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) = 0;
  virtual void merge_backward(Merge how, ConstRows dy, ConstRows a, ConstRows b, Rows da, Rows db,
                              std::int64_t count, std::int64_t width) = 0;
  // to = from * mask; to may be from.
  virtual void scale_rows(Rows to, ConstRows from, ConstRows mask, std::int64_t count, std::int64_t width) = 0;
  // to = a + b; to may be either.
  virtual void add_rows(Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) = 0;
  // to[i][j]: 0 with the rate's probability, else 1 / (1 - rate), drawn at (t, row[i], j); row null: i.
  virtual void draw_mask(Rows to, const MaskDraw& draw, std::int64_t t, const std::int64_t* row,
                         std::int64_t count, std::int64_t width) = 0;
};

// Composes whole passes. Memory has two parts: what a training forward keeps for backward lies in the
// tape (in inference: in the workspace), the rest in the workspace.
class StackPlan final : public BackendPlan {
 public:
  StackPlan(const Request& request, std::unique_ptr<LayerBackend> layers);
  std::size_t workspace_bytes() const override { return work_.bytes; }
  std::size_t tape_bytes() const override { return taped_.bytes; }
  std::unique_ptr<Packed> pack(const void* parameters) const override { return layers_->pack(parameters); }
  void forward(const Packed& weights, const ForwardCall& call) override;
  void backward(const Packed& weights, const BackwardCall& call) override;
  std::string path() const override { return layers_->path(); }

 private:
  // Byte offsets of what one pass keeps, for the plan's largest sizes. Index l: layer; i: layer * D + direction.
  struct KeptLayout {
    std::size_t header, lengths, rows, offsets, h0, c0, x;
    std::vector<std::size_t> y;      // l: [P, D*H], or D times [P, H] under a reducing merge
    std::vector<std::size_t> input;  // l: [P, O], what layer l reads, where that is not layer l-1's y
    std::vector<std::size_t> layer_mask;                     // l: [P or n, O], on the output of layer l
    std::vector<std::size_t> input_mask, recurrent_mask, saved;  // i
    std::size_t bytes;
  };
  struct WorkLayout {
    std::size_t kept;            // an inference pass's KeptLayout
    std::size_t layer;           // the backend's
    std::size_t h, c, last;      // [N, H], [N, H], D times [N, H]
    std::size_t merged;          // [P, O]
    std::size_t d_in[2], d_parts;  // [P, max(I, O)], D times [P, H]
    std::size_t bytes;
  };
  struct Pass;
  struct ForwardPass;
  struct BackwardPass;

  KeptLayout lay_out_kept(bool training) const;
  WorkLayout lay_out_work() const;
  bool reduces() const;  // the merge joins both directions into H values

  RnnConfig config_;
  Phase phase_;
  std::int64_t max_t_, max_n_;
  std::unique_ptr<LayerBackend> layers_;
  KeptLayout taped_{}, untaped_{};
  WorkLayout work_{};
};

}  // namespace rondo
