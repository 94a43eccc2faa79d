// Wrong configurations, plans, parameters, names and states: each refused, naming what was got and expected.
#include <gtest/gtest.h>

#include <limits>

#include "rejected.h"

namespace rondo::testing {
namespace {

// Each way to hand over a configuration refuses it with the same parts.
void expect_config_rejected(const RnnConfig& config, std::initializer_list<std::string> parts) {
  SCOPED_TRACE(*parts.begin());
  expect_rejected([&] { (void)parameter_layout(config); }, parts);
  expect_rejected([&] { (void)parameter_count(config); }, parts);
  expect_rejected([&] { Plan plan(config, {}); }, parts);
  expect_rejected([&] { Rnn rnn(config, Device{}); }, parts);
}

TEST(InvalidConfig, Sizes) {
  const auto with = [](auto member, std::int64_t value, std::initializer_list<std::string> parts) {
    RnnConfig config = valid_config();
    config.*member = value;
    expect_config_rejected(config, parts);
  };
  with(&RnnConfig::input_size, 0, {"input_size", "0", "1"});
  with(&RnnConfig::input_size, -3, {"input_size", "-3", "1"});
  with(&RnnConfig::hidden_size, 0, {"hidden_size", "0", "1"});
  with(&RnnConfig::hidden_size, -64, {"hidden_size", "-64", "1"});
  with(&RnnConfig::num_layers, 0, {"num_layers", "0", "1"});
  with(&RnnConfig::num_layers, -1, {"num_layers", "-1", "1"});
  expect_config_rejected(RnnConfig{}, {"size", "0"});
}

TEST(InvalidConfig, Rates) {
  const auto with = [](auto member, const std::string& name) {
    for (const auto& [rate, text] : {std::pair{-0.1, "-0.1"}, std::pair{1.5, "1.5"},
                                     std::pair{std::numeric_limits<double>::quiet_NaN(), "nan"},
                                     std::pair{std::numeric_limits<double>::infinity(), "inf"}}) {
      RnnConfig config = valid_config();
      config.num_layers = 2;
      config.*member = rate;
      expect_config_rejected(config, {name, text, "[0, 1]"});
    }
    for (double rate : {0.0, 1.0}) {
      RnnConfig config = valid_config();
      config.num_layers = 2;
      config.*member = rate;
      EXPECT_GT(parameter_count(config), 0);
    }
  };
  with(&RnnConfig::dropout, "dropout");
  with(&RnnConfig::recurrent_dropout, "recurrent_dropout");
  with(&RnnConfig::layer_dropout, "layer_dropout");
  with(&RnnConfig::zoneout_h, "zoneout_h");
  with(&RnnConfig::zoneout_c, "zoneout_c");
  with(&RnnConfig::dropconnect, "dropconnect");
}

TEST(InvalidConfig, ActivationFunctions) {
  using F = ActivationFunction;
  for (const auto& [member, name] : {std::pair{&RnnConfig::activation, "activation"},
                                     std::pair{&RnnConfig::gate_activation, "gate_activation"},
                                     std::pair{&RnnConfig::output_activation, "output_activation"}}) {
    const auto with = [&, function = member, of = std::string(name)](const F& f,
                                                                     const std::string& expected) {
      RnnConfig config = valid_config();
      config.*function = f;
      expect_config_rejected(config, {"RnnConfig: " + of + " is ", expected});
    };
    with(static_cast<Activation>(11), "11");
    with(F(Activation::kElu, -0.5), "alpha >= 0");
    with(F(Activation::kLeakyRelu, -0.01), "alpha >= 0");
    with(F(Activation::kThresholdedRelu, -1), "alpha >= 0");
    with(F(Activation::kScaledTanh, 0, 1), "alpha other than 0");
    with(F(Activation::kAffine, std::numeric_limits<double>::quiet_NaN()), "numbers that are finite");
    with(F(Activation::kHardSigmoid, 0.2, std::numeric_limits<double>::infinity()),
         "numbers that are finite");
    with(F(Activation::kScaledTanh, 1e-50, 1), "no denormals, in f32");
    with(F(Activation::kAffine, 1e300), "no denormals, in f32");
    RnnConfig config = valid_config();
    for (const F& good :
         {F(Activation::kElu, 0), F(Activation::kAffine, -2, -1), F(Activation::kScaledTanh, -1, 0)}) {
      config.*member = good;
      EXPECT_GT(parameter_count(config), 0);
    }
  }
}

TEST(InvalidConfig, Bounds) {
  for (const auto& [member, name] : {std::pair{&RnnConfig::preactivation_clip, "preactivation_clip"},
                                     std::pair{&RnnConfig::cell_clip, "cell_clip"}}) {
    for (const double bad : {-0.5, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), 1e-50, 1e39}) {
      RnnConfig config = valid_config();
      config.*member = bad;
      expect_config_rejected(config, {name, "a bound above 0 that f32 holds"});
    }
  }
  for (const double bad : {0.0, -1e-5, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(), 1e-40}) {
    RnnConfig config = valid_config();
    config.layer_norm_epsilon = bad;
    expect_config_rejected(config, {"layer_norm_epsilon", "number above 0 that f32 holds"});
  }
  RnnConfig config = valid_config();
  config.cell = Cell::kLstm;
  config.dtype = DType::kF64;
  config.preactivation_clip = config.layer_norm_epsilon = 1e-50;
  EXPECT_GT(parameter_count(config), 0);
}

TEST(InvalidConfig, WhatOnlyAnLstmHas) {
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kGru}) {
    const auto with = [&](const std::string& name, void (*set)(RnnConfig&)) {
      RnnConfig config = valid_config(cell);
      set(config);
      expect_config_rejected(config, {name + " is set for " + to_string(cell), "LSTM"});
      config.cell = Cell::kLstm;
      EXPECT_GT(parameter_count(config), 0) << name;
    };
    with("peephole", [](RnnConfig& c) { c.peephole = true; });
    with("input_forget", [](RnnConfig& c) { c.input_forget = true; });
    with("projection_size", [](RnnConfig& c) { c.projection_size = 2; });
    with("cell_sequence", [](RnnConfig& c) { c.cell_sequence = true; });
    with("cell_clip", [](RnnConfig& c) { c.cell_clip = 1; });
    with("zoneout_c", [](RnnConfig& c) { c.zoneout_c = 0.5; });
  }
}

