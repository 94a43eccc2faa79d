// The words of a recurrent network: what it is (RnnConfig), as plain data.
#pragma once

#include "rondo/activation.h"

namespace rondo {

// Element types. f16 and bf16 are those of half.h; i32 and i64 are for lengths, u8 for masks.
enum class DType : std::uint8_t { kF32, kF64, kF16, kBf16, kI32, kI64, kU8 };
// The recurrence. Equations and papers: core/cells/*-inl.h.
enum class Cell : std::uint8_t { kSimpleRnn, kLstm, kGru };
// Which GRU. kAfter (PyTorch, cuDNN, Keras 3's default): n = tanh(W x + b_in + r * (R h + b_hn)).
// kBefore (Cho et al. 2014, ONNX's default): n = tanh(W x + R (r * h) + b).
enum class GruReset : std::uint8_t { kAfter, kBefore };
// kSingle: bias_ih only. kDouble: bias_ih and bias_hh, as PyTorch and cuDNN.
enum class Bias : std::uint8_t { kNone, kSingle, kDouble };
// kReverse runs from each row's last valid step to step 0; outputs stay in the original order.
enum class Direction : std::uint8_t { kForward, kReverse, kBidirectional };
// How a bidirectional layer joins its two outputs: concat, a + b, a * b, (a + b) / 2.
// kNone: the last layer returns them apart (y and y_reverse); between layers it acts as kConcat.
enum class Merge : std::uint8_t { kConcat, kSum, kMul, kAve, kNone };
// x and y as [T, N, ...] (time-major) or [N, T, ...] (batch-major). States are [L*D, N, H] in both.
enum class Layout : std::uint8_t { kTimeMajor, kBatchMajor };
// kSequence: y holds every step. kLast: y is [N, O], the output of the step processed last
// (the last valid one forward, step 0 in reverse; zeros for a row of length 0).
enum class Outputs : std::uint8_t { kSequence, kLast };
// Dropout masks on x and h: one for all gates, or one a gate (Keras, when it has recurrent dropout).
enum class GateMasks : std::uint8_t { kShared, kPerGate };
// Masks between layers: fresh at every step (PyTorch, cuDNN), or one for the sequence.
enum class LayerMasks : std::uint8_t { kPerStep, kPerSequence };
// The output at a step that a mask leaves out: zeros, or that of the step processed before it in the same
// direction, zeros before the first (Keras) and after a reset.
enum class MaskedOutputs : std::uint8_t { kZero, kRepeat };
// kInference keeps nothing for a backward pass and applies no dropout.
enum class Phase : std::uint8_t { kInference, kTraining };
// kStrict: f32 is IEEE f32 on every device. Faster modes are asked for by name, never chosen.
// kTf32, for f32 only: products may round their operands to TF32 (10 bits of fraction) where a device has it;
// the CPU computes as under kStrict.
enum class MathMode : std::uint8_t { kStrict, kTf32 };

// A stack of equal recurrent layers. Layers of different sizes: chain several Rnn.
// The letters T N I H P L D G and O are explained in rondo.h.
struct RnnConfig {
  Cell cell = Cell::kLstm;
  std::int64_t input_size = 0;   // I >= 1
  std::int64_t hidden_size = 0;  // H >= 1
  std::int64_t num_layers = 1;   // L >= 1
  Direction direction = Direction::kForward;
  Merge merge = Merge::kConcat;  // read when bidirectional
  Bias bias = Bias::kDouble;
  // SimpleRNN's nonlinearity, LSTM's of g, GRU's of n; that of the gates, read by LSTM (i f o) and GRU (r z);
  // that of c on its way to h, read by LSTM.
  ActivationFunction activation = Activation::kTanh;
  ActivationFunction gate_activation = Activation::kSigmoid;
  ActivationFunction output_activation = Activation::kTanh;
  GruReset gru_reset = GruReset::kAfter;  // read by GRU
  Layout layout = Layout::kTimeMajor;
  Outputs outputs = Outputs::kSequence;
  DType dtype = DType::kF32;  // kF32, kF64, kF16 or kBf16, of parameters, inputs and outputs
  MathMode math_mode = MathMode::kStrict;

