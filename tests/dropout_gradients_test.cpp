// Gradients through drawn masks: per gate, against differences, and the same as with supplied masks.
#include "visible_masks.h"

namespace rondo {
namespace {

using testing::random_tensor;
using testing::values_of;

constexpr double kStep = 1e-5;  // differences of it are good to about kStep^2 in f64

class DrawnMasks : public ::testing::TestWithParam<testing::CellChoice> {};
INSTANTIATE_TEST_SUITE_P(Each, DrawnMasks, ::testing::ValuesIn(testing::cell_choices()),
                         [](const auto& instance) { return instance.param.name; });

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Moves every parameter and input along one random direction and compares the slope of the loss.
void expect_slope(const RnnConfig& c, std::uint64_t offset) {
  const std::vector<std::int32_t> lengths = {4, 2, 0};
  Rnn rnn(c, Device{});
  const std::vector<double> parameters = values_of(rnn.parameters());
  const std::vector<double> x = values_of(random_tensor(c.dtype, {4, 3, 3}, 70));
  const Tensor dy = random_tensor(c.dtype, {4, 3, output_size(c)}, 71);
  const std::vector<double> p_way = testing::RandomFill(72).values(parameter_count(c), 1, DType::kF64);
  const std::vector<double> x_way = testing::RandomFill(73).values(4 * 3 * 3, 1, DType::kF64);
  Tape tape;
  struct Pass {
    Tensor x;  // the tape has a view of it until backward
    ForwardResult out;
  };
  const auto forward = [&](double step) {
    std::vector<double> p = parameters, at = x;
    for (std::size_t i = 0; i < p.size(); ++i) p[i] += step * p_way[i];
    for (std::size_t i = 0; i < at.size(); ++i) at[i] += step * x_way[i];
    testing::store(rnn.parameters(), p);
    Pass pass{testing::make_tensor(c.dtype, {4, 3, 3}, at), {}};
    tape = Tape();
    ForwardOptions options{.lengths = {lengths.data(), Shape{3}}, .tape = &tape};
    options.dropout.seed = 9;
    options.dropout.offset = offset;
    pass.out = rnn.forward(pass.x, options);
    return pass;
  };
  const auto loss = [&](double step) { return dot(values_of(forward(step).out.y), values_of(dy)); };
  const double slope = (loss(kStep) - loss(-kStep)) / (2 * kStep);
  const Pass here = forward(0);
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  const double expected = dot(values_of(back.dx), x_way) + dot(values_of(rnn.gradients()), p_way);
  EXPECT_NEAR(slope, expected, 1e-6 * (1 + std::abs(expected))) << to_string(c) << ", offset " << offset;
}

TEST_P(DrawnMasks, GradientsMatchDifferences) {
  for (std::uint64_t offset = 0; offset < 8; ++offset) {
    RnnConfig c = config_of(GetParam(), DType::kF64);
    c.input_size = 3;
    c.hidden_size = 5;
    c.num_layers = 2;
    c.dropout = 0.3;
    c.recurrent_dropout = 0.4;
    c.layer_dropout = 0.2;
    c.direction = offset % 2 == 0 ? Direction::kForward : Direction::kBidirectional;
    c.gate_masks = offset / 2 % 2 == 0 ? GateMasks::kShared : GateMasks::kPerGate;
    c.layer_masks = offset / 4 % 2 == 0 ? LayerMasks::kPerStep : LayerMasks::kPerSequence;
    expect_slope(c, offset);
  }
}

// Which inputs each gate saw: with T = 1 and an upstream gradient in one row alone, a column of a gate's
// part of dW is zero exactly where that row's mask of the gate is.
class GateMask {
 public:
  GateMask(const testing::CellChoice& cell, GateMasks gate_masks, bool recurrent) : recurrent_(recurrent) {
    config_ = config_of(cell, DType::kF64);
    config_.input_size = config_.hidden_size = kWidth;
    config_.gate_masks = gate_masks;
    (recurrent ? config_.recurrent_dropout : config_.dropout) = 0.5;
  }
  // [G, kWidth] factors, as 0 or not 0.
  std::vector<double> of_row(std::int64_t row, std::uint64_t offset) const {
    Rnn rnn(config_, Device{});
    const Tensor x = positive({1, kRows, kWidth}), h0 = positive({1, kRows, kWidth}),
                 c0 = positive({1, kRows, kWidth});
    std::vector<double> dy(kRows * kWidth, 0);
    std::fill_n(dy.begin() + row * kWidth, kWidth, 1.0);
    Tape tape;
    ForwardOptions options{.h0 = h0, .tape = &tape};
    if (config_.cell == Cell::kLstm) options.c0 = c0;
    options.dropout.offset = offset;
    const ForwardResult out = rnn.forward(x, options);
    rnn.backward(tape, {.dy = testing::make_tensor(DType::kF64, {1, kRows, kWidth}, dy)});
    const std::vector<double> d = values_of(rnn.gradient(recurrent_ ? "weight_hh_l0" : "weight_ih_l0"));
    std::vector<double> mask(num_gates(config_.cell) * kWidth, 0);
    for (std::size_t j = 0; j < d.size(); ++j)
      mask[j / (kWidth * kWidth) * kWidth + j % kWidth] += std::abs(d[j]);
    return mask;
  }
  int gates() const { return num_gates(config_.cell); }

  static constexpr std::int64_t kWidth = 32, kRows = 3;

 private:
  static Tensor positive(const Shape& shape) {
    return testing::make_tensor(DType::kF64, shape, std::vector<double>(shape.count(), 0.5));
  }
  RnnConfig config_;
  bool recurrent_;
};

TEST_P(DrawnMasks, GatesShareAMaskOrHaveOneEach) {
  constexpr std::int64_t kWidth = GateMask::kWidth;
  for (bool recurrent : {false, true}) {
    const GateMask shared(GetParam(), GateMasks::kShared, recurrent);
    const GateMask apart(GetParam(), GateMasks::kPerGate, recurrent);
    std::vector<std::vector<double>> gates(apart.gates());  // each gate's masks of all rows and offsets
    for (std::uint64_t offset = 0; offset < 10; ++offset) {
      for (std::int64_t row = 0; row < GateMask::kRows; ++row) {
        const std::vector<double> one = shared.of_row(row, offset), each = apart.of_row(row, offset);
        for (int g = 0; g < apart.gates(); ++g) {
          const auto gate_of = [&](const std::vector<double>& m, int gate) {
            return std::vector<double>(m.begin() + gate * kWidth, m.begin() + (gate + 1) * kWidth);
          };
          EXPECT_EQ(testing::agreement(gate_of(one, 0), gate_of(one, g)), 1) << "shared by gate " << g;
          const std::vector<double> mine = gate_of(each, g);
          gates[g].insert(gates[g].end(), mine.begin(), mine.end());
        }
      }
    }
    for (int a = 0; a < apart.gates(); ++a) {
      const double dropped = testing::agreement(gates[a], std::vector<double>(gates[a].size(), 0));
      testing::expect_frequency(dropped, 0.5, gates[a].size(), "gate " + std::to_string(a));
      for (int b = 0; b < a; ++b) {
        testing::expect_independent(gates[a], gates[b], 0.5,
                                    "gates " + std::to_string(a) + " and " + std::to_string(b));
      }
    }
  }
}

}  // namespace
}  // namespace rondo
