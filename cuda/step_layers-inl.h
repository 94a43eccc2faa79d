// One layer in one direction by products and pointwise launches, step by step: the path that runs every
// configuration. Whatever it asks of a device goes through a Runtime, see cuda/runtime.h.
//
// Launches a step, forward and backward alike: one product with R and one pointwise, or two of each under GRU
// reset_before and with a projection. Recurrent masks per gate make that a product for each of the G gates,
// with as many pointwise launches as without. The step that backward meets first has no gradient to multiply
// yet; the gradient of h0 takes one of each after the last. Each normalisation of layer_norm, of R h and of
// an LSTM's c, is three pointwise launches, and the latter has one more around it.
#pragma once

#include <cmath>
#include <string>
#include <utility>

#include "core/gate_order.h"
#include "cuda/glue-inl.h"
#include "cuda/layer_norm-inl.h"
#include "cuda/lstm_general-inl.h"
#include "cuda/sequence-inl.h"
#include "cuda/weights-inl.h"

namespace rondo::cuda {

template <class T, class Runtime>
class StepLayers final : public Glue<T, Runtime> {
 public:
  // why: what is told of the choice of this path.
  StepLayers(const Request& request, std::shared_ptr<Runtime> runtime, std::string why = "")
      : Glue<T, Runtime>(std::move(runtime)),
        why_(std::move(why)),
        config_(request.config),
        phase_(request.phase),
        max_t_(request.max_t),
        order_(gate_order(config_)),
        h_(config_.hidden_size),
        s_(state_size(config_)),
        general_(has_cell_options(config_) || config_.layer_norm) {
    this->reserve_index(max_t_ + 1);  // for on_device
  }
  std::size_t saved_bytes(std::int64_t flat_rows) const override {
    Arena arena(nullptr);
    saved(arena, flat_rows);
    return arena.used();
  }
  std::size_t workspace_bytes(std::int64_t flat_rows, std::int64_t n) const override {
    const std::int64_t in = std::max(config_.input_size, layer_input_size(config_, 1));
    Arena inference(nullptr), training(nullptr);
    memory(inference, in, flat_rows, n, false);
    if (phase_ == Phase::kTraining) memory(training, in, flat_rows, n, true);
    return std::max(inference.used(), training.used());
  }
  std::unique_ptr<Packed> pack(const void* parameters) const override {
    return std::make_unique<Weights<T, Runtime>>(config_, phase_, parameters, owner_);
  }
  void forward(const LayerForward& call) override;
  void backward(const LayerBackward& call) override;
  std::string path() const override {
    return "a product and a pointwise kernel a step" + (why_.empty() ? "" : ": " + why_);
  }

 private:
  using Glue<T, Runtime>::owner_;
  using Glue<T, Runtime>::runtime_;

  // layer_norm: what one normalisation leaves for backward. In inference moments alone, of the rows at work.
  struct Normal {
    T* n;                 // [P][width]
    Moments<T>* moments;  // [P]
  };
  // What training leaves for backward, of P flat rows.
  struct Saved {
    T* gates;        // [P][columns * H]: activations, then gradients of the pre-activations
    T* c;            // [P][H], LSTM
    T* unprojected;  // [P][H], what a projection multiplied
    Normal normal_x, normal_h, normal_c;  // of W x, of R h, and of an LSTM's c
  };
  struct Memory {
    T* h;                   // [n][S]: states, where the caller does not want the last
    T* c;                   // [n][H]: likewise; backward: the gradient of what a projection multiplied
    T* sums;                // [n][G * H], or backward [G][n][S]: products with R; [n][S], with weight_hr
    T* unprojected;         // [n][H], inference with a projection
    T* rh;                  // [n][H], inference of reset_before
    T* gates;               // [P][G * H], inference only
    std::int64_t* offsets;  // [t + 1], ragged
    T* c_read;              // [n][H], layer_norm of an LSTM
    T* norm_parts;          // [P][chunks of G * H][2], layer_norm
    Moments<T>* moments;    // [P], inference with layer_norm
    // Training only.
    T *carry, *dc;     // [n][S], [n][H]: gradients on their way to the step before, where d h_0 is not wanted
    T* h_masked;       // [groups][n][S]
    T* x_masked;       // [P][in], what W multiplied; then d loss / d of it
    T* h_in;           // [P][S], what R multiplied
    T* chunks;         // [chunks of P][columns * H], of biases' gradients
    T* d_projected;    // [P][S], of a projection's results
    T* connected;      // [G * H][S], dropconnect: R times its mask; then d loss / d of it
    T* peephole_sums;  // [n][3 * H]
    T* peephole_chunks;       // [chunks of n][3 * H]
    T* d_sums;                // [P][G * H], layer_norm: d loss / d R h, then d W x
    T* d_read;                // [P][H], of an LSTM: d loss / d of what its output function reads
    GradientMeans<T>* means;  // [P]
  };
  Saved saved(Arena& arena, std::int64_t flat_rows) const {
    Saved s{};
    s.gates = arena.take<T>(flat_rows * order_.columns * h_);
    if (lstm()) s.c = arena.take<T>(flat_rows * h_);
    if (projects()) s.unprojected = arena.take<T>(flat_rows * h_);
    if (!config_.layer_norm) return s;
    const auto normal = [&](std::int64_t width) {
      return Normal{arena.take<T>(flat_rows * width), arena.take<Moments<T>>(flat_rows)};
    };
    s.normal_x = normal(order_.gates * h_);
    s.normal_h = normal(order_.gates * h_);
    if (lstm()) s.normal_c = normal(h_);
    return s;
  }
  Memory memory(Arena& arena, std::int64_t in, std::int64_t flat_rows, std::int64_t n, bool training) const;
  void norm_memory(Arena& arena, Memory& m, std::int64_t flat_rows, std::int64_t n, bool training) const;
  // Rows to a chunk: about as many as there are chunks, so that both sums are short.
  static std::int64_t chunk_rows(std::int64_t flat_rows) {
    return std::max<std::int64_t>(32, std::llround(std::sqrt(static_cast<double>(flat_rows))));
  }
  static std::int64_t chunks(std::int64_t flat_rows) {
    return (flat_rows + chunk_rows(flat_rows) - 1) / chunk_rows(flat_rows);
  }

