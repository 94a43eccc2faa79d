// Level one: a recurrent network that owns its parameters, gradients, plans and memory.
#pragma once

#include "rondo/plan.h"

namespace rondo {

// A state carried from call to call: h, and c for an LSTM. Zeros at first; an empty one takes its size from
// the first forward pass that it is given to, or from Rnn::make_state.
class RONDO_API State {
 public:
  TensorView h() { return h_; }  // [L*D, N, H or P]
  TensorView c() { return c_; }  // absent unless LSTM
  ConstTensorView h() const { return h_; }
  ConstTensorView c() const { return c_; }
  void reset();                    // every row to zero
  void reset_row(std::int64_t n);  // one row of the batch

 private:
  friend class Rnn;
  Tensor h_, c_;
  // For steps of some rows: these rows' h and c side by side, and which step saw each row last.
  Tensor chosen_h_, chosen_c_;
  std::vector<std::uint64_t> seen_;
  std::uint64_t steps_ = 0;
};

struct ForwardOptions {
  ConstTensorView h0;       // [L*D, N, H]; absent: zeros, not multiplied on a CPU (nor by Inf or NaN)
  ConstTensorView c0;       // as h0; LSTM only
  ConstTensorView lengths;  // [N], i32 or i64; absent: all T
  ConstTensorView mask;     // u8 [T, N] or [N, T], 0: the step is skipped; see ForwardArgs
  ConstTensorView resets;   // likewise, not 0: the row starts anew before the step, from zeros
  State* state = nullptr;   // stateful use: read in place of h0 and c0, left at the final state
  DropoutArgs dropout;      // read when tape is given
  Tape* tape = nullptr;     // given: training. It keeps views of x and of the returned y
};

struct ForwardResult {
  Tensor y;          // [T, N, O], [N, T, O], or [N, O] under Outputs::kLast
  Tensor y_reverse;  // Merge::kNone only
  Tensor h_n;        // [L*D, N, H]
  Tensor c_n;        // LSTM only
  Tensor c;          // [T, N, D*H] or [N, T, D*H] under RnnConfig::cell_sequence
};

struct BackwardOptions {
  ConstTensorView dy;          // as y; absent: zero
  ConstTensorView dy_reverse;  // as y_reverse
  ConstTensorView dh_n;        // [L*D, N, H]; absent: zero
  ConstTensorView dc_n;        // LSTM only
  ConstTensorView dc;          // as c; absent: zero
  bool want_dx = true;         // false saves a product when x is data
};

struct BackwardResult {
  Tensor dx;   // as x; absent when not wanted
  Tensor dh0;  // [L*D, N, H]
  Tensor dc0;  // LSTM only
};

// Not for concurrent use; two networks are independent. Calls are complete on return.
class RONDO_API Rnn {
 public:
  // The device is the choice, else RONDO_DEVICE, else found by the cost model when first planned.
  // Parameters start as Initializer::kPyTorch with seed 0.
  explicit Rnn(const RnnConfig& config, DeviceChoice device = {});
  ~Rnn();
  Rnn(Rnn&&) noexcept;
  Rnn& operator=(Rnn&&) noexcept;

  const RnnConfig& config() const;

  // The flat parameters [parameter_count], and one of them by name. Taking a mutable view, like
  // parameters_changed(), has them packed anew at the next call; keep no such view across calls
  // without saying parameters_changed() after each change.
  TensorView parameters();
  TensorView parameter(const std::string& name);  // an unknown name: InvalidArgument that lists them
  ConstTensorView parameters() const;
  void parameters_changed();
  void initialize(Initializer how, std::uint64_t seed);
  // Accumulated by backward until zero_gradients(). On a GPU the view is of a copy, to be taken anew after
  // each backward.
  TensorView gradients();
  TensorView gradient(const std::string& name);
  void zero_gradients();

  // x: [T, N, I], or [N, T, I] batch-major.
  ForwardResult forward(ConstTensorView x, const ForwardOptions& options = {});
  BackwardResult backward(Tape& tape, const BackwardOptions& options);

  // Streaming, forward direction only. make_state plans; on the CPU step then neither allocates nor locks. It
  // changes the state in place. x_t: [N, I]. Returns the last layer's h, [N, H], valid until the next
  // step of this state. Equal to forward over the whole sequence to within rounding.
  State make_state(std::int64_t n);
  ConstTensorView step(const ConstTensorView& x_t, State& state);
  // The same of some rows of the state, whose others stay as they are: live streams that join (after
  // reset_row), pause and leave share each step. x_t: [n, I]; rows: [n], i32 or i64, on the host, each at most
  // once; absent: all. Returns [n, H]. A row's numbers do not depend on its neighbours.
  ConstTensorView step(const ConstTensorView& x_t, State& state, const ConstTensorView& rows);

  Device device() const;
  // The device, the reason and the predicted times of the plan that chose it, the first; the latest's path.
  // On a GPU also how often gradients and parameters have crossed to and from the host.
  std::string explain() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo
