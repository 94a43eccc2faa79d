// Names, shapes and offsets of the canonical parameters, and their initialisers.
#include "rondo/parameters.h"

#include <cmath>
#include <numbers>

#include "core/philox.h"
#include "core/validate.h"

namespace rondo {
namespace {

// Calls visit(name, shape) for each parameter in order.
template <class Visit>
void for_each_parameter(const RnnConfig& c, Visit&& visit) {
  const std::int64_t gh = num_gates(c.cell) * c.hidden_size;
  for (std::int64_t l = 0; l < c.num_layers; ++l) {
    for (int d = 0; d < num_directions(c); ++d) {
      const std::string suffix = "_l" + std::to_string(l) + (d == 1 ? "_reverse" : "");
      visit("weight_ih" + suffix, Shape{gh, layer_input_size(c, l)});
      visit("weight_hh" + suffix, Shape{gh, c.hidden_size});
      if (c.bias != Bias::kNone) visit("bias_ih" + suffix, Shape{gh});
      if (c.bias == Bias::kDouble) visit("bias_hh" + suffix, Shape{gh});
    }
  }
}

// Uniform and normal numbers, each a function of (seed, parameter, index).
class Random {
 public:
  Random(std::uint64_t seed, std::uint32_t parameter)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, parameter_(parameter) {}
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
    const std::uint64_t i = index_++;
    // The last word keeps these apart from dropout masks of the same seed.
    return philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), parameter_, 0x80000000u},
                      key_);
  }
  std::array<std::uint32_t, 2> key_;
  std::uint32_t parameter_;
  std::uint64_t index_ = 0;
};

// Orthonormal columns [rows, columns], rows >= columns: Gram-Schmidt of normal columns, twice for accuracy.
// It is the Q of a QR decomposition whose R has a positive diagonal, hence uniform over all such matrices.
std::vector<double> orthogonal(std::int64_t rows, std::int64_t columns, Random random) {
  std::vector<double> q(static_cast<std::size_t>(rows * columns));  // column by column
  const auto column = [&](std::int64_t j) { return q.data() + j * rows; };
  for (std::int64_t j = 0; j < columns; ++j) {
    double* v = column(j);
    for (std::int64_t i = 0; i < rows; ++i) v[i] = random.normal();
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t k = 0; k < j; ++k) {
        const double* u = column(k);
        double dot = 0;
        for (std::int64_t i = 0; i < rows; ++i) dot += u[i] * v[i];
        for (std::int64_t i = 0; i < rows; ++i) v[i] -= dot * u[i];
      }
    }
    double norm = 0;
    for (std::int64_t i = 0; i < rows; ++i) norm += v[i] * v[i];
    norm = std::sqrt(norm);
    for (std::int64_t i = 0; i < rows; ++i) v[i] /= norm;
  }
  return q;
}

template <class T>
void fill_uniform(T* to, std::int64_t count, double limit, Random random) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<T>((2 * random.uniform() - 1) * limit);
}

template <class T>
void fill_keras(const RnnConfig& c, const std::string& name, const Shape& shape, T* to, Random random) {
  const std::int64_t h = c.hidden_size;
  if (name.rfind("weight_ih", 0) == 0) {
    const double fans = static_cast<double>(shape[0] + shape[1]);
    fill_uniform(to, shape.count(), std::sqrt(6 / fans), random);
  } else if (name.rfind("weight_hh", 0) == 0) {
    const std::vector<double> q = orthogonal(shape[0], h, random);
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      for (std::int64_t j = 0; j < h; ++j) to[i * h + j] = static_cast<T>(q[static_cast<std::size_t>(j * shape[0] + i)]);
    }
  } else {
    const bool forget = c.cell == Cell::kLstm && name.rfind("bias_ih", 0) == 0;
    for (std::int64_t i = 0; i < shape[0]; ++i) to[i] = T(forget && i / h == 1 ? 1 : 0);
  }
}

template <class T>
void fill(const RnnConfig& c, Initializer how, std::uint64_t seed, T* to) {
  std::uint32_t index = 0;
  for_each_parameter(c, [&](const std::string& name, const Shape& shape) {
    const Random random(seed, index++);
    if (how == Initializer::kPyTorch) {
      fill_uniform(to, shape.count(), 1 / std::sqrt(static_cast<double>(c.hidden_size)), random);
    } else {
      fill_keras(c, name, shape, to, random);
    }
    to += shape.count();
  });
}

}  // namespace

std::vector<ParameterInfo> parameter_layout(const RnnConfig& config) {
  validate_config(config);
  std::vector<ParameterInfo> layout;
  std::int64_t offset = 0;
  for_each_parameter(config, [&](const std::string& name, const Shape& shape) {
    layout.push_back({name, shape, offset});
    offset += shape.count();
  });
  return layout;
}

std::int64_t parameter_count(const RnnConfig& config) {
  validate_config(config);
  const std::int64_t biases = config.bias == Bias::kNone ? 0 : (config.bias == Bias::kSingle ? 1 : 2);
  const std::int64_t gh = num_gates(config.cell) * config.hidden_size;
  const auto layer = [&](std::int64_t l) {
    return num_directions(config) * gh * (layer_input_size(config, l) + config.hidden_size + biases);
  };
  const std::int64_t count = layer(0) + (config.num_layers - 1) * layer(1);
  return count;
}

void initialize(const RnnConfig& config, Initializer how, std::uint64_t seed, TensorView parameters) {
  validate_parameters("initialize", "parameters", config, {}, parameters);
  if (config.dtype == DType::kF32) {
    fill(config, how, seed, static_cast<float*>(parameters.data));
  } else {
    fill(config, how, seed, static_cast<double*>(parameters.data));
  }
}

}  // namespace rondo
