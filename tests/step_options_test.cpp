// The options of cells on the CUDA backend's step path, on a runtime of the host, against the CPU: together,
// with masks that are drawn, and with gradients that accumulate.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "network_fixture.h"
#include "step_gpu.h"

namespace rondo::testing {
namespace {

enum class Cells { kAll, kNormalised, kLstm };
struct Option {
  const char* name;
  std::function<void(RnnConfig&)> set;
  Cells cells = Cells::kAll;
  bool applies_to(const CellChoice& cell) const {
    const bool after = cell.cell == Cell::kGru && cell.gru_reset == GruReset::kAfter;
    return cells == Cells::kAll || cell.cell == Cell::kLstm || (cells == Cells::kNormalised && after);
  }
};

const std::vector<Option>& options() {
  const auto functions = [](ActivationFunction gate, ActivationFunction candidate,
                            ActivationFunction output) {
    return [=](RnnConfig& c) {
      c.gate_activation = gate;
      c.activation = candidate;
      c.output_activation = output;
    };
  };
  using enum Activation;
  static const std::vector<Option> all = {
      {"hard_softsign_elu", functions({kHardSigmoid, 0.3, 0.4}, kSoftsign, {kElu, 0.7})},
      {"affine_leaky_scaled", functions({kAffine, 0.4, 0.2}, {kLeakyRelu, 0.2}, {kScaledTanh, -1.5, 0.6})},
      {"softplus_thresholded", functions(kSigmoid, kSoftplus, {kThresholdedRelu, 0.3})},
      {"preactivation_clip", [](RnnConfig& c) { c.preactivation_clip = 0.3; }},
      {"zoneout_h", [](RnnConfig& c) { c.zoneout_h = 0.4; }},
      {"dropconnect", [](RnnConfig& c) { c.dropconnect = 0.4; }},
      {"dropconnect_masks",
       [](RnnConfig& c) {
         c.dropconnect = c.recurrent_dropout = c.dropout = 0.4;
         c.gate_masks = GateMasks::kPerGate;
       }},
      {"layer_norm", [](RnnConfig& c) { c.layer_norm = true; }, Cells::kNormalised},
      {"layer_norm_masks",
       [](RnnConfig& c) {
         c.layer_norm = true;
         c.layer_norm_epsilon = 0.01;
         c.hidden_size = 23;  // more than one chunk of a row
         c.dropconnect = c.recurrent_dropout = c.dropout = c.zoneout_h = 0.4;
         c.gate_masks = GateMasks::kPerGate;
         c.gate_activation = {kHardSigmoid, 0.2, 0.5};
       },
       Cells::kNormalised},
      {"layer_norm_cell",
       [](RnnConfig& c) {
         c.layer_norm = c.peephole = c.cell_sequence = true;
         c.zoneout_c = c.zoneout_h = 0.3;
         c.cell_clip = 0.6;
         c.preactivation_clip = 1.5;
         c.output_activation = kSoftsign;
       },
       Cells::kLstm},
      {"layer_norm_input_forget", [](RnnConfig& c) { c.layer_norm = c.input_forget = true; }, Cells::kLstm},
      {"peephole", [](RnnConfig& c) { c.peephole = true; }, Cells::kLstm},
      {"input_forget", [](RnnConfig& c) { c.input_forget = c.peephole = true; }, Cells::kLstm},
      {"projection", [](RnnConfig& c) { c.projection_size = 3; }, Cells::kLstm},
      {"projection_masks",
       [](RnnConfig& c) {
         c.projection_size = 3;
         c.recurrent_dropout = c.zoneout_h = c.dropconnect = 0.4;
         c.gate_masks = GateMasks::kPerGate;
       },
       Cells::kLstm},
      {"cell_clip", [](RnnConfig& c) { c.cell_clip = 0.2; }, Cells::kLstm},
      {"cell_sequence", [](RnnConfig& c) { c.cell_sequence = true; }, Cells::kLstm},
      {"zoneout_c", [](RnnConfig& c) { c.zoneout_c = 0.4, c.cell_sequence = true; }, Cells::kLstm},
      {"everything",
       [](RnnConfig& c) {
         c.peephole = c.cell_sequence = true;
         c.projection_size = 4;
         c.cell_clip = 0.5;
         c.preactivation_clip = 0.8;
         c.zoneout_c = c.zoneout_h = c.dropconnect = c.dropout = c.recurrent_dropout = c.layer_dropout = 0.3;
         c.output_activation = {kScaledTanh, 1.2, 0.9};
       },
       Cells::kLstm},
  };
  return all;
}

struct Shaped {
  const char* name;
  Direction direction;
  Layout layout;
  Ragged ragged;
};
const std::vector<Shaped>& shapes() {
  static const std::vector<Shaped> all = {
      {"uniform", Direction::kForward, Layout::kTimeMajor, Ragged::kNone},
      {"both_ragged", Direction::kBidirectional, Layout::kTimeMajor, Ragged::kZeros},
      {"reverse_batch_major", Direction::kReverse, Layout::kBatchMajor, Ragged::kNone},
      {"batch_major_ragged", Direction::kForward, Layout::kBatchMajor, Ragged::kUnsorted},
  };
  return all;
}

// More rows than one chunk of their sums has.
constexpr std::int64_t kT = 4, kN = 35;

// One network and call.
struct Network {
  RnnConfig config;
  std::vector<std::int64_t> lengths;
  Tensor x, h0, c0, dy, dh_n, dc_n, dc;

