// Names, shapes and offsets of the canonical parameters, and their initialisers.
#include "rondo/parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/layer_parameters.h"
#include "core/philox.h"
#include "core/validate.h"

namespace rondo {
namespace {

// Uniform and normal numbers, each a function of (seed, parameter, index).
struct Random {
  std::uint64_t seed;
  std::uint32_t parameter;
  std::uint64_t index = 0;

  double uniform() {  // [0, 1), 53 bits
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    const std::uint64_t i = index++;
    // The last word keeps these apart from dropout masks of the same seed.
    const auto bits = philox4x32({low(i), low(i >> 32), parameter, 1u << 31}, {low(seed), low(seed >> 32)});
    return static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  }
  double normal() {  // Box and Muller 1958
    const double u = 1 - uniform(), v = uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }
};

// Orthonormal columns [rows, columns], rows >= columns: Gram-Schmidt of normal columns, twice for accuracy.
// It is the Q of a QR decomposition whose R has a positive diagonal, hence uniform over all such matrices.
void fill_orthogonal(std::vector<double>& matrix, std::int64_t rows, std::int64_t columns, Random random) {
  std::vector<double> q(matrix.size());  // column by column
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
    for (std::int64_t i = 0; i < rows; ++i) {
      v[i] /= norm;
      matrix[i * columns + j] = v[i];
    }
  }
}

std::vector<double> draw(const RnnConfig& c, const ParameterInfo& parameter, Initializer how, Random random) {
  const Shape& shape = parameter.shape;
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  const bool keras = how == Initializer::kKeras;
  if (parameter.name.starts_with("norm")) {
    std::fill(values.begin(), values.end(), parameter.name.starts_with("norm_c_bias") ? 0 : 1);
  } else if (keras && parameter.name.starts_with("weight_ch")) {
    // Zeros.
  } else if (keras && parameter.name.starts_with("weight_hh")) {
    fill_orthogonal(values, shape[0], shape[1], random);
  } else if (keras && parameter.name.starts_with("bias")) {
    const bool forgets = c.cell == Cell::kLstm && parameter.name.starts_with("bias_ih");
    if (forgets) std::fill_n(values.begin() + c.hidden_size, c.hidden_size, 1);
  } else {
    const double fans = static_cast<double>(shape[0] + shape[1]), h = static_cast<double>(c.hidden_size);
    const double limit = keras ? std::sqrt(6 / fans) : 1 / std::sqrt(h);
    for (double& value : values) value = (2 * random.uniform() - 1) * limit;
  }
  return values;
}

template <class T>
void store(const std::vector<double>& values, TensorView parameters, std::int64_t offset) {
  std::transform(values.begin(), values.end(), parameters.span<T>().begin() + offset,
                 [](double value) { return static_cast<T>(value); });
}

}  // namespace

std::vector<ParameterInfo> parameter_layout(const RnnConfig& c) {
  validate_config(c);
  const std::int64_t h = c.hidden_size, gh = num_gates(c.cell) * h, s = state_size(c);
  const bool norm_c = c.layer_norm && c.cell == Cell::kLstm;
  std::vector<ParameterInfo> layout;
  std::int64_t end = 0;
  for (std::int64_t l = 0; l < c.num_layers; ++l) {
    for (int d = 0; d < num_directions(c); ++d) {
      const std::string suffix = "_l" + std::to_string(l) + (d == 1 ? "_reverse" : "");
      const LayerParameters at = layer_parameters(c, l, end);
      const auto add = [&](bool there, const char* name, const Shape& shape, std::int64_t offset) {
        if (there) layout.push_back({name + suffix, shape, offset});
      };
      add(true, "weight_ih", {gh, at.in}, at.weight_ih);
      add(true, "weight_hh", {gh, s}, at.weight_hh);
      add(c.bias != Bias::kNone, "bias_ih", {gh}, at.bias_ih);
      add(c.bias == Bias::kDouble, "bias_hh", {gh}, at.bias_hh);
      add(c.peephole, "weight_ch", {3 * h}, at.weight_ch);
      add(c.layer_norm, "norm_ih", {gh}, at.norm_ih);
      add(c.layer_norm, "norm_hh", {gh}, at.norm_hh);
      add(norm_c, "norm_c", {h}, at.norm_c);
      add(norm_c, "norm_c_bias", {h}, at.norm_c_bias);
      add(c.projection_size > 0, "weight_hr", {c.projection_size, h}, at.weight_hr);
      end = at.end;
    }
  }
  return layout;
}

std::int64_t parameter_count(const RnnConfig& c) {
  validate_config(c);
  // All layers above the first are alike.
  const std::int64_t first = layer_parameters(c, 0, 0).end, other = layer_parameters(c, 1, 0).end;
  return num_directions(c) * (first + (c.num_layers - 1) * other);
}

void initialize(const RnnConfig& config, Initializer how, std::uint64_t seed, TensorView parameters) {
  validate_parameters("initialize", config, {}, parameters);
  std::uint32_t index = 0;
  for (const ParameterInfo& parameter : parameter_layout(config)) {
    const std::vector<double> values = draw(config, parameter, how, {seed, index++});
    if (config.dtype == DType::kF32) store<float>(values, parameters, parameter.offset);
    if (config.dtype == DType::kF64) store<double>(values, parameters, parameter.offset);
    if (config.dtype == DType::kF16) store<Float16>(values, parameters, parameter.offset);
    if (config.dtype == DType::kBf16) store<BFloat16>(values, parameters, parameter.offset);
  }
}

}  // namespace rondo
