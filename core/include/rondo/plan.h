// Level two: passes on the caller's memory. Sizes are asked for first; after planning a call on the CPU
// neither allocates nor locks (whole-sequence products go to a BLAS library, which may; step never does). On
// a GPU it does not allocate, and takes locks for moments: the libraries' handles are for one thread at a
// time.
#pragma once

#include "rondo/parameters.h"

namespace rondo {

class BackendPlan;
class Packed;

// An immutable copy of parameters in the order in which the kernels read them. Cheap to move,
// shared by any number of plans and threads. Made by Plan::pack.
class RONDO_API PackedWeights {
 public:
  PackedWeights() = default;
  bool empty() const { return !packed_; }

 private:
  friend class Plan;
  friend class Rnn;
  std::shared_ptr<const Packed> packed_;
};

// What a training forward leaves for its one backward. Holds views of x, and of y where the last layer's
// outputs can be read from it: these must live unchanged until backward, and under checkpoint_every supplied
// dropout masks too. All else is copied. Misuse (used twice, another plan, other weights) is an
// InvalidArgument.
class RONDO_API Tape {
 public:
  Tape();                                      // owns its memory, which grows as needed
  explicit Tape(std::span<std::byte> memory);  // Plan::tape_bytes, 64-byte aligned, the caller's; a plan with
                                               // a stream takes no other
  ~Tape();
  Tape(Tape&&) noexcept;
  Tape& operator=(Tape&&) noexcept;
  Shape x_shape() const;  // of the recorded forward pass; of rank 0 when there is none

 private:
  friend class Plan;
  friend class Rnn;
  struct Record;
  std::unique_ptr<Record> record_;
};

// Dropout in a training pass. Masks are drawn by Philox 4x32-10 from (seed, offset): give every
// batch a new offset. A mask that is supplied holds factors (0 or 1 / (1 - rate)) and replaces the drawn
// one; its rate in RnnConfig has to be above 0, and is not read. Gm is G under GateMasks::kPerGate, else 1.
struct DropoutArgs {
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;
  std::span<const ConstTensorView> input_masks;      // empty, or L*D views [Gm, N, in of the layer]
  std::span<const ConstTensorView> recurrent_masks;  // empty, or L*D views [Gm, N, H]
  // Empty, or L*D views [T, N, H] or [N, T, H] of 0, where the state before is kept, and 1.
  std::span<const ConstTensorView> zoneout_h_masks, zoneout_c_masks;
  std::span<const ConstTensorView> dropconnect_masks;  // empty, or L*D views [G*H, H], as weight_hh
  // Empty, or L-1 views: [N, W] under kPerSequence, else [T, N, W] or [N, T, W]; the next layer reads W.
  std::span<const ConstTensorView> layer_masks;
};

// Outputs must not overlap inputs or one another, except that h_n may be h0 and c_n may be c0. On a GPU every
// array starts at a multiple of 16 bytes, here as everywhere.
struct ForwardArgs {
  ConstTensorView x;        // [T, N, I], or [N, T, I] batch-major
  ConstTensorView h0;       // [L*D, N, H]; absent: zeros, not multiplied on a CPU (nor by Inf or NaN)
  ConstTensorView c0;       // as h0; LSTM only
  ConstTensorView lengths;  // [N], i32 or i64, on the host, any order, 0..T; absent: all T
  // Both u8 [T, N], or [N, T] batch-major, on the host; absent: no such steps. A row skips the steps with mask
  // 0: the state stays as it is, the output is as RnnConfig::masked_outputs says; Outputs::kLast is of the last
  // step that was not skipped. A reset that is not 0 cuts its row before the step, in both directions: the state
  // that crosses there, also h0 and c0, is replaced by zeros. Needs PlanOptions::resets.
  ConstTensorView mask, resets;
  TensorView y;             // [T, N, O] or [N, T, O]; [N, O] under Outputs::kLast; absent: not wanted
  TensorView y_reverse;     // Merge::kNone only: the reverse direction, y being the forward one
  TensorView h_n;           // [L*D, N, H]; absent: not wanted
  TensorView c_n;           // as h_n; LSTM only
  // [T, N, D*H] or [N, T, D*H], directions side by side; needs RnnConfig::cell_sequence; as y in the padding.
  TensorView c;
  DropoutArgs dropout;      // read when a tape is given
  Tape* tape = nullptr;     // given: training, dropout on. null: inference
  std::span<std::byte> workspace;  // Plan::workspace_bytes, 64-byte aligned
};

// Gradients of a scalar loss. Parameter gradients ACCUMULATE, all others are overwritten.
struct BackwardArgs {
  ConstTensorView dy;          // as y; absent: zero
  ConstTensorView dy_reverse;  // as y_reverse
  ConstTensorView dh_n;        // [L*D, N, H]; absent: zero
  ConstTensorView dc_n;        // LSTM only
  ConstTensorView dc;          // as c; absent: zero
  TensorView dx;               // as x; absent: not wanted. Exactly 0 at padded steps
  TensorView dh0;              // [L*D, N, H]; absent: not wanted; may be dh_n
  TensorView dc0;              // as dh0; LSTM only; may be dc_n
  TensorView dparameters;      // [parameter_count], accumulated; absent: not wanted
  std::span<std::byte> workspace;
};

// With a stream, every pass and pack of the plan is ordered on it, and passes do not wait for the device,
// except that calls with lengths may wait for earlier sends. So arrays, weights and tapes live until the
// stream has done with them, and the stream lives for as long as the plan, its weights and the tapes that
// await backward. To use weights on another stream than the one they were packed on, have that one wait for
// it first; their memory is freed in the order of the one that packed them.
// A call without lengths can be captured in a CUDA graph, once a call of the same sizes and phase has run;
// planning and packing cannot. The plan, the weights, the workspace, the tape and all arrays have to outlive
// the graph.
struct PlanOptions {
  Phase phase = Phase::kInference;  // kTraining also runs inference
  std::int64_t max_t = 1;           // the longest sequence, >= 1
  std::int64_t max_n = 1;           // the largest batch, >= 0
  Device device{};
  void* stream = nullptr;  // a cudaStream_t of the device; null: the backend's own. None on the CPU
  bool resets = false;     // calls may have resets: memory for a state at every step
  bool ragged = true;      // calls may have lengths or a mask: memory for copies of rows; with resets always
};

// A configuration made ready for one device and for all sizes up to max_t and max_n.
// Not for concurrent use; two plans are independent and may share PackedWeights.
class RONDO_API Plan {
 public:
  Plan(const RnnConfig& config, const PlanOptions& options);
  Plan(Plan&&) noexcept = default;
  Plan& operator=(Plan&&) noexcept = default;

  const RnnConfig& config() const { return config_; }
  const PlanOptions& options() const { return options_; }
  std::size_t workspace_bytes() const;  // for every call within max_t and max_n
  std::size_t tape_bytes() const;
  std::string path() const;  // which kernels or library calls it runs, for explain()

  PackedWeights pack(ConstTensorView parameters) const;  // [parameter_count], copied
  void forward(const PackedWeights& weights, const ForwardArgs& args);
  void backward(const PackedWeights& weights, Tape& tape, const BackwardArgs& args);
  bool recorded(const Tape& tape) const;  // whether the tape is from this plan
  bool awaits_backward() const;           // whether a tape of it has not been used or destroyed yet

 private:
  friend class Rnn;
  RnnConfig config_;
  PlanOptions options_;
  std::shared_ptr<BackendPlan> impl_;  // shared with the tapes that await backward
};

}  // namespace rondo
