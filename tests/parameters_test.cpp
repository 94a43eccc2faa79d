// Names, shapes and places of the parameters, and the distributions that the initialisers draw from.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "rondo/rondo.h"
#include "tensor_values.h"

namespace rondo::testing {
namespace {

using Values = std::vector<double>;

RnnConfig config_of(Cell cell, std::int64_t inputs, std::int64_t hidden) {
  return {.cell = cell, .input_size = inputs, .hidden_size = hidden, .dtype = DType::kF64};
}

Values initialized(const RnnConfig& config, Initializer how, std::uint64_t seed) {
  Tensor parameters(config.dtype, {parameter_count(config)});
  initialize(config, how, seed, parameters);
  return values_of(parameters);
}

Values part(const RnnConfig& config, const Values& all, const std::string& name) {
  for (const ParameterInfo& p : parameter_layout(config)) {
    if (p.name == name) return {all.begin() + p.offset, all.begin() + p.offset + p.shape.count()};
  }
  ADD_FAILURE() << "no parameter " << name;
  return {};
}

// Kolmogorov's distance from the uniform distribution in +-limit, times the root of the count. It is
// above 1.95 once in a thousand samples (Kolmogorov 1933).
double distance_from_uniform(Values v, double limit) {
  std::sort(v.begin(), v.end());
  const auto n = static_cast<double>(v.size());
  double distance = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double expected = (v[i] / limit + 1) / 2, below = static_cast<double>(i) / n;
    distance = std::max({distance, expected - below, below + 1 / n - expected});
  }
  return distance * std::sqrt(n);
}

void expect_uniform(const Values& v, double limit) {
  for (double e : v) ASSERT_LE(std::abs(e), limit);
  EXPECT_LT(distance_from_uniform(v, limit), 1.95) << v.size() << " values in +-" << limit;
}

struct Expected {
  const char* name;
  Shape shape;
};
void expect_layout(const RnnConfig& config, const std::vector<Expected>& expected) {
  const std::vector<ParameterInfo> layout = parameter_layout(config);
  ASSERT_EQ(layout.size(), expected.size());
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    EXPECT_EQ(layout[i].name, expected[i].name);
    EXPECT_EQ(layout[i].shape, expected[i].shape) << layout[i].name << " " << to_string(layout[i].shape);
    EXPECT_EQ(layout[i].offset, offset) << layout[i].name;
    offset += expected[i].shape.count();
  }
  EXPECT_EQ(parameter_count(config), offset);
}

TEST(ParameterLayout, BidirectionalStackInPyTorchsOrder) {
  RnnConfig config = config_of(Cell::kLstm, 3, 5);
  config.num_layers = 2;
  config.direction = Direction::kBidirectional;
  expect_layout(config, {{"weight_ih_l0", {20, 3}},
                         {"weight_hh_l0", {20, 5}},
                         {"bias_ih_l0", {20}},
                         {"bias_hh_l0", {20}},
                         {"weight_ih_l0_reverse", {20, 3}},
                         {"weight_hh_l0_reverse", {20, 5}},
                         {"bias_ih_l0_reverse", {20}},
                         {"bias_hh_l0_reverse", {20}},
                         {"weight_ih_l1", {20, 10}},
                         {"weight_hh_l1", {20, 5}},
                         {"bias_ih_l1", {20}},
                         {"bias_hh_l1", {20}},
                         {"weight_ih_l1_reverse", {20, 10}},
                         {"weight_hh_l1_reverse", {20, 5}},
                         {"bias_ih_l1_reverse", {20}},
                         {"bias_hh_l1_reverse", {20}}});
}

TEST(ParameterLayout, MergesSetTheNextLayersWidth) {
  RnnConfig config = config_of(Cell::kGru, 4, 6);
  config.num_layers = 2;
  config.direction = Direction::kBidirectional;
  for (const auto& [merge, inner, out] : {std::tuple{Merge::kConcat, 12, 12},
                                          {Merge::kSum, 6, 6},
                                          {Merge::kMul, 6, 6},
                                          {Merge::kAve, 6, 6},
                                          {Merge::kNone, 12, 6}}) {
    config.merge = merge;
    EXPECT_EQ(layer_input_size(config, 0), 4);
    EXPECT_EQ(layer_input_size(config, 1), inner) << to_string(merge);
    EXPECT_EQ(output_size(config), out) << to_string(merge);
    EXPECT_EQ(parameter_layout(config).at(8).shape, (Shape{18, inner})) << to_string(merge);
  }
}

