// Names, shapes and offsets of the canonical parameters, and their initialisers.
#include "rondo/parameters.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "core/philox.h"
#include "core/validate.h"

namespace rondo {
namespace {

// Uniform and normal numbers, each a function of (seed, parameter, index).
class Random {
 public:
  Random(std::uint64_t seed, std::uint32_t parameter) : seed_(seed), parameter_(parameter) {}
  double uniform() {  // [0, 1), 53 bits
    const auto bits = next();
    return static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  }
  double normal() {  // Box and Muller 1958
    const double u = 1 - uniform(), v = uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }

 private:
  std::array<std::uint32_t, 4> next() {
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    const std::uint64_t i = index_++;
    // The last word keeps these apart from dropout masks of the same seed.
    return philox4x32({low(i), low(i >> 32), parameter_, 0x80000000u}, {low(seed_), low(seed_ >> 32)});
  }
  std::uint64_t seed_, index_ = 0;
  std::uint32_t parameter_;
};

// Orthonormal columns [rows, columns], rows >= columns: Gram-Schmidt of normal columns, twice for accuracy.
// It is the Q of a QR decomposition whose R has a positive diagonal, hence uniform over all such matrices.
std::vector<double> orthogonal(std::int64_t rows, std::int64_t columns, Random random) {
  std::vector<double> q(static_cast<std::size_t>(rows * columns));  // column by column
  const auto dot = [&](const double* u, const double* v) { return std::inner_product(u, u + rows, v, 0.0); };
  for (std::int64_t j = 0; j < columns; ++j) {
    double* v = q.data() + j * rows;
    for (std::int64_t i = 0; i < rows; ++i) v[i] = random.normal();
    for (std::int64_t k = 0; k < 2 * j; ++k) {
      const double* u = q.data() + k % j * rows;
      const double along = dot(u, v);
      for (std::int64_t i = 0; i < rows; ++i) v[i] -= along * u[i];
    }
    const double norm = std::sqrt(dot(v, v));
    for (std::int64_t i = 0; i < rows; ++i) v[i] /= norm;
  }
  return q;
}

template <class T>
void fill_uniform(std::span<T> to, double limit, Random random) {
  for (T& value : to) value = static_cast<T>((2 * random.uniform() - 1) * limit);
}

template <class T>
void fill_keras(const RnnConfig& c, const ParameterInfo& parameter, std::span<T> to, Random random) {
  const std::int64_t rows = parameter.shape[0], h = c.hidden_size;
  if (parameter.name.starts_with("weight_ih")) {
    fill_uniform(to, std::sqrt(6 / static_cast<double>(rows + parameter.shape[1])), random);
  } else if (parameter.name.starts_with("weight_hh")) {
    const std::vector<double> q = orthogonal(rows, h, random);
    for (std::int64_t i = 0; i < rows * h; ++i) to[i] = static_cast<T>(q[i % h * rows + i / h]);
  } else {
    const bool forget = c.cell == Cell::kLstm && parameter.name.starts_with("bias_ih");
    for (std::int64_t i = 0; i < rows; ++i) to[i] = T(forget && i / h == 1 ? 1 : 0);
  }
}

template <class T>
void fill(const RnnConfig& c, Initializer how, std::uint64_t seed, T* to) {
  std::uint32_t index = 0;
  for (const ParameterInfo& parameter : parameter_layout(c)) {
    const Random random(seed, index++);
    const std::span part(to + parameter.offset, static_cast<std::size_t>(parameter.shape.count()));
    if (how == Initializer::kPyTorch) {
      fill_uniform(part, 1 / std::sqrt(static_cast<double>(c.hidden_size)), random);
    } else {
      fill_keras(c, parameter, part, random);
    }
  }
}

}  // namespace

std::vector<ParameterInfo> parameter_layout(const RnnConfig& c) {
  validate_config(c);
  const std::int64_t gh = num_gates(c.cell) * c.hidden_size;
  std::vector<ParameterInfo> layout;
  std::int64_t offset = 0;
  const auto add = [&](const std::string& name, const Shape& shape) {
    layout.push_back({name, shape, offset});
    offset += shape.count();
  };
  for (std::int64_t l = 0; l < c.num_layers; ++l) {
    for (int d = 0; d < num_directions(c); ++d) {
      const std::string suffix = "_l" + std::to_string(l) + (d == 1 ? "_reverse" : "");
      add("weight_ih" + suffix, {gh, layer_input_size(c, l)});
      add("weight_hh" + suffix, {gh, c.hidden_size});
      if (c.bias != Bias::kNone) add("bias_ih" + suffix, {gh});
      if (c.bias == Bias::kDouble) add("bias_hh" + suffix, {gh});
    }
  }
  return layout;
}

std::int64_t parameter_count(const RnnConfig& c) {
  validate_config(c);
  const std::int64_t inner = c.hidden_size + static_cast<std::int64_t>(c.bias);  // kNone, kSingle, kDouble
  const std::int64_t inputs = c.input_size + (c.num_layers - 1) * layer_input_size(c, 1);
  return num_directions(c) * num_gates(c.cell) * c.hidden_size * (inputs + c.num_layers * inner);
}

void initialize(const RnnConfig& config, Initializer how, std::uint64_t seed, TensorView parameters) {
  validate_parameters("initialize", config, {}, parameters);
  if (config.dtype == DType::kF32) {
    fill(config, how, seed, static_cast<float*>(parameters.data));
  } else {
    fill(config, how, seed, static_cast<double*>(parameters.data));
  }
}

}  // namespace rondo
