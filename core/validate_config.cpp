// Checks of configurations, plans and names.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/validate.h"

namespace rondo {
namespace {

void check_rate(const char* name, double rate) {
  require(rate >= 0 && rate <= 1, "RnnConfig: ", name, " is ", rate, ", expected a rate in [0, 1]");
}

// An enumerator from outside, a cast integer for one.
template <class E>
void check_enum(const char* name, E value, E last) {
  const int got = static_cast<int>(value), count = static_cast<int>(last) + 1;
  require(value <= last, "RnnConfig: ", name, " is ", got, ", expected one of its ", count, " enumerators");
}

// Products of sizes stay countable in bytes, with room for hundredfold working memory.
void check_product(const char* where, const char* what, std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1024;
  for (const std::int64_t factor : factors) {
    if (!__builtin_mul_overflow(product, factor, &product)) continue;
    std::string got;
    for (const std::int64_t each : factors) got += message(got.empty() ? "" : " * ", each);
    refuse(message(where, ": ", what, " is ", got, ", expected a product that 64-bit sizes can count"));
  }
}

// Whether a pass in this type computes with the number as it is meant. Of 16 bits products are summed in f32.
bool fits(double value, DType type) {
  if (type == DType::kF64 || value == 0) return true;
  const double size = std::abs(value);
  return size >= std::numeric_limits<float>::min() && size <= std::numeric_limits<float>::max();
}

void check_function(const char* name, const ActivationFunction& f, DType type) {
  check_enum(name, f.kind, Activation::kThresholdedRelu);
  const bool finite = std::isfinite(f.alpha) && std::isfinite(f.beta);
  require(finite && fits(f.alpha, type) && fits(f.beta, type), "RnnConfig: ", name, " is ", f,
          ", expected numbers that are finite, and no denormals, in ", type);
  const bool signless = f.kind == Activation::kElu || f.kind == Activation::kLeakyRelu ||
                        f.kind == Activation::kThresholdedRelu;
  require(!signless || f.alpha >= 0, "RnnConfig: ", name, " is ", f, ", expected alpha >= 0");
  require(f.kind != Activation::kScaledTanh || f.alpha != 0, "RnnConfig: ", name, " is ", f,
          ", expected alpha other than 0");
}

void check_clip(const char* name, double clip, DType type) {
  require(clip >= 0 && std::isfinite(clip) && fits(clip, type), "RnnConfig: ", name, " is ", clip,
          ", expected a bound above 0 that ", type, " holds, or 0 for none");
}

// What an option needs of the others.
void check_options(const RnnConfig& c) {
  const bool lstm = c.cell == Cell::kLstm;
  const auto needs_lstm = [&](const char* name, bool on) {
    require(lstm || !on, "RnnConfig: ", name, " is set for ", c.cell, ", expected an LSTM");
  };
  needs_lstm("peephole", c.peephole);
  needs_lstm("input_forget", c.input_forget);
  needs_lstm("projection_size", c.projection_size != 0);
  needs_lstm("cell_sequence", c.cell_sequence);
  needs_lstm("cell_clip", c.cell_clip != 0);
  needs_lstm("zoneout_c", c.zoneout_c != 0);
  check_clip("preactivation_clip", c.preactivation_clip, c.dtype);
  check_clip("cell_clip", c.cell_clip, c.dtype);
  require(c.projection_size >= 0 && c.projection_size < std::max<std::int64_t>(c.hidden_size, 1),
          "RnnConfig: projection_size is ", c.projection_size,
          ", expected 0 for none, or 1 to hidden_size - 1 = ", c.hidden_size - 1);
  const bool after = c.cell == Cell::kGru && c.gru_reset == GruReset::kAfter;
  require(!c.layer_norm || lstm || after, "RnnConfig: layer_norm is set for ", c.cell,
          c.cell == Cell::kGru ? " with reset_before" : "", ", expected an LSTM or a GRU with reset_after");
  require(!c.layer_norm || c.projection_size == 0,
          "RnnConfig: layer_norm is set with a projection, expected one of ", "the two");
  const double epsilon = c.layer_norm_epsilon;
  require(epsilon > 0 && std::isfinite(epsilon) && fits(epsilon, c.dtype),
          "RnnConfig: layer_norm_epsilon is ", epsilon, ", expected a number above 0 that ", c.dtype,
          " holds");
  validate_least("RnnConfig", "checkpoint_every", c.checkpoint_every, 0);
  require(c.checkpoint_every == 0 || c.direction != Direction::kBidirectional,
          "RnnConfig: checkpoint_every is ", c.checkpoint_every,
          " for a bidirectional network, expected 0: its layers need the whole sequence");
  require(c.checkpoint_every == 0 || c.masked_outputs == MaskedOutputs::kZero,
          "RnnConfig: checkpoint_every is ", c.checkpoint_every,
          " with MaskedOutputs::kRepeat, expected 0 or MaskedOutputs::kZero");
}

}  // namespace

void refuse(const std::string& message) { throw InvalidArgument(message); }

void validate_least(const char* where, const char* name, std::int64_t value, std::int64_t least) {
  require(value >= least, where, ": ", name, " is ", value, ", expected at least ", least);
}

void validate_config(const RnnConfig& c) {
  check_enum("cell", c.cell, Cell::kGru);
  check_enum("direction", c.direction, Direction::kBidirectional);
  check_enum("merge", c.merge, Merge::kNone);
  check_enum("bias", c.bias, Bias::kDouble);
  check_function("activation", c.activation, c.dtype);
  check_function("gate_activation", c.gate_activation, c.dtype);
  check_function("output_activation", c.output_activation, c.dtype);
  check_enum("gru_reset", c.gru_reset, GruReset::kBefore);
  check_enum("layout", c.layout, Layout::kBatchMajor);
  check_enum("outputs", c.outputs, Outputs::kLast);
  check_enum("math_mode", c.math_mode, MathMode::kTf32);
  check_enum("gate_masks", c.gate_masks, GateMasks::kPerGate);
  check_enum("layer_masks", c.layer_masks, LayerMasks::kPerSequence);
  check_enum("masked_outputs", c.masked_outputs, MaskedOutputs::kRepeat);
  validate_least("RnnConfig", "input_size", c.input_size, 1);
  validate_least("RnnConfig", "hidden_size", c.hidden_size, 1);
  validate_least("RnnConfig", "num_layers", c.num_layers, 1);
  require(c.dtype <= DType::kBf16, "RnnConfig: dtype is ", c.dtype, ", expected f32, f64, f16 or bf16");
  require(c.math_mode == MathMode::kStrict || c.dtype == DType::kF32, "RnnConfig: math_mode is ", c.math_mode,
          " with dtype ", c.dtype, ", expected strict: tf32 is for products of f32");
  check_rate("dropout", c.dropout);
  check_rate("recurrent_dropout", c.recurrent_dropout);
  check_rate("layer_dropout", c.layer_dropout);
  check_rate("zoneout_h", c.zoneout_h);
  check_rate("zoneout_c", c.zoneout_c);
  check_rate("dropconnect", c.dropconnect);
  check_options(c);
  const std::int64_t gates = num_gates(c.cell), h = c.hidden_size;
  check_product("RnnConfig", "G * H * I", {gates, h, c.input_size});
  check_product("RnnConfig", "L * D * G * H * H", {c.num_layers, num_directions(c), gates, h, h});
}

void validate_plan(const RnnConfig& c, const PlanOptions& o) {
  validate_config(c);
  validate_least("PlanOptions", "max_t", o.max_t, 1);
  validate_least("PlanOptions", "max_n", o.max_n, 0);
  require(o.stream == nullptr || o.device.kind != Device::Kind::kCpu, "PlanOptions: stream is given, ",
          "expected none for a plan on ", o.device, ": calls on the CPU are complete on return");
  const std::int64_t n = std::max<std::int64_t>(o.max_n, 1), gates = num_gates(c.cell);
  check_product("PlanOptions", "max_t * max_n * L * D * G * H",
                {o.max_t, n, c.num_layers, num_directions(c), gates, c.hidden_size});
  check_product("PlanOptions", "max_t * max_n * I", {o.max_t, n, c.input_size});
}

void validate_rank(std::size_t rank) {
  require(rank <= Shape::kMaxRank, "Shape: has ", rank, " sizes, expected at most ", Shape::kMaxRank);
}

void validate_sizes(const char* what, const Shape& shape, std::int64_t bytes_each) {
  std::int64_t product = bytes_each;
  for (int i = 0; i < shape.rank(); ++i) {
    require(shape[i] >= 0, what, ": shape ", shape, " has a negative size, expected at least 0");
    const bool fits = !__builtin_mul_overflow(product, shape[i], &product);
    require(fits, what, ": shape ", shape, " has more bytes than 64-bit sizes count");
  }
}

void check_dtype(DType have, DType asked) {
  require(have == asked, "span: asked for ", asked, ", expected the tensor's ", have);
}

void validate_calibration(const char* where, const Calibration& calibration) {
  const auto check = [&](const auto& cost, const auto& names) {
    for (const auto& [name, value] : names) {
      require(cost.*value > 0 && std::isfinite(cost.*value), where, ": ", name, " is ", cost.*value,
              ", expected a positive number");
    }
  };
  check(calibration.cpu, kCpuCoefficients);
  check(calibration.cuda, kCudaCoefficients);
}

DeviceChoice parse_device_text(const char* where, const std::string& text) {
  if (text == "auto") return std::nullopt;
  if (text == "cpu") return Device{};
  if (text == "cuda") return Device{Device::Kind::kCuda, 0};
  const std::string digits = text.starts_with("cuda:") ? text.substr(5) : "";
  const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  require(number && digits.size() <= 4, where, ": device is \"", text,
          "\", expected auto, cpu, cuda or cuda:N with N = 0, 1, ...");
  return Device{Device::Kind::kCuda, std::stoi(digits)};
}

const ParameterInfo& find_parameter(const std::vector<ParameterInfo>& layout, const std::string& name) {
  std::string names;
  for (const ParameterInfo& info : layout) {
    if (info.name == name) return info;
    names += (names.empty() ? "" : ", ") + info.name;
  }
  refuse(message("parameter \"", name, "\" does not exist; this network has ", names));
}

}  // namespace rondo