TEST(InvalidConfig, Projections) {
  for (const std::int64_t bad : {std::int64_t{-1}, kH, kH + 1}) {
    RnnConfig config = valid_config();
    config.projection_size = bad;
    expect_config_rejected(config, {"projection_size is " + std::to_string(bad), "1 to hidden_size - 1 = 3"});
  }
  RnnConfig one = valid_config();
  one.hidden_size = 1;
  one.projection_size = 1;
  expect_config_rejected(one, {"projection_size is 1"});
}

TEST(InvalidConfig, LayerNormAndWhatItGoesWith) {
  RnnConfig config = valid_config(Cell::kSimpleRnn);
  config.layer_norm = true;
  expect_config_rejected(config, {"layer_norm is set for rnn", "reset_after"});
  config.cell = Cell::kGru;
  config.gru_reset = GruReset::kBefore;
  expect_config_rejected(config, {"layer_norm is set for gru with reset_before", "LSTM"});
  config.gru_reset = GruReset::kAfter;
  EXPECT_GT(parameter_count(config), 0);
  config.cell = Cell::kLstm;
  EXPECT_GT(parameter_count(config), 0);
  config.projection_size = 2;
  expect_config_rejected(config, {"layer_norm is set with a projection"});
}

TEST(InvalidConfig, CheckpointsAndWhatTheyGoWith) {
  RnnConfig config = valid_config();
  config.checkpoint_every = -1;
  expect_config_rejected(config, {"checkpoint_every is -1", "at least 0"});
  config.checkpoint_every = 4;
  EXPECT_GT(parameter_count(config), 0);
  config.direction = Direction::kBidirectional;
  expect_config_rejected(config, {"checkpoint_every is 4 for a bidirectional network"});
  config.direction = Direction::kReverse;
  config.masked_outputs = MaskedOutputs::kRepeat;
  expect_config_rejected(config, {"checkpoint_every is 4 with MaskedOutputs::kRepeat"});
  config.checkpoint_every = 0;
  config.masked_outputs = static_cast<MaskedOutputs>(2);
  expect_config_rejected(config, {"masked_outputs", "2"});
}

TEST(InvalidConfig, TypesAndUnknownEnumerators) {
  RnnConfig integers = valid_config();
  integers.dtype = DType::kI32;
  expect_config_rejected(integers, {"dtype", "i32", "f32", "f64", "f16", "bf16"});
  for (const DType dtype : {DType::kF16, DType::kBf16}) {
    RnnConfig config = valid_config();
    config.dtype = dtype;
    EXPECT_GT(parameter_count(config), 0);
  }
  RnnConfig cell = valid_config();
  cell.cell = static_cast<Cell>(9);
  expect_config_rejected(cell, {"cell", "9"});
  RnnConfig direction = valid_config();
  direction.direction = static_cast<Direction>(200);
  expect_config_rejected(direction, {"direction", "200"});
}

TEST(InvalidConfig, Tf32IsForF32Alone) {
  RnnConfig config = valid_config();
  config.math_mode = MathMode::kTf32;
  EXPECT_GT(parameter_count(config), 0);
  for (const auto& [dtype, name] :
       {std::pair{DType::kF64, "f64"}, std::pair{DType::kF16, "f16"}, std::pair{DType::kBf16, "bf16"}}) {
    config.dtype = dtype;
    expect_config_rejected(config, {"math_mode", "tf32", name, "strict"});
  }
  config.math_mode = static_cast<MathMode>(2);
  expect_config_rejected(config, {"math_mode", "2"});
}

