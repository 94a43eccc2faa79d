// One layer in one direction on the CPU: the input product, the time loop, the weight gradients.
#pragma once

#include <memory>

#include "core/arena.h"
#include "cpu/divider.h"
#include "cpu/glue.h"
#include "cpu/row_steps.h"
#include "cpu/states.h"
#include "cpu/team.h"
#include "cpu/weights.h"

namespace rondo::cpu {

// How the rows and units of a layer are divided among the threads that run its steps.
struct Split {
  int threads = 1;
  bool by_rows = false;  // else by units, and the threads meet after every step
  std::int64_t blocks;   // of units
  Range part(const Sequence& sequence, int index, int count) const;
  // The same rows, and the units of h where it is projected: `state_blocks` of them.
  Range state_part(Range units, int index, int count, std::int64_t state_blocks) const;
};

// What a thread works on in the phases of a step: units of the cell, and of h.
struct Parts {
  Range units, states;
};

template <class T>
class Layers final : public Glue<T> {
 public:
  explicit Layers(const Request& request);
  std::size_t saved_bytes(std::int64_t flat_rows) const override;
  std::size_t workspace_bytes(std::int64_t flat_rows, std::int64_t n) const override;
  std::unique_ptr<Packed> pack(const void* parameters) const override;
  void forward(const LayerForward& call) override;
  void backward(const LayerBackward& call) override;
  Steps* steps(const Packed& weights, std::int64_t n, std::byte* workspace) override;
  // Whether threads share a step of n rows; else it has begun, and ends with end_step.
  bool shares_step(std::int64_t n) {
    divider_.begin({1, n, n}, Phase::kInference, false, false);
    return threads() > 1;
  }
  void end_step() { divider_.end(config_.num_layers); }
  std::string path() const override;

 private:
  // Rows as normalised, and the factors that made them so: of W x, R h and c. Null in inference.
  struct SavedNorms {
    T *normal_x, *normal_h, *normal_c;  // [P][G * Hp], [P][G * Hp], [P][Hp]
    T *scale_x, *scale_h, *scale_c;     // [P]
  };
  // What training leaves for backward, of P flat rows.
  struct Saved {
    T* gates;  // [P][columns * Hp]: activations, then gradients of the pre-activations
    T* c;      // [P][Hp], LSTM
    T* m;      // [P][Hp], projection: what it multiplied
    SavedNorms norms;
  };
  struct Memory {
    T* h[2];   // [n][Sp]: states of even and odd steps; backward: h0 and its gradient
    T* c;      // [n][Hp], LSTM: c_t; backward: c0
    T* rh;     // [n][Hp], reset_before; or what a projection multiplies
    T* gates;  // [gate_rows(P, n)][G * Hp], inference only
    // Training only.
    T *carry, *dc;                          // [n][Sp], [n][Hp]: gradients on their way to the step before
    T* mask;                                // [groups][n][Sp]
    T* h_masked[2];                         // [groups][n][Sp]
    T* x_masked;                            // [P][in], dropout: what W multiplied; then d loss / d of it
    T* h_in;                                // [gathered_rows(P)][S], what R multiplied
    T* dm;                                  // [P][Sp], projection: its gradient
    T* dpeephole;                           // [n][3][Hp]
    T* sums;                                // [n][G * Hp], layer normalisation, in inference too: R h
    T* dsums;                               // [P][G * Hp]: its gradient
    T* dnormalised;                         // [P][Hp]: gradient of what h reads instead of c
    T* dh;                                  // [n][Hp]: gradient of h_t
    T* dr;                                  // [G * H, S], dropconnect: gradient of what multiplied h
    LayerWeights<T> forward_r, backward_r;  // R under dropconnect, as each pass reads it
    LayerWeights<T> w;                      // of this call
  };
  Saved saved(Arena& arena, std::int64_t flat_rows) const;
  Memory memory(Arena& arena, std::int64_t in, std::int64_t flat_rows, std::int64_t n, bool training) const;
  // The rows of all gates that inference has at once, at most.
  std::int64_t gate_rows(std::int64_t flat_rows, std::int64_t n) const;
  // The rows of h_{t-1} that are copied at once for the gradient of R, at most.
  std::int64_t gathered_rows(std::int64_t flat_rows) const;
  const typename Kernels<T>::Cell& cell() const;
  bool projected() const { return config_.projection_size > 0; }
  States<T> h_states(const LayerCall& call) const { return {s_, sp_, call.sequence.n}; }
  States<T> c_states(const LayerCall& call) const { return {h_, hp_, call.sequence.n}; }
  // Whether the rows of a sequence that training keeps are more than near caches hold, by bench/NOTES.md.
  bool far_rows(const Sequence& sequence) const {
    constexpr std::int64_t kBytes = 1 << 20;
    return sequence.total() * order_.columns * hp_ * static_cast<std::int64_t>(sizeof(T)) > kBytes;
  }
  void begin(const LayerCall& call, bool backward) {
    const Phase phase = call.saved == nullptr ? Phase::kInference : Phase::kTraining;
    divider_.begin(call.sequence, phase, call.h0 == nullptr, backward);
  }
  int threads() const { return divider_.division().threads; }
  Split split_steps(const Sequence& sequence) const;
  // Calls body(parts, meet) with each thread's part; meet() waits for the others where they share rows.
  template <class Body>
  void on_parts(const Sequence& sequence, const Split& split, Body body) const {
    on_team(split.by_rows ? Together::kApart : Together::kTogether, split.threads, [&](int index, int count) {
      const bool meets = count > 1 && !split.by_rows;
      const Range units = split.part(sequence, index, count);
      const std::int64_t state_blocks = sp_ / kernels_.lanes;
      body(Parts{units, split.state_part(units, index, count, state_blocks)}, [&] {
        if (meets) meet(index, count);
      });
    });
  }