TEST(ParameterLayout, BiasesAndOneDirection) {
  RnnConfig config = config_of(Cell::kSimpleRnn, 2, 3);
  config.bias = Bias::kNone;
  expect_layout(config, {{"weight_ih_l0", {3, 2}}, {"weight_hh_l0", {3, 3}}});
  config.bias = Bias::kSingle;
  expect_layout(config, {{"weight_ih_l0", {3, 2}}, {"weight_hh_l0", {3, 3}}, {"bias_ih_l0", {3}}});
}

TEST(ParameterLayout, WhatOptionsAdd) {
  RnnConfig lstm = config_of(Cell::kLstm, 3, 5);
  lstm.bias = Bias::kSingle;
  lstm.num_layers = 2;
  lstm.peephole = true;
  lstm.projection_size = 2;
  expect_layout(lstm, {{"weight_ih_l0", {20, 3}},
                       {"weight_hh_l0", {20, 2}},
                       {"bias_ih_l0", {20}},
                       {"weight_ch_l0", {15}},
                       {"weight_hr_l0", {2, 5}},
                       {"weight_ih_l1", {20, 2}},
                       {"weight_hh_l1", {20, 2}},
                       {"bias_ih_l1", {20}},
                       {"weight_ch_l1", {15}},
                       {"weight_hr_l1", {2, 5}}});
  lstm.projection_size = 0;
  lstm.num_layers = 1;
  lstm.layer_norm = true;
  lstm.direction = Direction::kReverse;
  expect_layout(lstm, {{"weight_ih_l0", {20, 3}},
                       {"weight_hh_l0", {20, 5}},
                       {"bias_ih_l0", {20}},
                       {"weight_ch_l0", {15}},
                       {"norm_ih_l0", {20}},
                       {"norm_hh_l0", {20}},
                       {"norm_c_l0", {5}},
                       {"norm_c_bias_l0", {5}}});
  RnnConfig gru = config_of(Cell::kGru, 3, 5);
  gru.bias = Bias::kNone;
  gru.layer_norm = true;
  expect_layout(gru,
                {{"weight_ih_l0", {15, 3}}, {"weight_hh_l0", {15, 5}}, {"norm_ih_l0", {15}}, {"norm_hh_l0", {15}}});
  // Options without parameters.
  RnnConfig plain = config_of(Cell::kLstm, 3, 5), more = plain;
  more.input_forget = more.cell_sequence = true;
  more.zoneout_h = more.zoneout_c = more.dropconnect = 0.5;
  more.preactivation_clip = more.cell_clip = 1;
  more.checkpoint_every = 2;
  EXPECT_EQ(parameter_count(more), parameter_count(plain));
}

TEST(ParameterLayout, ProjectionsNarrowWhatIsRead) {
  RnnConfig config = config_of(Cell::kLstm, 3, 5);
  config.projection_size = 2;
  config.num_layers = 2;
  config.direction = Direction::kBidirectional;
  EXPECT_EQ(state_size(config), 2);
  EXPECT_EQ(output_size(config), 4);
  EXPECT_EQ(layer_input_size(config, 1), 4);
  config.merge = Merge::kSum;
  EXPECT_EQ(output_size(config), 2);
  EXPECT_EQ(layer_input_size(config, 1), 2);
}

TEST(Initializers, OfOptionsParameters) {
  RnnConfig config = config_of(Cell::kLstm, 20, 49);
  config.peephole = config.layer_norm = true;
  RnnConfig projected = config_of(Cell::kLstm, 20, 49);
  projected.projection_size = 40;
  for (const Initializer how : {Initializer::kPyTorch, Initializer::kKeras}) {
    const Values all = initialized(config, how, 4);
    for (const char* name : {"norm_ih_l0", "norm_hh_l0", "norm_c_l0"}) {
      for (const double factor : part(config, all, name)) EXPECT_EQ(factor, 1) << name;
    }
    EXPECT_EQ(largest_magnitude(part(config, all, "norm_c_bias_l0")), 0);
    const double limit = how == Initializer::kKeras ? std::sqrt(6.0 / (40 + 49)) : 1.0 / 7;
    expect_uniform(part(projected, initialized(projected, how, 4), "weight_hr_l0"), limit);
  }
  expect_uniform(part(config, initialized(config, Initializer::kPyTorch, 4), "weight_ch_l0"), 1.0 / 7);
  EXPECT_EQ(largest_magnitude(part(config, initialized(config, Initializer::kKeras, 4), "weight_ch_l0")), 0);
}

