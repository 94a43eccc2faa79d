// Checks of configurations, plans and names.
#include <algorithm>

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
  check_enum("activation", c.activation, Activation::kRelu);
  check_enum("gru_reset", c.gru_reset, GruReset::kBefore);
  check_enum("layout", c.layout, Layout::kBatchMajor);
  check_enum("outputs", c.outputs, Outputs::kLast);
  check_enum("math_mode", c.math_mode, MathMode::kTf32);
  check_enum("gate_masks", c.gate_masks, GateMasks::kPerGate);
  check_enum("layer_masks", c.layer_masks, LayerMasks::kPerSequence);
  validate_least("RnnConfig", "input_size", c.input_size, 1);
  validate_least("RnnConfig", "hidden_size", c.hidden_size, 1);
  validate_least("RnnConfig", "num_layers", c.num_layers, 1);
  require(c.dtype <= DType::kBf16, "RnnConfig: dtype is ", c.dtype, ", expected f32, f64, f16 or bf16");
  require(c.math_mode == MathMode::kStrict || c.dtype == DType::kF32, "RnnConfig: math_mode is ", c.math_mode,
          " with dtype ", c.dtype, ", expected strict: tf32 is for products of f32");
  check_rate("dropout", c.dropout);
  check_rate("recurrent_dropout", c.recurrent_dropout);
  check_rate("layer_dropout", c.layer_dropout);
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