  const LayerWeights<T>& weights(const LayerCall& call) const {
    return static_cast<const Weights<T>&>(call.weights).layer(call.id.layer, call.id.reverse);
  }
  LayerWeights<T> connected(const LayerCall& call, const LayerWeights<T>& room) const;
  // Blocks of columns [begin, end) of a product over all rows of a sequence.
  struct Blocks {
    std::int64_t begin, end;
  };
  void multiply(const Product<T>& product, std::int64_t flat_rows, const Blocks& blocks, int threads) const;
  // What forward passes on from one to the next.
  struct ForwardPass {
    const LayerForward& call;
    const Memory& m;
    const Saved& saved;
    std::int64_t ld;      // of gates
    ForwardStep<T> step;  // what all steps share
  };
  // Steps [first, last) of the time loop, of which `step` is the first in time, and the flat rows that they
  // have.
  struct Window {
    std::int64_t first, last, step, row, rows;
    T* gates;  // of those rows
  };
  // About how many rows of gates a window has, on one thread or on several.
  struct WindowRows {
    std::int64_t alone, together;
  };
  WindowRows window_rows(std::int64_t ld) const;
  bool owns_rows(const LayerForward& call, const Split& split) const;
  std::int64_t steps_at_once(const LayerForward& call, std::int64_t ld, int owners) const;
  Window window_of(const ForwardPass& pass, std::int64_t first, std::int64_t last) const;
  void start_states(const LayerForward& call, const Memory& m) const;
  Product<T> input_product(const ForwardPass& pass, const Window& window) const;
  void project_input(const ForwardPass& pass, const Window& window) const;
  void project_rows(const ForwardPass& pass, const Window& window, const Range& own) const;
  // Whether the steps of few rows go through R's blocks back and forth: what one reads last is then what the
  // next one reads first, while of an R that a cache does not hold whole it would hold nothing in time.
  bool turns_at_ends(std::int64_t n) const {
    constexpr std::int64_t kBytes = 512 << 10, kRows = 4;  // beyond them it gained nothing (bench/NOTES.md)
    return n <= kRows && order_.recurrent_gates * hp_ * s_ * static_cast<std::int64_t>(sizeof(T)) > kBytes;
  }
  template <class Step>
  static void from_last_block(void (*kernel)(const Step&, const Range&), const Step& step, Range range) {
    constexpr std::int64_t kPiece = 8;  // as many as a tile of one row has at most
    for (const std::int64_t begin = range.block_begin; range.block_end > begin; range.block_end -= kPiece) {
      range.block_begin = std::max(begin, range.block_end - kPiece);
      kernel(step, range);
    }
  }
  ForwardStep<T> forward_step(const LayerForward& call, const Memory& m, const Saved& s,
                              std::int64_t ld) const;
  template <class Meet>
  void forward_steps(const ForwardPass& pass, const Window& window, Parts parts, Meet meet) const;