  Network(const RnnConfig& of, const std::vector<std::int64_t>& rows) : config(of), lengths(rows) {
    const bool lstm = config.cell == Cell::kLstm;
    const std::int64_t states = config.num_layers * num_directions(config), h = config.hidden_size;
    const auto array = [&](const Shape& shape, std::uint64_t seed) {
      return random_tensor(config.dtype, shape, seed);
    };
    x = array(sequence(config.input_size), 10);
    h0 = array({states, kN, state_size(config)}, 11);
    dy = array(sequence(output_size(config)), 12);
    dh_n = array(h0.shape(), 13);
    if (lstm) c0 = array({states, kN, h}, 14);
    if (lstm) dc_n = array(c0.shape(), 15);
    if (config.cell_sequence) dc = array(sequence(num_directions(config) * h), 16);
  }
  Shape sequence(std::int64_t width) const {
    return config.layout == Layout::kBatchMajor ? Shape{kN, kT, width} : Shape{kT, kN, width};
  }
  ForwardResult forward(Rnn& rnn, Tape* tape) const {
    ForwardOptions o;
    o.h0 = h0;
    if (config.cell == Cell::kLstm) o.c0 = c0;
    if (!lengths.empty()) o.lengths = {lengths.data(), {kN}};
    o.dropout = {.seed = 3, .offset = 8};
    o.tape = tape;
    return rnn.forward(x, o);
  }
  BackwardResult backward(Rnn& rnn, Tape& tape) const {
    BackwardOptions o{.dy = dy, .dh_n = dh_n};
    if (config.cell == Cell::kLstm) o.dc_n = dc_n;
    if (config.cell_sequence) o.dc = dc;
    return rnn.backward(tape, o);
  }
};

RnnConfig configured(const NetworkKind& kind, const Option& option, const Shaped& shape) {
  RnnConfig config = kind.config(4, 6, 2);
  config.direction = shape.direction;
  config.layout = shape.layout;
  option.set(config);
  return config;
}

// Factors and biases of normalisation too, and large enough that clips are met and functions leave their
// linear parts.
void draw_parameters(Rnn& rnn) {
  const TensorView all = rnn.parameters();
  store(all, RandomFill(20).values(all.shape.count(), 0.7, all.dtype));
}

class StepOptionsOf : public EachNetwork {};
INSTANTIATE_TEST_SUITE_P(Each, StepOptionsOf, ::testing::ValuesIn(network_kinds()), kind_name);

// All that an inference pass and two training passes give, by name.
using Solved = std::vector<std::pair<std::string, std::vector<double>>>;
Solved solve(const RnnConfig& config, const std::vector<std::int64_t>& lengths, Device device) {
  const Network network(config, lengths);
  Rnn rnn(config, device);
  draw_parameters(rnn);
  Solved solved;
  const auto keep = [&](const std::string& name, ConstTensorView array) {
    if (array.shape.rank() > 0) solved.emplace_back(name, values_of(array));
  };
  const auto keep_outputs = [&](const ForwardResult& r, const std::string& when) {
    keep("y" + when, r.y), keep("h_n" + when, r.h_n), keep("c_n" + when, r.c_n), keep("c" + when, r.c);
  };
  keep_outputs(network.forward(rnn, nullptr), " in inference");
  for (int pass = 0; pass < 2; ++pass) {  // twice, since gradients of parameters accumulate
    Tape tape;
    const ForwardResult r = network.forward(rnn, &tape);
    const BackwardResult back = network.backward(rnn, tape);
    if (pass > 0) continue;
    keep_outputs(r, " in training");
    keep("dx", back.dx), keep("dh0", back.dh0), keep("dc0", back.dc0);
  }
  for (const ParameterInfo& p : parameter_layout(config)) keep("d " + p.name, rnn.gradient(p.name));
  return solved;
}

// Two results, so twice what tolerance.h allows one: how far the problem itself magnifies rounding is what
// the CPU's f32 and f64 differ by.
void expect_those_of_the_cpu(RnnConfig config, const std::vector<std::int64_t>& lengths) {
  const Solved there = solve(config, lengths, kFakeGpu), cpu = solve(config, lengths, Device{});
  const double eps = epsilon(config.dtype), eps_f32 = epsilon(DType::kF32);
  config.dtype = DType::kF32;
  const Solved narrow = solve(config, lengths, Device{});
  config.dtype = DType::kF64;
  const Solved wide = solve(config, lengths, Device{});
  const auto longest = static_cast<double>(longest_sums(config, kT, kN).backward);
  ASSERT_EQ(there.size(), cpu.size());
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    const auto& [name, expected] = cpu[i];
    const double own = largest_difference(narrow[i].second, wide[i].second) * eps / eps_f32;
    const double rounding = 16 * std::ceil(std::log2(longest)) * eps * largest_magnitude(expected);
    EXPECT_LE(largest_difference(there[i].second, expected), std::max(rounding, 8 * own)) << name;
  }
}

TEST_P(StepOptionsOf, AreThoseOfTheCpu) {
  step_gpu();
  for (const Option& option : options()) {
    if (!option.applies_to(GetParam().cell)) continue;
    for (const Shaped& shape : shapes()) {
      SCOPED_TRACE(std::string(option.name) + " " + shape.name);
      expect_those_of_the_cpu(configured(GetParam(), option, shape), lengths_of(shape.ragged, kT, kN));
      if (HasFailure()) return;
    }
  }
}

// Whatever the parameters of the forget gate hold.
TEST(StepOptions, InputForgetLeavesTheForgetGateUnread) {
  step_gpu();
  RnnConfig config{.cell = Cell::kLstm, .input_size = 4, .hidden_size = 6};
  config.peephole = config.input_forget = true;
  const Network network(config, {});
  const std::int64_t h = config.hidden_size;
  const auto run = [&](bool spoil) {
    Rnn rnn(config, kFakeGpu);
    for (const ParameterInfo& p : parameter_layout(config)) {
      const std::int64_t width = p.shape.count() / p.shape[0];
      const auto values = rnn.parameter(p.name).span<float>();
      for (std::int64_t i = h * width; spoil && i < 2 * h * width; ++i) {
        values[static_cast<std::size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    Tape tape;
    const ForwardResult r = network.forward(rnn, &tape);
    const BackwardResult back = network.backward(rnn, tape);
    return std::array{copy_of(r.y), copy_of(back.dx), copy_of(back.dh0), copy_of(back.dc0),
                      copy_of(rnn.gradients())};
  };
  const auto usual = run(false), spoilt = run(true);
  for (std::size_t i = 0; i < usual.size(); ++i) EXPECT_TRUE(same_bits(usual[i], spoilt[i])) << i;
  EXPECT_GT(largest_magnitude(values_of(usual[0])), 0);
}

}  // namespace
}  // namespace rondo::testing
