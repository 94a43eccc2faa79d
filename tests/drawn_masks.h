// Dropout masks as a training pass draws them, read from its results alone.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "network_fixture.h"

namespace rondo::testing {

// Where a pass draws its masks from.
struct Draw {
  std::uint64_t seed = 1, offset = 0;
};

// A relu network without bias whose weights are 1 on the diagonal: it returns what it multiplied x by.
inline RnnConfig identity_config(std::int64_t units, std::int64_t layers = 1, DType dtype = DType::kF32) {
  RnnConfig c;
  c.cell = Cell::kSimpleRnn;
  c.activation = Activation::kRelu;
  c.bias = Bias::kNone;
  c.input_size = c.hidden_size = units;
  c.num_layers = layers;
  c.dtype = dtype;
  return c;
}

// y of a training pass of such a network. R is 0 unless there is recurrent dropout to look at.
inline Tensor identity_pass(const RnnConfig& config, ConstTensorView x, const Draw& from,
                            ConstTensorView lengths = {}) {
  Rnn rnn(config, Device{});
  for (const ParameterInfo& p : parameter_layout(config)) {
    std::vector<double> w(static_cast<std::size_t>(p.shape.count()));
    if (p.name.starts_with("weight_ih") || config.recurrent_dropout > 0) {
      for (std::int64_t j = 0; j < p.shape[0]; ++j) w[j * p.shape[1] + j] = 1;
    }
    store(rnn.parameter(p.name), w);
  }
  Tape tape;
  ForwardOptions options;
  options.lengths = lengths;
  options.dropout.seed = from.seed;
  options.dropout.offset = from.offset;
  options.tape = &tape;
  return std::move(rnn.forward(x, options).y);
}

// The factors on x, or between two layers, at every step: [T, N, O].
inline std::vector<double> factors_on_ones(const RnnConfig& config, std::int64_t t, std::int64_t n,
                                           const Draw& from) {
  const std::vector<double> ones(static_cast<std::size_t>(t * n * config.input_size), 1);
  const Shape shape = config.layout == Layout::kTimeMajor ? Shape{t, n, config.input_size}
                                                          : Shape{n, t, config.input_size};
  return values_of(identity_pass(config, make_tensor(config.dtype, shape, ones), from).view());
}

// One impulse at the first step: y at step s, [N, units], is the recurrent factor to the power of s.
inline std::vector<double> recurrent_powers(const RnnConfig& config, std::int64_t t, std::int64_t n,
                                            const Draw& from) {
  std::vector<double> x(static_cast<std::size_t>(t * n * config.input_size));
  std::fill_n(x.begin(), n * config.input_size, 1);
  return values_of(identity_pass(config, make_tensor(config.dtype, {t, n, config.input_size}, x), from).view());
}

// 1 where a factor is 0, else 0.
using Dropped = std::vector<double>;
inline Dropped dropped_of(const std::vector<double>& factors) {
  Dropped d;
  for (double f : factors) d.push_back(f == 0 ? 1 : 0);
  return d;
}

// One step of one row, backward: column i of a gate's weight gradient is zero if that gate's mask dropped i.
class GradientProbe {
 public:
  GradientProbe(const RnnConfig& config, const Draw& from) : config_(config), rnn_(config, Device{}) {
    const Shape states{config.num_layers * num_directions(config), 1, config.hidden_size};
    const Tensor x = random_tensor(config.dtype, {1, 1, config.input_size}, 1);
    const Tensor h0 = random_tensor(config.dtype, states, 2);
    const Tensor c0 = config.cell == Cell::kLstm ? random_tensor(config.dtype, states, 3) : Tensor();
    const Tensor dy = random_tensor(config.dtype, {1, 1, output_size(config)}, 4);
    Tape tape;
    ForwardOptions options;
    options.h0 = h0;
    options.c0 = c0;
    options.dropout.seed = from.seed;
    options.dropout.offset = from.offset;
    options.tape = &tape;
    const ForwardResult out = rnn_.forward(x, options);
    rnn_.backward(tape, {.dy = dy});
  }

  // For each gate, what its mask dropped of the weight's columns.
  std::vector<Dropped> dropped(const std::string& weight) {
    const TensorView view = rnn_.gradient(weight);
    const std::vector<double> gradient = values_of(view);
    const std::int64_t columns = view.shape[1], rows = config_.hidden_size;
    std::vector<Dropped> by_gate;
    for (int gate = 0; gate < num_gates(config_.cell); ++gate) {
      Dropped& d = by_gate.emplace_back();
      for (std::int64_t i = 0; i < columns; ++i) {
        std::int64_t zeros = 0;
        for (std::int64_t j = 0; j < rows; ++j) zeros += gradient[(gate * rows + j) * columns + i] == 0 ? 1 : 0;
        EXPECT_TRUE(zeros == 0 || zeros == rows) << weight << " gate " << gate << " column " << i;
        d.push_back(zeros > 0 ? 1 : 0);
      }
    }
    return by_gate;
  }

 private:
  RnnConfig config_;
  Rnn rnn_;
};

// The distance, in standard deviations, at which a figure counts as wrong. Seeds are fixed, so a test passes
// always or never; a right generator would exceed this in one of 150,000 figures.
constexpr double kDeviations = 4.5;

inline void expect_rate(const Dropped& dropped, double rate, const std::string& what) {
  double sum = 0;
  for (double d : dropped) sum += d;
  const double count = static_cast<double>(dropped.size());
  EXPECT_LE(std::abs(sum - count * rate), kDeviations * std::sqrt(count * rate * (1 - rate)))
      << what << ": dropped " << sum << " of " << count << " at rate " << rate;
}

inline void expect_independent(const Dropped& a, const Dropped& b, double rate, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - rate) * (b[i] - rate);
  const double deviation = rate * (1 - rate) * std::sqrt(static_cast<double>(a.size()));
  EXPECT_LE(std::abs(sum), kDeviations * deviation) << what << ": correlated, " << sum / deviation << " deviations";
}

// Elements `lag` apart.
inline void expect_independent_at_lag(const Dropped& d, std::size_t lag, double rate, const std::string& what) {
  expect_independent({d.begin(), d.end() - static_cast<std::ptrdiff_t>(lag)},
                     {d.begin() + static_cast<std::ptrdiff_t>(lag), d.end()}, rate,
                     what + ", " + std::to_string(lag) + " apart");
}

}  // namespace rondo::testing