  // Dropout, in [0, 1], applied in Phase::kTraining only; kept values are scaled by 1 / (1 - rate).
  double dropout = 0;            // on the input of every layer; one mask a sequence (Gal 2016)
  double recurrent_dropout = 0;  // on h before the recurrent product; one mask a sequence
  double layer_dropout = 0;      // on the merged output of every layer but the last
  GateMasks gate_masks = GateMasks::kShared;
  LayerMasks layer_masks = LayerMasks::kPerStep;

  double zoneout_h = 0;  // keeps h_{t-1} in place of h_t, a fresh mask per step (arXiv:1606.01305); in
  double zoneout_c = 0;  // inference the expectation of both. c: LSTM. h then reads the c before its zoneout
  double dropconnect = 0;  // on the elements of R, one mask a pass for all rows

  // LSTM only. i and f see c_{t-1}, o sees c_t, through weight_ch (Gers and Schmidhuber 2000); f = 1 - i, the
  // parameters of f not read (but by layer_norm's mean and variance); h = weight_hr (o f(c)) of size P < H
  // (Sak et al. 2014), 0: none; every c_t of the last layer is an output, as the next step reads it.
  bool peephole = false;
  bool input_forget = false;
  std::int64_t projection_size = 0;
  bool cell_sequence = false;
  // 0: no clipping. What activations of gates and candidate read, clipped to +-this (ONNX); LSTM: c_t
  // likewise, before anything reads it (cuDNN).
  double preactivation_clip = 0;
  double cell_clip = 0;
  // Layer normalisation of W x, of R h and, LSTM, of c on its way to h (Ba et al. 2016, arXiv:1607.06450).
  // LSTM without projection, GRU with reset_after.
  bool layer_norm = false;
  double layer_norm_epsilon = 1e-5;

  MaskedOutputs masked_outputs = MaskedOutputs::kZero;
  // k > 0: a training forward keeps the states of every k-th step only, and backward recomputes the steps
  // between: memory for k steps and T / k states. Not for bidirectional networks nor MaskedOutputs::kRepeat.
  std::int64_t checkpoint_every = 0;

  bool operator==(const RnnConfig&) const = default;
};

// Sizes that follow from a configuration: G, D, of h (P, or H without projection; comments say H for it), O (D
// times that under kConcat, else that), what a layer reads.
inline int num_gates(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
inline int num_directions(const RnnConfig& c) { return c.direction == Direction::kBidirectional ? 2 : 1; }
inline std::int64_t state_size(const RnnConfig& c) {
  return c.projection_size > 0 ? c.projection_size : c.hidden_size;
}
inline std::int64_t output_size(const RnnConfig& c) {
  return c.merge == Merge::kConcat ? num_directions(c) * state_size(c) : state_size(c);
}
inline std::int64_t layer_input_size(const RnnConfig& c, std::int64_t layer) {
  if (layer == 0) return c.input_size;
  return c.merge == Merge::kNone ? num_directions(c) * state_size(c) : output_size(c);
}
inline std::int64_t element_bytes(DType t) {
  if (t == DType::kU8) return 1;
  if (t == DType::kF16 || t == DType::kBf16) return 2;
  return t == DType::kF32 || t == DType::kI32 ? 4 : 8;
}

// Names as in messages and in the command lines: "lstm", "f32", "batch-major".
RONDO_API std::string to_string(Cell);
RONDO_API std::string to_string(DType);
RONDO_API std::string to_string(Direction);
RONDO_API std::string to_string(Merge);
RONDO_API std::string to_string(Phase);
RONDO_API std::string to_string(MathMode);
// One line: "lstm I=10 H=32 L=2 bidirectional(concat) f32", with " tf32" and options of the cell after it.
RONDO_API std::string to_string(const RnnConfig&);

}  // namespace rondo