  BackwardStep<T> second_phase(BackwardStep<T> step, const Memory& m) const;
  BackwardStep<T> backward_step(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void backward_loop(const LayerBackward& call, const Memory& m, const Saved& s) const;
  // Gradients of gates, a row each flat row.
  struct GateRows {
    const T* data;
    std::int64_t ld;
  };
  // Of what R feeds, recurrent_gates side by side.
  GateRows recurrent_rows(const Memory& m, const Saved& s) const {
    if (config_.layer_norm) return {m.dsums, order_.gates * hp_};
    return {s.gates + order_.recurrent_column[0] * hp_, order_.columns * hp_};
  }
  struct ProductSize {
    std::int64_t flat_rows, width;
    int threads;
  };
  void add_product(T* to, const GateRun& run, const GateRows& da, ConstRows operand,
                   const ProductSize& size) const;
  // Flat rows [begin, end) of h_{t-1}: in place, as y has them one step away, or to be copied.
  struct Stretch {
    std::int64_t begin, end;
    bool in_place;
  };
  Stretch next_stretch(const LayerBackward& call, std::int64_t begin) const;
  void gather_h(const LayerBackward& call, const Memory& m, const Stretch& rows, const T* mask) const;
  void add_input_products(const LayerBackward& call, const Memory& m, const T* da, T* dW) const;
  void recurrent_gradients(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void add_recurrent_products(const LayerBackward& call, const Memory& m, const Saved& s, T* dR) const;
  void bias_gradients(const LayerBackward& call, const Memory& m, const T* da) const;

  // layer_norm.cpp
  Norm<T> norm(const T* factor, const T* shift, int gates) const;
  SavedNorms saved_norms(Arena& arena, std::int64_t flat_rows) const;
  StepNorms<T> step_norms(const LayerCall& call, const Memory& m, const Saved& s) const;
  StepNorms<T> norms_from(StepNorms<T> norms, std::int64_t start) const;
  NormRows<T> input_rows(const Memory& m, const Saved& s, std::int64_t ld) const;
  void normalise_input(const LayerForward& call, const Memory& m, const Saved& s, std::int64_t ld) const;
  void normalise_input_backward(const LayerBackward& call, const Memory& m, const Saved& s) const;
  void norm_gradients(const Memory& m, const Saved& s, std::int64_t flat_rows, T* to) const;

  void input_gradient(const LayerBackward& call, const Memory& m, const T* da) const;

  RnnConfig config_;
  Phase phase_;
  const Kernels<T>& kernels_;
  const GateOrder& order_;
  std::int64_t h_, hp_, s_, sp_;
  CellOptions<T> inference_options_, training_options_;
  RecurrentPacking<T> packing_;
  std::shared_ptr<SpareMemory> spare_ = std::make_shared<SpareMemory>();
  mutable Divider divider_;
  RowSteps<T> steps_;
};

}  // namespace rondo::cpu