TEST(InvalidConfig, SizesWhoseProductOverflows) {
  const std::int64_t big = std::int64_t{1} << 40;
  RnnConfig hidden = valid_config();
  hidden.hidden_size = big;
  expect_config_rejected(hidden, {std::to_string(big)});
  RnnConfig input = valid_config();
  input.input_size = std::numeric_limits<std::int64_t>::max();
  expect_config_rejected(input, {std::to_string(input.input_size)});
  RnnConfig layers = valid_config();
  layers.num_layers = std::numeric_limits<std::int64_t>::max();
  expect_config_rejected(layers, {std::to_string(layers.num_layers)});
}

TEST(InvalidPlan, Options) {
  const auto with = [](const PlanOptions& options, std::initializer_list<std::string> parts) {
    expect_rejected([&] { Plan plan(valid_config(), options); }, parts);
  };
  with({.max_t = 0}, {"max_t", "0", "1"});
  with({.max_t = -5}, {"max_t", "-5", "1"});
  with({.max_n = -1}, {"max_n", "-1", "0"});
  const std::int64_t big = std::int64_t{1} << 40;
  with({.max_t = big, .max_n = big}, {std::to_string(big)});
  with({.max_t = std::numeric_limits<std::int64_t>::max()},
       {std::to_string(std::numeric_limits<std::int64_t>::max())});
}

TEST(InvalidTensor, ShapesAndTypes) {
  const std::int64_t big = std::int64_t{1} << 40;
  expect_rejected([] { Shape shape({1, 2, 3, 4, 5}); }, {"5", "4"});
  expect_rejected([&] { Tensor tensor(DType::kF32, {big, big}); }, {std::to_string(big)});
  expect_rejected([] { Tensor tensor(DType::kF32, {3, -1}); }, {"[3, -1]"});
  Tensor tensor(DType::kF32, {3});
  expect_rejected([&] { (void)tensor.span<double>(); }, {"f64", "f32"});
  expect_rejected([&] { (void)tensor.view().span<std::int64_t>(); }, {"i64", "f32"});
}

TEST(InvalidParameters, ShapeTypeAndPresence) {
  ValidCall call;
  Tensor few(DType::kF32, {143}), doubles(DType::kF64, {144}), right = filled(DType::kF32, {144});
  expect_rejected([&] { (void)call.plan.pack(few); }, {"pack", "parameters", "[143]", "144"});
  expect_rejected([&] { (void)call.plan.pack(doubles); }, {"pack", "parameters", "f64", "f32"});
  expect_rejected([&] { (void)call.plan.pack({}); }, {"pack", "parameters", "[]", "144"});
  const auto start = [&](TensorView v) { initialize(call.config, Initializer::kKeras, 1, v); };
  expect_rejected([&] { start(few); }, {"initialize", "parameters", "[143]", "144"});
  expect_rejected([&] { start(doubles); }, {"initialize", "parameters", "f64", "f32"});
  ConstTensorView strided = right;
  strided.strides[0] = 2;
  expect_rejected([&] { (void)call.plan.pack(strided); }, {"pack", "parameters", "stride", "dense"});
  for (float v : few.span<float>()) ASSERT_EQ(v, 0.0F);
}

