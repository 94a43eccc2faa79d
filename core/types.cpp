// Names and sizes that follow from a configuration.
#include "rondo/types.h"

namespace rondo {

int num_gates(Cell cell) {
  switch (cell) {
    case Cell::kLstm: return 4;
    case Cell::kGru: return 3;
    case Cell::kSimpleRnn: break;
  }
  return 1;
}

int num_directions(const RnnConfig& config) { return config.direction == Direction::kBidirectional ? 2 : 1; }

std::int64_t output_size(const RnnConfig& config) {
  return config.merge == Merge::kConcat ? num_directions(config) * config.hidden_size : config.hidden_size;
}

std::int64_t layer_input_size(const RnnConfig& config, std::int64_t layer) {
  if (layer == 0) return config.input_size;
  const bool side_by_side = config.merge == Merge::kConcat || config.merge == Merge::kNone;
  return side_by_side ? num_directions(config) * config.hidden_size : config.hidden_size;
}

std::int64_t element_bytes(DType dtype) { return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 8; }

std::string to_string(Cell cell) {
  switch (cell) {
    case Cell::kLstm: return "lstm";
    case Cell::kGru: return "gru";
    case Cell::kSimpleRnn: break;
  }
  return "rnn";
}

std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF64: return "f64";
    case DType::kI32: return "i32";
    case DType::kI64: break;
  }
  return "i64";
}

std::string to_string(Direction direction) {
  switch (direction) {
    case Direction::kForward: return "forward";
    case Direction::kReverse: return "reverse";
    case Direction::kBidirectional: break;
  }
  return "bidirectional";
}

std::string to_string(Merge merge) {
  switch (merge) {
    case Merge::kConcat: return "concat";
    case Merge::kSum: return "sum";
    case Merge::kMul: return "mul";
    case Merge::kAve: return "ave";
    case Merge::kNone: break;
  }
  return "none";
}

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
