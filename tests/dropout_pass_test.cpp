// Dropout in whole passes: rates at both ends, ragged rows, and none in inference.
#include <limits>

#include "network_fixture.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::random_tensor;
using testing::same_bits;
using testing::values_of;

class DropoutPass : public testing::EachNetwork {
 protected:
  DType dtype() const { return GetParam().dtype; }
  static ForwardOptions training(Tape& tape, ConstTensorView lengths = {}) {
    ForwardOptions o;
    o.lengths = lengths;
    o.dropout.seed = 11;
    o.dropout.offset = 12;
    o.tape = &tape;
    return o;
  }
  static Tensor train(Rnn& rnn, ConstTensorView x, ConstTensorView lengths = {}) {
    Tape tape;
    return std::move(rnn.forward(x, training(tape, lengths)).y);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, DropoutPass, ::testing::ValuesIn(testing::network_kinds()),
                         testing::kind_name);

TEST_P(DropoutPass, InferenceIgnoresIt) {
  RnnConfig c = GetParam().config(4, 9, 2);
  Rnn plain(c, Device{});
  c.dropout = c.recurrent_dropout = c.layer_dropout = 0.5;
  Rnn dropping(c, Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 3);
  ForwardOptions options;
  options.dropout.seed = 11;
  const ForwardResult a = plain.forward(x), b = dropping.forward(x, options);
  EXPECT_TRUE(same_bits(a.y, b.y));
  EXPECT_TRUE(same_bits(a.h_n, b.h_n));
  EXPECT_FALSE(same_bits(a.y, train(dropping, x)));
  State state = dropping.make_state(3), plain_state = plain.make_state(3);
  const ConstTensorView x_0(x.view().data, dtype(), {3, 4});
  const Tensor stepped = copy_of(dropping.step(x_0, state));
  EXPECT_TRUE(same_bits(stepped, plain.step(x_0, plain_state)));
}

TEST_P(DropoutPass, RateOneOnTheInputsHidesThem) {
  RnnConfig c = GetParam().config(4, 9, 2);
  c.dropout = 1;
  Rnn rnn(c, Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 4), dy = random_tensor(dtype(), {5, 3, 9}, 5);
  Tape tape;
  const ForwardResult out = rnn.forward(x, training(tape));
  EXPECT_TRUE(same_bits(out.y, train(rnn, Tensor(dtype(), {5, 3, 4}))));
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  EXPECT_EQ(values_of(back.dx.view()), std::vector<double>(5 * 3 * 4, 0));
  for (const ParameterInfo& p : parameter_layout(c)) {
    if (!p.name.starts_with("weight_ih")) continue;
    EXPECT_EQ(testing::largest_magnitude(values_of(rnn.gradient(p.name))), 0) << p.name;
  }
  for (double g : values_of(rnn.gradients())) ASSERT_TRUE(std::isfinite(g));
}

TEST_P(DropoutPass, RateOneOnTheStateIsANetworkWithoutR) {
  RnnConfig c = GetParam().config(4, 9);
  Rnn without(c, Device{});
  testing::store(without.parameter("weight_hh_l0"), std::vector<double>(num_gates(c.cell) * 9 * 9));
  c.recurrent_dropout = 1;
  Rnn rnn(c, Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 6), dy = random_tensor(dtype(), {5, 3, 9}, 7);
  const Tensor h0 = random_tensor(dtype(), {1, 3, 9}, 8);
  const auto run = [&](Rnn& network, Tensor& y) {
    Tape tape;
    ForwardOptions options = training(tape);
    options.h0 = h0;
    const ForwardResult out = network.forward(x, options);
    y = copy_of(out.y);
    return network.backward(tape, {.dy = dy});
  };
  Tensor y, y_without;
  const BackwardResult back = run(rnn, y), back_without = run(without, y_without);
  testing::expect_near(y, y_without, c, "y");
  testing::expect_near(back.dx, back_without.dx, c, "dx", true);
  testing::expect_near(back.dh0, back_without.dh0, c, "dh0", true);
  EXPECT_EQ(testing::largest_magnitude(values_of(rnn.gradient("weight_hh_l0"))), 0);
}

TEST_P(DropoutPass, RateOneBetweenLayersCutsThem) {
  for (LayerMasks layer_masks : {LayerMasks::kPerStep, LayerMasks::kPerSequence}) {
    RnnConfig c = GetParam().config(4, 9, 2);
    c.layer_dropout = 1;
    c.layer_masks = layer_masks;
    Rnn rnn(c, Device{});
    const Tensor x = random_tensor(dtype(), {5, 3, 4}, 9), dy = random_tensor(dtype(), {5, 3, 9}, 10);
    Tape tape;
    const ForwardResult out = rnn.forward(x, training(tape));
    EXPECT_TRUE(same_bits(out.y, train(rnn, random_tensor(dtype(), {5, 3, 4}, 11))));
    const BackwardResult back = rnn.backward(tape, {.dy = dy});
    EXPECT_EQ(values_of(back.dx.view()), std::vector<double>(5 * 3 * 4, 0));
    EXPECT_EQ(testing::largest_magnitude(values_of(rnn.gradient("weight_ih_l1"))), 0);
    EXPECT_EQ(testing::largest_magnitude(values_of(rnn.gradient("weight_ih_l0"))), 0);
  }
}

TEST_P(DropoutPass, ARowsMasksDoNotDependOnTheOthersLengths) {
  RnnConfig c = GetParam().config(4, 9, 2);
  c.direction = Direction::kBidirectional;
  c.dropout = c.recurrent_dropout = c.layer_dropout = 0.4;
  const Tensor x = random_tensor(dtype(), {6, 4, 4}, 12);
  for (GateMasks gates : {GateMasks::kShared, GateMasks::kPerGate}) {
    c.gate_masks = gates;
    Rnn rnn(c, Device{});
    // Row 2 has four steps throughout, and is met in another place of the sorted batch each time.
    const std::vector<std::vector<std::int32_t>> batches = {
        {6, 5, 4, 6}, {0, 1, 4, 2}, {4, 4, 4, 4}, {0, 0, 4, 6}};
    std::vector<Tensor> y;
    for (const auto& lengths : batches) {
      y.push_back(train(rnn, x, {lengths.data(), Shape{4}}));
      const Tensor row = testing::transposed(y.back()), first = testing::transposed(y.front());
      const std::vector<double> got = values_of(row.view()), expected = values_of(first.view());
      for (std::int64_t i = 2 * 6 * 18; i < 2 * 6 * 18 + 4 * 18; ++i) {
        ASSERT_NEAR(got[i], expected[i], 64 * testing::epsilon(dtype()))
            << "batch " << y.size() << " element " << i;
      }
    }
  }
}

// The largest and smallest rates that are neither 0 nor 1.
TEST_P(DropoutPass, ExtremeRatesStayFinite) {
  for (double rate : {std::numeric_limits<double>::min(), 1 - 0x1p-53}) {
    RnnConfig c = GetParam().config(4, 9, 2);
    c.dropout = c.recurrent_dropout = c.layer_dropout = rate;
    Rnn rnn(c, Device{});
    const Tensor x = random_tensor(dtype(), {5, 3, 4}, 13), dy = random_tensor(dtype(), {5, 3, 9}, 14);
    Tape tape;
    const ForwardResult out = rnn.forward(x, training(tape));
    rnn.backward(tape, {.dy = dy});
    for (double v : values_of(out.y.view())) ASSERT_TRUE(std::isfinite(v)) << rate;
    for (double v : values_of(rnn.gradients())) ASSERT_TRUE(std::isfinite(v)) << rate;
  }
}

}  // namespace
}  // namespace rondo
