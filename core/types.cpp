// Names of enumerators and configurations.
#include "rondo/types.h"

#include <cstdio>

namespace rondo {
namespace {

constexpr const char* kCells[] = {"rnn", "lstm", "gru"};
constexpr const char* kDTypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "u8"};
constexpr const char* kActivations[] = {"tanh",       "relu",        "sigmoid",         "hard_sigmoid",
                                        "affine",     "softsign",    "softplus",        "elu",
                                        "leaky_relu", "scaled_tanh", "thresholded_relu"};
constexpr const char* kDirections[] = {"forward", "reverse", "bidirectional"};
constexpr const char* kMerges[] = {"concat", "sum", "mul", "ave", "none"};
constexpr const char* kPhases[] = {"inference", "training"};
constexpr const char* kMathModes[] = {"strict", "tf32"};

// A value that is no enumerator is named before a check refuses it.
template <class E, std::size_t N>
std::string name(const char* const (&names)[N], E value) {
  const auto i = static_cast<std::size_t>(value);
  return i < N ? names[i] : "unknown";
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

std::string to_string(Cell cell) { return name(kCells, cell); }
std::string to_string(DType dtype) { return name(kDTypes, dtype); }
std::string to_string(Direction direction) { return name(kDirections, direction); }
std::string to_string(Merge merge) { return name(kMerges, merge); }
std::string to_string(Phase phase) { return name(kPhases, phase); }
std::string to_string(MathMode mode) { return name(kMathModes, mode); }

std::string to_string(Activation activation) { return name(kActivations, activation); }
std::string to_string(const ActivationFunction& f) {
  const std::string text = to_string(f.kind);
  if (!ActivationFunction::has_alpha(f.kind)) return text;
  return text + "(" + number(f.alpha) + (ActivationFunction::has_beta(f.kind) ? ", " + number(f.beta) : "") +
         ")";
}

namespace {

// The options that a configuration has beside the plain cell.
std::string options_of(const RnnConfig& c) {
  std::string text;
  const bool lstm = c.cell == Cell::kLstm, simple = c.cell == Cell::kSimpleRnn;
  const auto function = [&](const char* name, const ActivationFunction& f, Activation usual) {
    if (f != usual) text += std::string(" ") + name + "=" + to_string(f);
  };
  const auto value = [&](const char* name, double v) {
    if (v != 0) text += std::string(" ") + name + "=" + number(v);
  };
  const auto flag = [&](const char* name, bool on) {
    if (on) text += std::string(" ") + name;
  };
  if (!simple) function("activation", c.activation, Activation::kTanh);
  if (!simple) function("gate_activation", c.gate_activation, Activation::kSigmoid);
  if (lstm) function("output_activation", c.output_activation, Activation::kTanh);
  flag("peephole", c.peephole);
  flag("input_forget", c.input_forget);
  value("P", static_cast<double>(c.projection_size));
  flag("cell_sequence", c.cell_sequence);
  value("preactivation_clip", c.preactivation_clip);
  value("cell_clip", c.cell_clip);
  flag("layer_norm", c.layer_norm);
  value("zoneout_h", c.zoneout_h);
  value("zoneout_c", c.zoneout_c);
  value("dropconnect", c.dropconnect);
  value("checkpoint_every", static_cast<double>(c.checkpoint_every));
  flag("masked_outputs=repeat", c.masked_outputs == MaskedOutputs::kRepeat);
  return text;
}

}  // namespace

std::string to_string(const RnnConfig& c) {
  std::string text = to_string(c.cell);
  if (c.cell == Cell::kSimpleRnn) text += "(" + to_string(c.activation) + ")";
  if (c.cell == Cell::kGru) text += c.gru_reset == GruReset::kAfter ? "(reset_after)" : "(reset_before)";
  text += " I=" + std::to_string(c.input_size) + " H=" + std::to_string(c.hidden_size) +
          " L=" + std::to_string(c.num_layers) + " " + to_string(c.direction);
  if (c.direction == Direction::kBidirectional) text += "(" + to_string(c.merge) + ")";
  text += " " + to_string(c.dtype);
  if (c.math_mode != MathMode::kStrict) text += " " + to_string(c.math_mode);
  return text + options_of(c);
}

}  // namespace rondo