  bool lstm() const { return config_.cell == Cell::kLstm; }
  bool projects() const { return config_.projection_size > 0; }
  bool reset_before() const { return order_.recurrent_gates != order_.gates; }
  const LayerWeights<T>& weights(const LayerCall& call) const {
    return static_cast<const Weights<T, Runtime>&>(call.weights).layer(call.id.layer, call.id.reverse);
  }
  static const T* elements(const void* data) { return static_cast<const T*>(data); }
  static T* elements(void* data) { return static_cast<T*>(data); }

  DeviceSequence on_device(const Sequence& seq, const Memory& m) const {
    if (seq.offsets != nullptr) {
      runtime_.send(m.offsets, seq.offsets, static_cast<std::size_t>(seq.t + 1) * sizeof(std::int64_t));
    }
    return {seq.t, seq.n, seq.step_stride, seq.row_stride, seq.offsets == nullptr ? nullptr : m.offsets};
  }
  void multiply(Gemm<T> product) const {
    product.tf32 = config_.math_mode == MathMode::kTf32;
    runtime_.gemm(product);
  }
  // to [n][width] = from, unless it lies there already.
  void load_state(const LayerCall& call, T* to, const void* from, std::int64_t width) const {
    if (to == from) return;
    runtime_.for_each(call.sequence.n, width, LoadState<T>{.to = to, .from = elements(from), .h = width});
  }
  // R as this pass sees it: in training times the mask of dropconnect.
  const T* recurrent(const LayerCall& call, const Memory& m) const {
    const LayerWeights<T>& w = weights(call);
    const T* mask = elements(call.masks.connect);
    if (mask == nullptr) return w.recurrent;
    runtime_.for_each(order_.gates * h_, s_, MultiplyMatrices<T>{m.connected, w.recurrent, mask, s_, false});
    return m.connected;
  }

  void project_input(const LayerForward& call, const Memory& m, T* gates, std::int64_t ld) const;
  ForwardStep<T> forward_step(const LayerForward& call, const Memory& m, bool training) const;
  void forward_loop(const LayerForward& call, const Memory& m, const Saved& s, ForwardStep<T> step) const;
  void general_forward_step(const LayerForward& call, const Memory& m, ForwardStep<T>& step) const;
  void multiply_state(const ForwardStep<T>& step, std::int64_t rows) const;
  void run_forward(const LayerForward& call, const ForwardStep<T>& step, std::int64_t rows) const;
  void run_lstm_forward(const LayerForward& call, const ForwardStep<T>& step, std::int64_t rows) const;
  template <bool kGeneral>
  void run_gru_forward(const ForwardStep<T>& step, std::int64_t rows) const;