TEST(ParameterViews, AreTheFlatArraysParts) {
  RnnConfig config = config_of(Cell::kGru, 3, 4);
  config.num_layers = 2;
  Rnn rnn(config, Device{});
  for (const ParameterInfo& p : parameter_layout(config)) {
    const TensorView parameter = rnn.parameter(p.name), gradient = rnn.gradient(p.name);
    EXPECT_EQ(parameter.data, rnn.parameters().span<double>().data() + p.offset) << p.name;
    EXPECT_EQ(gradient.data, rnn.gradients().span<double>().data() + p.offset) << p.name;
    EXPECT_EQ(parameter.shape, p.shape);
    EXPECT_EQ(gradient.shape, p.shape);
  }
  EXPECT_EQ(std::as_const(rnn).parameters().data, rnn.parameters().data);
}

TEST(ParameterViews, RnnStartsAsPyTorchWithSeedZero) {
  const RnnConfig config = config_of(Cell::kLstm, 3, 4);
  Rnn rnn(config, Device{});
  EXPECT_EQ(values_of(rnn.parameters()), initialized(config, Initializer::kPyTorch, 0));
  rnn.initialize(Initializer::kKeras, 5);
  EXPECT_EQ(values_of(rnn.parameters()), initialized(config, Initializer::kKeras, 5));
  EXPECT_EQ(largest_magnitude(values_of(rnn.gradients())), 0);
}

TEST(PyTorchInitializer, EverythingIsUniformWithinOneOverRootH) {
  for (Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    RnnConfig config = config_of(cell, 30, 49);
    config.num_layers = 2;
    const Values all = initialized(config, Initializer::kPyTorch, 11);
    for (const ParameterInfo& p : parameter_layout(config)) {
      SCOPED_TRACE(to_string(cell) + " " + p.name);
      const Values v = part(config, all, p.name);
      expect_uniform(v, 1.0 / 7);
      if (v.size() > 1000) {
        EXPECT_GT(largest_magnitude(v), 0.99 / 7);
      }
    }
  }
}

TEST(PyTorchInitializer, ParametersAreDrawnApart) {
  RnnConfig config = config_of(Cell::kLstm, 16, 16);
  config.direction = Direction::kBidirectional;
  const Values all = initialized(config, Initializer::kPyTorch, 3);
  const Values a = part(config, all, "weight_ih_l0"), b = part(config, all, "weight_hh_l0"),
               c = part(config, all, "weight_ih_l0_reverse");
  double ab = 0, ac = 0, aa = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ab += a[i] * b[i], ac += a[i] * c[i], aa += a[i] * a[i];
  // Of independent samples the correlation's deviation is 1 / sqrt(1024) = 0.03.
  EXPECT_LT(std::abs(ab / aa), 0.13);
  EXPECT_LT(std::abs(ac / aa), 0.13);
}

TEST(KerasInitializer, KernelIsGlorotUniform) {
  for (Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    const RnnConfig config = config_of(cell, 40, 32);
    const double limit = std::sqrt(6.0 / (40 + num_gates(cell) * 32));
    const Values w = part(config, initialized(config, Initializer::kKeras, 7), "weight_ih_l0");
    expect_uniform(w, limit);
    EXPECT_GT(largest_magnitude(w), 0.99 * limit);
  }
}

