// The options of cells on the CUDA backend's step path, on a runtime of the host: against the CPU, and its
// gradients against differences of its own forward passes.
#include <gtest/gtest.h>

#include <functional>

#include "network_fixture.h"
#include "step_gpu.h"

namespace rondo::testing {
namespace {

struct Option {
  const char* name;
  std::function<void(RnnConfig&)> set;
  bool lstm_only = false;
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
      {"peephole", [](RnnConfig& c) { c.peephole = true; }, true},
      {"input_forget", [](RnnConfig& c) { c.input_forget = c.peephole = true; }, true},
      {"projection", [](RnnConfig& c) { c.projection_size = 3; }, true},
      {"projection_masks",
       [](RnnConfig& c) {
         c.projection_size = 3;
         c.recurrent_dropout = c.zoneout_h = c.dropconnect = 0.4;
         c.gate_masks = GateMasks::kPerGate;
       },
       true},
      {"cell_clip", [](RnnConfig& c) { c.cell_clip = 0.2; }, true},
      {"cell_sequence", [](RnnConfig& c) { c.cell_sequence = true; }, true},
      {"zoneout_c", [](RnnConfig& c) { c.zoneout_c = 0.4, c.cell_sequence = true; }, true},
      {"everything",
       [](RnnConfig& c) {
         c.peephole = c.cell_sequence = true;
         c.projection_size = 4;
         c.cell_clip = 0.5;
         c.preactivation_clip = 0.8;
         c.zoneout_c = c.zoneout_h = c.dropconnect = c.dropout = c.recurrent_dropout = c.layer_dropout = 0.3;
         c.output_activation = {kScaledTanh, 1.2, 0.9};
       },
       true},
  };
  return all;
}

struct Shaped {
  const char* name;
  Direction direction;
  Layout layout;
  std::vector<std::int32_t> lengths;  // of three rows; empty: all steps
};
const std::vector<Shaped>& shapes() {
  static const std::vector<Shaped> all = {
      {"uniform", Direction::kForward, Layout::kTimeMajor, {}},
      {"both_ragged", Direction::kBidirectional, Layout::kTimeMajor, {3, 0, 5}},
      {"reverse_batch_major", Direction::kReverse, Layout::kBatchMajor, {}},
      {"batch_major_ragged", Direction::kForward, Layout::kBatchMajor, {2, 5, 4}},
  };
  return all;
}

constexpr std::int64_t kT = 5, kN = 3;

// One network and call.
struct Network {
  RnnConfig config;
  std::vector<std::int32_t> lengths;
  Tensor x, h0, c0, dy, dh_n, dc_n, dc;