  BackwardStep<T> backward_step(const LayerBackward& call, const Memory& m) const;
  void backward_loop(const LayerBackward& call, const Memory& m, const Saved& s, BackwardStep<T> step) const;
  void at_step(const LayerBackward& call, const Memory& m, std::int64_t start, BackwardStep<T>& step) const;
  void general_backward_step(const LayerBackward& call, const Memory& m, BackwardStep<T>& step) const;
  void multiply_gradients(const BackwardStep<T>& step, const T* da, std::int64_t ld) const;
  void run_backward(const LayerCall& call, const BackwardStep<T>& step, std::int64_t rows) const;
  void run_lstm_backward(const LayerCall& call, const BackwardStep<T>& step, std::int64_t rows) const;
  template <bool kGeneral>
  void run_gru_backward(const BackwardStep<T>& step, std::int64_t rows) const;
  // Gradients of W x or of R h, of all flat rows: gate g begins at column[g] * H.
  struct SumGradients {
    const T* data;
    std::int64_t ld;
    const int* column;
    std::int64_t rows;
  };
  SumGradients recurrent_sums(const LayerCall& call, const Memory& m, const Saved& s) const {
    static constexpr int kCanonical[] = {0, 1, 2, 3};
    if (config_.layer_norm) return {m.d_sums, order_.gates * h_, kCanonical, call.sequence.total()};
    return {s.gates, order_.columns * h_, order_.recurrent_column, call.sequence.total()};
  }
  SumGradients input_sums(const LayerCall& call, const Memory& m, const Saved& s) const {
    if (config_.layer_norm) return {m.d_sums, order_.gates * h_, order_.input_column, call.sequence.total()};
    return {s.gates, order_.columns * h_, order_.input_column, call.sequence.total()};
  }
  // Sums within chunks of rows; how many chunks.
  std::int64_t sum_chunks(SumChunks<T> of) const {
    of.chunk = chunk_rows(of.rows);
    runtime_.for_each(chunks(of.rows), of.width, of);
    return chunks(of.rows);
  }
  // And of the chunks, to a vector of parameters.
  void add_sums(T* to, const SumChunks<T>& of) const {
    const std::int64_t count = sum_chunks(of);
    runtime_.for_each(1, of.width, AddChunks<T>{to, of.to, count, of.width});
  }
  void add_product(T* to, const GateRun& run, const SumGradients& sums, ConstRows operand,
                   std::int64_t width) const;
  void input_weight_gradient(const LayerBackward& call, const Memory& m, const DeviceSequence& seq,
                             const SumGradients& sums) const;
  void recurrent_gradient(const LayerBackward& call, const Memory& m, const DeviceSequence& seq,
                          const SumGradients& sums) const;
  void vector_gradients(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void projection_gradient(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void input_gradient(const LayerBackward& call, const Memory& m, const DeviceSequence& seq,
                      const SumGradients& sums) const;

  // layer_norm. The rows of a step: they begin at a flat row.
  struct StepRows {
    std::int64_t start, count;
  };
  static NormRows<T> norm_rows(const Normal& of, std::int64_t width, std::int64_t start, std::int64_t stride);
  void normalise(const Memory& m, const NormRows<T>& rows, std::int64_t count, std::int64_t width) const;
  void normalise_backward(const Memory& m, const NormGradient<T>& of, std::int64_t count,
                          std::int64_t width) const;
  void normalise_input(const LayerForward& call, const Memory& m, const Saved& s, std::int64_t ld) const;
  void normalise_sums(const LayerForward& call, const Memory& m, const Saved& s, const ForwardStep<T>& step,
                      const StepRows& at) const;
  void read_cell(const LayerForward& call, const Memory& m, const Saved& s, const ForwardStep<T>& step,
                 const StepRows& at) const;
  void read_gradient(const LayerBackward& call, const Memory& m, const Saved& s, const BackwardStep<T>& step,
                     std::int64_t start) const;
  void normalise_sums_backward(const LayerBackward& call, const Memory& m, const Saved& s,
                               const BackwardStep<T>& step, std::int64_t start) const;
  void normalise_input_backward(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void norm_gradients(const LayerBackward& call, const Memory& m, const Saved& s) const;

  std::string why_;
  RnnConfig config_;
  Phase phase_;
  std::int64_t max_t_;
  const GateOrder& order_;
  std::int64_t h_, s_;
  bool general_;
};

template <class T, class Runtime>
typename StepLayers<T, Runtime>::Memory StepLayers<T, Runtime>::memory(Arena& arena, std::int64_t in,
                                                                       std::int64_t flat_rows, std::int64_t n,
                                                                       bool training) const {
  Memory m{};
  const std::int64_t state = n * h_;
  m.h = arena.take<T>(n * s_);
  if (lstm()) m.c = arena.take<T>(state);
  m.sums = arena.take<T>(order_.gates * state);
  m.offsets = arena.take<std::int64_t>(max_t_ + 1);
  if (config_.layer_norm) norm_memory(arena, m, flat_rows, n, training);
  if (!training) {
    if (reset_before()) m.rh = arena.take<T>(state);
    if (projects()) m.unprojected = arena.take<T>(state);
    m.gates = arena.take<T>(flat_rows * order_.gates * h_);
    return m;
  }
  m.carry = arena.take<T>(n * s_);
  if (lstm()) m.dc = arena.take<T>(state);
  m.h_masked = arena.take<T>(order_.gates * n * s_);
  m.x_masked = arena.take<T>(flat_rows * in);
  m.h_in = arena.take<T>(flat_rows * s_);
  m.chunks = arena.take<T>(chunks(flat_rows) * order_.columns * h_);
  if (projects()) m.d_projected = arena.take<T>(flat_rows * s_);
  if (config_.dropconnect > 0) m.connected = arena.take<T>(order_.gates * h_ * s_);
  if (config_.peephole) {
    m.peephole_sums = arena.take<T>(n * 3 * h_);
    m.peephole_chunks = arena.take<T>(chunks(n) * 3 * h_);
  }
  return m;
}

}  // namespace rondo::cuda

#include "cuda/step_backward-inl.h"
#include "cuda/step_forward-inl.h"
#include "cuda/step_gradients-inl.h"
#include "cuda/step_norms-inl.h"
