// Names and sizes that follow from a configuration.
#include "rondo/types.h"

namespace rondo {
namespace {

// What belongs to an enumerator; `other` for a value that is none, before a check refuses it.
template <class E, class T, std::size_t N>
T pick(const T (&each)[N], E value, T other) {
  const auto i = static_cast<std::size_t>(value);
  return i < N ? each[i] : other;
}

constexpr int kGates[] = {1, 4, 3};
constexpr int kBytes[] = {4, 8, 4, 8};
constexpr const char* kCells[] = {"rnn", "lstm", "gru"};
constexpr const char* kDTypes[] = {"f32", "f64", "i32", "i64"};
constexpr const char* kDirections[] = {"forward", "reverse", "bidirectional"};
constexpr const char* kMerges[] = {"concat", "sum", "mul", "ave", "none"};

}  // namespace

int num_gates(Cell cell) { return pick(kGates, cell, 1); }

int num_directions(const RnnConfig& config) { return config.direction == Direction::kBidirectional ? 2 : 1; }

std::int64_t output_size(const RnnConfig& config) {
  return config.merge == Merge::kConcat ? num_directions(config) * config.hidden_size : config.hidden_size;
}

std::int64_t layer_input_size(const RnnConfig& config, std::int64_t layer) {
  if (layer == 0) return config.input_size;
  return config.merge == Merge::kNone ? num_directions(config) * config.hidden_size : output_size(config);
}

std::int64_t element_bytes(DType dtype) { return pick(kBytes, dtype, 8); }

std::string to_string(Cell cell) { return pick(kCells, cell, "unknown"); }
std::string to_string(DType dtype) { return pick(kDTypes, dtype, "unknown"); }
std::string to_string(Direction direction) { return pick(kDirections, direction, "unknown"); }
std::string to_string(Merge merge) { return pick(kMerges, merge, "unknown"); }
std::string to_string(Phase phase) { return phase == Phase::kTraining ? "training" : "inference"; }

std::string to_string(const RnnConfig& c) {
  std::string text = to_string(c.cell);
  if (c.cell == Cell::kSimpleRnn) text += c.activation == Activation::kTanh ? "(tanh)" : "(relu)";
  if (c.cell == Cell::kGru) text += c.gru_reset == GruReset::kAfter ? "(reset_after)" : "(reset_before)";
  text += " I=" + std::to_string(c.input_size) + " H=" + std::to_string(c.hidden_size) +
          " L=" + std::to_string(c.num_layers) + " " + to_string(c.direction);
  if (c.direction == Direction::kBidirectional) text += "(" + to_string(c.merge) + ")";
  return text + " " + to_string(c.dtype);
}

}  // namespace rondo
