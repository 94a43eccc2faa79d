// Names of enumerators and configurations.
#include "rondo/types.h"

namespace rondo {
namespace {

constexpr const char* kCells[] = {"rnn", "lstm", "gru"};
constexpr const char* kDTypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64"};
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

}  // namespace

std::string to_string(Cell cell) { return name(kCells, cell); }
std::string to_string(DType dtype) { return name(kDTypes, dtype); }
std::string to_string(Direction direction) { return name(kDirections, direction); }
std::string to_string(Merge merge) { return name(kMerges, merge); }
std::string to_string(Phase phase) { return name(kPhases, phase); }
std::string to_string(MathMode mode) { return name(kMathModes, mode); }

std::string to_string(const RnnConfig& c) {
  std::string text = to_string(c.cell);
  if (c.cell == Cell::kSimpleRnn) text += c.activation == Activation::kTanh ? "(tanh)" : "(relu)";
  if (c.cell == Cell::kGru) text += c.gru_reset == GruReset::kAfter ? "(reset_after)" : "(reset_before)";
  text += " I=" + std::to_string(c.input_size) + " H=" + std::to_string(c.hidden_size) +
          " L=" + std::to_string(c.num_layers) + " " + to_string(c.direction);
  if (c.direction == Direction::kBidirectional) text += "(" + to_string(c.merge) + ")";
  text += " " + to_string(c.dtype);
  return c.math_mode == MathMode::kStrict ? text : text + " " + to_string(c.math_mode);
}

}  // namespace rondo