TEST(InvalidName, ListsThoseThatExist) {
  Rnn rnn(valid_config(), Device{});
  expect_rejected([&] { (void)rnn.parameter("weight_ih_l1"); },
                  {"weight_ih_l1", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"});
  expect_rejected([&] { (void)rnn.gradient("kernel"); }, {"kernel", "weight_ih_l0", "bias_hh_l0"});
  RnnConfig single = valid_config();
  single.bias = Bias::kSingle;
  Rnn one_bias(single, Device{});
  expect_rejected([&] { (void)one_bias.parameter("bias_hh_l0"); }, {"bias_hh_l0", "bias_ih_l0"});
}

TEST(InvalidRnnForward, ShapesAndStates) {
  Rnn rnn(valid_config(), Device{});
  Tensor features(DType::kF32, {kT, kN, 7}), x = filled(DType::kF32, {kT, kN, kI}),
                                             h0(DType::kF32, {1, 8, 2});
  expect_rejected([&] { (void)rnn.forward(features); }, {"forward", "x", "[5, 2, 7]", "I=3"});
  expect_rejected(
      [&] {
        (void)rnn.forward(Tensor(DType::kF32, {0, kN, kI}));
      },
      {"forward", "T is 0", "at least 1"});
  ForwardOptions options;
  options.h0 = h0;
  expect_rejected([&] { (void)rnn.forward(x, options); },
                  {"forward: h0 has shape [1, 8, 2], expected [L*D=1, N=2, H=4]"});
  expect_rejected([&] { (void)rnn.forward({}); }, {"forward: x has shape []", "I=3"});
}

TEST(InvalidRnnForward, LeavesTheStateAlone) {
  Rnn rnn(valid_config(), Device{});
  State state = rnn.make_state(kN);
  Tensor x = filled(DType::kF32, {kT, kN, kI}), rows = filled(DType::kF32, {kT, kN + 1, kI});
  ForwardOptions options;
  options.state = &state;
  (void)rnn.forward(x, options);
  Snapshot before;
  before.add("h", state.h());
  before.add("c", state.c());
  expect_rejected([&] { (void)rnn.forward(rows, options); }, {"forward: state.h has shape [1, 2, 4]", "N=3"});
  before.expect_unchanged();
}

TEST(InvalidRnnBackward, TapesOfOtherTimesAndNetworks) {
  Rnn rnn(valid_config(), Device{}), other(valid_config(), Device{});
  const Tensor x = filled(DType::kF32, {kT, kN, kI}), dy = filled(DType::kF32, {kT, kN, kH});
  Tape tape;
  ForwardOptions forward;
  forward.tape = &tape;
  BackwardOptions upstream;
  upstream.dy = dy;
  const auto backward = [&](Rnn& network) { return [&] { (void)network.backward(tape, upstream); }; };
  expect_rejected(backward(rnn), {"backward", "tape is empty", "forward"});

  const ForwardResult first = rnn.forward(x, forward);
  expect_rejected(backward(other), {"backward", "tape was recorded by another"});
  backward(rnn)();
  expect_rejected(backward(rnn), {"backward", "tape was used", "fresh forward"});

  const ForwardResult second = rnn.forward(x, forward);
  rnn.zero_gradients();
  rnn.parameters_changed();
  expect_rejected(backward(rnn), {"backward", "parameters changed", "tape"});
  const ForwardResult third = rnn.forward(x, forward);
  rnn.parameters().span<float>()[0] += 1;
  expect_rejected(backward(rnn), {"backward", "parameters changed", "tape"});
  for (float v : rnn.gradients().span<float>()) ASSERT_EQ(v, 0.0F);
}

TEST(InvalidStep, ReverseAndBidirectionalNetworks) {
  for (Direction direction : {Direction::kReverse, Direction::kBidirectional}) {
    RnnConfig config = valid_config();
    config.direction = direction;
    Rnn rnn(config, Device{});
    const Tensor x = filled(DType::kF32, {kN, kI});
    expect_rejected(
        [&] {
          State state = rnn.make_state(kN);
          (void)rnn.step(x, state);
        },
        {"step", to_string(direction), "forward"});
  }
}

TEST(InvalidStep, ShapesTypesAndStates) {
  Rnn rnn(valid_config(), Device{});
  State state = rnn.make_state(kN);
  const Tensor x = filled(DType::kF32, {kN, kI});
  (void)rnn.step(x, state);
  Snapshot before;
  before.add("h", state.h());
  before.add("c", state.c());
  const auto with = [&](ConstTensorView input, std::initializer_list<std::string> parts) {
    expect_rejected([&] { (void)rnn.step(input, state); }, parts);
    before.expect_unchanged();
  };
  const Tensor features(DType::kF32, {kN, 9}), rows(DType::kF32, {1, kI}), rank(DType::kF32, {1, kN, kI});
  const Tensor doubles(DType::kF64, {kN, kI});
  with(features, {"step", "x", "[2, 9]", "I=3"});
  with(rows, {"step", "x", "[1, 3]", "N=2"});
  with(rank, {"step", "x", "[1, 2, 3]", "I=3"});
  with(doubles, {"step", "x", "f64", "f32"});
  with({}, {"step: x_t has shape []", "I=3"});

  State absent;
  expect_rejected([&] { (void)rnn.step(x, absent); }, {"step", "state is empty", "make_state"});
  RnnConfig larger = valid_config();
  larger.hidden_size = 6;
  Rnn other(larger, Device{});
  expect_rejected([&] { (void)other.step(x, state); }, {"step", "state", "[1, 2, 4]", "H=6"});
  Rnn gru(valid_config(Cell::kGru), Device{});
  State gru_state = gru.make_state(kN);
  expect_rejected([&] { (void)rnn.step(x, gru_state); }, {"step", "c", "state"});
  expect_rejected([&] { (void)rnn.make_state(-1); }, {"make_state", "-1", "0"});
  expect_rejected([&] { state.reset_row(2); }, {"reset_row", "row is 2", "0 to 1"});
  expect_rejected([&] { state.reset_row(-1); }, {"reset_row", "row is -1", "0 to 1"});
}

}  // namespace
}  // namespace rondo::testing