TEST(KerasInitializer, RecurrentKernelIsOrthogonal) {
  for (Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    for (std::int64_t h : {1, 2, 17, 64}) {
      RnnConfig config = config_of(cell, 3, h);
      config.direction = Direction::kBidirectional;
      const Values all = initialized(config, Initializer::kKeras, 13);
      for (const char* name : {"weight_hh_l0", "weight_hh_l0_reverse"}) {
        const Values r = part(config, all, name);
        for (std::int64_t a = 0; a < h; ++a) {
          for (std::int64_t b = 0; b < h; ++b) {
            double dot = 0;
            for (std::int64_t row = 0; row < num_gates(cell) * h; ++row)
              dot += r[row * h + a] * r[row * h + b];
            ASSERT_NEAR(dot, a == b ? 1 : 0, 1e-13) << to_string(cell) << " H=" << h << " " << a << ", " << b;
          }
        }
      }
    }
  }
}

// Each entry of a uniformly distributed orthogonal matrix has mean 0 and mean square 1 / rows.
TEST(KerasInitializer, OrthogonalMatricesFavourNoDirection) {
  const RnnConfig config = config_of(Cell::kSimpleRnn, 1, 4);
  constexpr int kSeeds = 2000;
  Values sum(16, 0), squares(16, 0);
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Values r = part(config, initialized(config, Initializer::kKeras, static_cast<std::uint64_t>(seed)),
                          "weight_hh_l0");
    for (std::size_t i = 0; i < r.size(); ++i) sum[i] += r[i], squares[i] += r[i] * r[i];
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(sum[i] / kSeeds, 0, 5 * 0.5 / std::sqrt(kSeeds)) << i;
    EXPECT_NEAR(squares[i] / kSeeds, 0.25, 5 * 0.2 / std::sqrt(kSeeds)) << i;
  }
}

TEST(KerasInitializer, BiasesAreZeroButTheForgetGates) {
  for (Bias bias : {Bias::kSingle, Bias::kDouble}) {
    for (Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
      RnnConfig config = config_of(cell, 3, 5);
      config.num_layers = 2;
      config.bias = bias;
      const Values all = initialized(config, Initializer::kKeras, 1);
      for (const std::string layer : {"_l0", "_l1"}) {
        const Values b = part(config, all, "bias_ih" + layer);
        for (std::size_t i = 0; i < b.size(); ++i) {
          EXPECT_EQ(b[i], cell == Cell::kLstm && i / 5 == 1 ? 1 : 0) << to_string(cell) << " " << i;
        }
        // Gates read the sum of both, so a second 1 would make the forget bias 2.
        if (bias == Bias::kDouble) {
          EXPECT_EQ(largest_magnitude(part(config, all, "bias_hh" + layer)), 0);
        }
      }
    }
  }
}

class EachInitializer : public ::testing::TestWithParam<Initializer> {};

TEST_P(EachInitializer, SeedsDecideEverything) {
  const RnnConfig config = config_of(Cell::kLstm, 6, 7);
  const Values first = initialized(config, GetParam(), 42);
  EXPECT_EQ(initialized(config, GetParam(), 42), first);
  EXPECT_NE(initialized(config, GetParam(), 43), first);
  EXPECT_NE(initialized(config, GetParam(), 42 + (std::uint64_t{1} << 32)), first);
}

TEST_P(EachInitializer, OtherTypesHaveTheRoundedDoubles) {
  RnnConfig config = config_of(Cell::kGru, 6, 9);
  const Values doubles = initialized(config, GetParam(), 42);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    config.dtype = dtype;
    const Values got = initialized(config, GetParam(), 42);
    ASSERT_EQ(got.size(), doubles.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], rounded_to(dtype, doubles[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EachInitializer,
                         ::testing::Values(Initializer::kPyTorch, Initializer::kKeras));

// The numbers come from a separate computation of Philox: they are the same on every machine.
TEST(PyTorchInitializer, ValuesOfASeed) {
  const RnnConfig config = config_of(Cell::kLstm, 3, 4);
  const Values all = initialized(config, Initializer::kPyTorch, 0x123456789abcdef0);
  EXPECT_EQ(part(config, all, "weight_ih_l0").at(0), -0.3278862342897243);
  EXPECT_EQ(part(config, all, "weight_ih_l0").at(1), -0.377394949045477);
  EXPECT_EQ(part(config, all, "weight_hh_l0").at(0), -0.08737470197900887);
  EXPECT_EQ(part(config, all, "bias_hh_l0").at(15), 0.02799153932000098);
}

}  // namespace
}  // namespace rondo::testing
