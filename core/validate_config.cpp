// Checks of configurations, plans and names.
#include <algorithm>

#include "core/validate.h"

namespace rondo {
namespace {

[[noreturn]] void fail(const std::string& message) { throw InvalidArgument(message); }

void check_least(const char* where, const char* name, std::int64_t value, std::int64_t least) {
  if (value < least) {
    fail(std::string(where) + ": " + name + " is " + std::to_string(value) + ", expected at least " +
         std::to_string(least));
  }
}

void check_rate(const char* name, double rate) {
  if (!(rate >= 0 && rate <= 1)) {
    fail(std::string("RnnConfig: ") + name + " is " + std::to_string(rate) + ", expected a rate in [0, 1]");
  }
}

// An enumerator from outside, a cast integer for one.
template <class E>
void check_enum(const char* name, E value, E last) {
  if (value > last) {
    fail(std::string("RnnConfig: ") + name + " is " + std::to_string(static_cast<int>(value)) +
         ", expected one of its " + std::to_string(static_cast<int>(last) + 1) + " enumerators");
  }
}

// Products of sizes stay countable in bytes, with room for hundredfold working memory.
void check_product(const char* where, const char* what, std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1024;
  for (const std::int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) {
      std::string got;
      for (const std::int64_t each : factors) got += (got.empty() ? "" : " * ") + std::to_string(each);
      fail(std::string(where) + ": " + what + " is " + got + ", expected a product that 64-bit sizes can count");
    }
  }
}

}  // namespace

void validate_config(const RnnConfig& c) {
  check_enum("cell", c.cell, Cell::kGru);
  check_enum("direction", c.direction, Direction::kBidirectional);
  check_enum("merge", c.merge, Merge::kNone);
  check_enum("bias", c.bias, Bias::kDouble);
  check_enum("activation", c.activation, Activation::kRelu);
  check_enum("gru_reset", c.gru_reset, GruReset::kBefore);
  check_enum("layout", c.layout, Layout::kBatchMajor);
  check_enum("outputs", c.outputs, Outputs::kLast);
  check_enum("math_mode", c.math_mode, MathMode::kStrict);
  check_enum("gate_masks", c.gate_masks, GateMasks::kPerGate);
  check_enum("layer_masks", c.layer_masks, LayerMasks::kPerSequence);
  check_least("RnnConfig", "input_size", c.input_size, 1);
  check_least("RnnConfig", "hidden_size", c.hidden_size, 1);
  check_least("RnnConfig", "num_layers", c.num_layers, 1);
  if (c.dtype != DType::kF32 && c.dtype != DType::kF64) {
    fail("RnnConfig: dtype is " + to_string(c.dtype) + ", expected f32 or f64");
  }
  check_rate("dropout", c.dropout);
  check_rate("recurrent_dropout", c.recurrent_dropout);
  check_rate("layer_dropout", c.layer_dropout);
  check_product("RnnConfig", "G * H * I", {num_gates(c.cell), c.hidden_size, c.input_size});
  check_product("RnnConfig", "L * D * G * H * H",
                {c.num_layers, num_directions(c), num_gates(c.cell), c.hidden_size, c.hidden_size});
}

void validate_plan(const RnnConfig& c, const PlanOptions& o) {
  validate_config(c);
  check_least("PlanOptions", "max_t", o.max_t, 1);
  check_least("PlanOptions", "max_n", o.max_n, 0);
  check_product("PlanOptions", "max_t * max_n * L * D * G * H",
                {o.max_t, std::max<std::int64_t>(o.max_n, 1), c.num_layers, num_directions(c), num_gates(c.cell),
                 c.hidden_size});
  check_product("PlanOptions", "max_t * max_n * I", {o.max_t, std::max<std::int64_t>(o.max_n, 1), c.input_size});
}

void validate_rank(std::size_t rank) {
  if (rank > Shape::kMaxRank) {
    fail("Shape: has " + std::to_string(rank) + " sizes, expected at most " + std::to_string(Shape::kMaxRank));
  }
}

void validate_sizes(const char* what, const Shape& shape, std::int64_t bytes_each) {
  std::int64_t product = bytes_each;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] < 0) {
      fail(std::string(what) + ": shape " + to_string(shape) + " has a negative size, expected at least 0");
    }
    if (__builtin_mul_overflow(product, shape[i], &product)) {
      fail(std::string(what) + ": shape " + to_string(shape) + " has more bytes than 64-bit sizes count");
    }
  }
}

void check_dtype(DType have, DType asked) {
  if (have != asked) fail("span: asked for " + to_string(asked) + ", expected the tensor's " + to_string(have));
}

DeviceChoice parse_device_text(const char* where, const std::string& text) {
  const auto bad = [&] {
    fail(std::string(where) + ": device is \"" + text + "\", expected auto, cpu, cuda or cuda:N with N = 0, 1, ...");
  };
  if (text == "auto") return std::nullopt;
  if (text == "cpu") return Device{};
  if (text == "cuda") return Device{Device::Kind::kCuda, 0};
  const std::string prefix = "cuda:";
  if (text.rfind(prefix, 0) != 0) bad();
  const std::string digits = text.substr(prefix.size());
  if (digits.empty() || digits.size() > 4 || digits.find_first_not_of("0123456789") != std::string::npos) bad();
  return Device{Device::Kind::kCuda, std::stoi(digits)};
}

std::size_t find_parameter(const std::vector<ParameterInfo>& layout, const std::string& name) {
  std::string names;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    if (layout[i].name == name) return i;
    names += (i > 0 ? ", " : "") + layout[i].name;
  }
  fail("parameter \"" + name + "\" does not exist; this network has " + names);
}

}  // namespace rondo