  Network(const RnnConfig& of, const std::vector<std::int32_t>& rows) : config(of), lengths(rows) {
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

// Larger than drawn parameters, so that clips are met and functions leave their linear parts.
void widen(Rnn& rnn) {
  std::vector<double> values = values_of(rnn.parameters());
  for (double& v : values) v *= 1.5;
  store(rnn.parameters(), values);
}

class StepOptions : public EachNetwork {
 protected:
  // body(config, lengths) for each option that the cell has and each shape.
  template <class Body>
  void each(const Body& body) const {
    step_gpu();
    for (const Option& option : options()) {
      if (option.lstm_only && !GetParam().lstm()) continue;
      for (const Shaped& shape : shapes()) {
        SCOPED_TRACE(std::string(option.name) + " " + shape.name);
        body(configured(GetParam(), option, shape), shape.lengths);
        if (HasFailure()) return;
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Each, StepOptions, ::testing::ValuesIn(network_kinds()), kind_name);

TEST_P(StepOptions, AreThoseOfTheCpu) {
  each([](const RnnConfig& config, const std::vector<std::int32_t>& lengths) {
    const Network network(config, lengths);
    Rnn cpu(config, Device{}), there(config, kFakeGpu);
    widen(cpu), widen(there);
    const auto near = [&](const Tensor& a, const Tensor& b, const char* name, bool backward) {
      if (b.shape().rank() > 0) expect_near(a, b, config, name, backward);
    };
    const auto compare = [&](const ForwardResult& a, const ForwardResult& b) {
      near(a.y, b.y, "y", false);
      near(a.h_n, b.h_n, "h_n", false);
      near(a.c_n, b.c_n, "c_n", false);
      near(a.c, b.c, "c", false);
    };
    compare(network.forward(there, nullptr), network.forward(cpu, nullptr));
    Tape tapes[2];
    const ForwardResult a = network.forward(there, &tapes[0]), b = network.forward(cpu, &tapes[1]);
    compare(a, b);
    const BackwardResult da = network.backward(there, tapes[0]), db = network.backward(cpu, tapes[1]);
    near(da.dx, db.dx, "dx", true);
    near(da.dh0, db.dh0, "dh0", true);
    near(da.dc0, db.dc0, "dc0", true);
    for (const ParameterInfo& p : parameter_layout(config)) {
      const Tensor got = copy_of(there.gradient(p.name)), expected = copy_of(cpu.gradient(p.name));
      const double allowed = 16 * 16 * epsilon(config.dtype) * largest_magnitude(values_of(expected));
      EXPECT_LE(largest_difference(values_of(got), values_of(expected)), allowed + 1e-30) << p.name;
    }
  });
}

std::vector<NetworkKind> kinds_of_f64() {
  std::vector<NetworkKind> all = network_kinds();
  std::erase_if(all, [](const NetworkKind& kind) { return kind.dtype != DType::kF64; });
  return all;
}

double dot(ConstTensorView a, ConstTensorView b) {
  if (a.absent() || b.absent()) return 0;
  const std::vector<double> p = values_of(a), q = values_of(b);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] * q[i];
  return sum;
}

// Along one random direction of each array: (f(+s) - f(-s)) / 2s, whose error goes with s^2, and which a
// second step tells; what rounding adds goes with 1 / s.
void check_differences(const RnnConfig& config, const std::vector<std::int32_t>& lengths) {
  Network network(config, lengths);
  Rnn rnn(config, kFakeGpu);
  widen(rnn);
  double scale = 0;
  const auto loss = [&] {
    Tape tape;
    const ForwardResult r = network.forward(rnn, &tape);
    const double parts[] = {dot(r.y, network.dy), dot(r.h_n, network.dh_n), dot(r.c_n, network.dc_n),
                            dot(r.c, network.dc)};
    double sum = 0;
    for (double part : parts) sum += part, scale = std::max(scale, std::abs(part));
    return sum;
  };
  Tape tape;
  const ForwardResult kept = network.forward(rnn, &tape);
  const BackwardResult back = network.backward(rnn, tape);
  const auto check = [&](const char* name, const std::function<TensorView()>& array,
                         ConstTensorView gradient) {
    const Tensor values = copy_of(array());
    const Tensor direction = random_tensor(config.dtype, values.shape(), 77);
    const auto slope = [&](double s) {
      double ends[2];
      for (int side = 0; side < 2; ++side) {
        std::vector<double> moved = values_of(values);
        const std::vector<double> d = values_of(direction);
        for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += (side == 0 ? s : -s) * d[i];
        store(array(), moved);
        ends[side] = loss();
      }
      return (ends[0] - ends[1]) / (2 * s);
    };
    constexpr double kStep = 1e-5;
    const double once = slope(kStep), twice = slope(2 * kStep);
    store(array(), values_of(values));
    const double allowed = 4 * std::abs(once - twice) + 256 * epsilon(DType::kF64) * scale / kStep;
    EXPECT_NEAR(dot(gradient, direction), once, allowed) << name;
  };
  check(
      "x", [&] { return network.x.view(); }, back.dx);
  check(
      "h0", [&] { return network.h0.view(); }, back.dh0);
  if (config.cell == Cell::kLstm)
    check(
        "c0", [&] { return network.c0.view(); }, back.dc0);
  for (const ParameterInfo& p : parameter_layout(config)) {
    check(
        p.name.c_str(), [&] { return rnn.parameter(p.name); }, copy_of(rnn.gradient(p.name)));
  }
}

class StepOptionsF64 : public StepOptions {};
INSTANTIATE_TEST_SUITE_P(Each, StepOptionsF64, ::testing::ValuesIn(kinds_of_f64()), kind_name);

TEST_P(StepOptionsF64, GradientsAreThoseOfDifferences) { each(check_differences); }

}  // namespace
}  // namespace rondo::testing
