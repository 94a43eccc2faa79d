// Drawn masks of stacks: every layer and direction has its own, for inputs, states and between layers.
#include "visible_masks.h"

namespace rondo {
namespace {

using testing::random_tensor;
using testing::values_of;
using Mask = std::vector<double>;

constexpr double kRate = 0.5;
constexpr std::int64_t kUnits = 32;

class StackMasks : public ::testing::TestWithParam<testing::CellChoice> {
 protected:
  RnnConfig config(std::int64_t layers) const {
    RnnConfig c = testing::config_of(GetParam(), DType::kF64);
    c.input_size = c.hidden_size = kUnits;
    c.num_layers = layers;
    c.merge = Merge::kSum;
    return c;
  }
};
// Not the relu, whose own zeros would pass for dropped units.
INSTANTIATE_TEST_SUITE_P(Each, StackMasks,
                         ::testing::Values(testing::cell_choices()[0], testing::cell_choices()[2],
                                           testing::cell_choices()[3], testing::cell_choices()[4]),
                         [](const auto& instance) { return std::string(instance.param.name); });

// What one step of one row dropped of a weight's columns, by its gradient: a dropped column is zero.
Mask of_weight(Rnn& rnn, const std::string& weight) {
  const TensorView view = rnn.gradient(weight);
  const std::vector<double> gradient = values_of(view);
  Mask mask(static_cast<std::size_t>(view.shape[1]), 0);
  for (std::size_t i = 0; i < gradient.size(); ++i) mask[i % mask.size()] += std::abs(gradient[i]);
  return mask;
}

// The masks of each weight, one after the other for 60 offsets.
std::vector<Mask> drawn(const RnnConfig& c, const std::vector<std::string>& weights) {
  const Shape states{c.num_layers * num_directions(c), 1, kUnits};
  const Tensor x = random_tensor(c.dtype, {1, 1, kUnits}, 1), h0 = random_tensor(c.dtype, states, 2);
  const Tensor c0 = c.cell == Cell::kLstm ? random_tensor(c.dtype, states, 3) : Tensor();
  const Tensor dy = random_tensor(c.dtype, {1, 1, output_size(c)}, 4);
  Rnn rnn(c, Device{});
  std::vector<Mask> all(weights.size());
  for (std::uint64_t offset = 0; offset < 60; ++offset) {
    Tape tape;
    ForwardOptions options{.h0 = h0, .c0 = c0, .tape = &tape};
    options.dropout.offset = offset;
    const ForwardResult out = rnn.forward(x, options);
    rnn.zero_gradients();
    rnn.backward(tape, {.dy = dy});
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const Mask mask = of_weight(rnn, weights[i]);
      all[i].insert(all[i].end(), mask.begin(), mask.end());
    }
  }
  return all;
}

void expect_all_independent(const std::vector<Mask>& all, const std::vector<std::string>& weights) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double dropped = testing::agreement(all[i], Mask(all[i].size(), 0));
    testing::expect_frequency(dropped, kRate, all[i].size(), weights[i]);
    for (std::size_t j = 0; j < i; ++j) {
      testing::expect_independent(all[i], all[j], kRate, weights[i] + " and " + weights[j]);
    }
  }
}

TEST_P(StackMasks, LayersDirectionsInputsAndStatesAreIndependent) {
  RnnConfig c = config(3);
  c.direction = Direction::kBidirectional;
  c.dropout = c.recurrent_dropout = kRate;
  std::vector<std::string> weights;
  for (const ParameterInfo& p : parameter_layout(c)) {
    if (p.name.starts_with("weight")) weights.push_back(p.name);
  }
  ASSERT_EQ(weights.size(), 12u);
  expect_all_independent(drawn(c, weights), weights);
}

TEST_P(StackMasks, EveryGapBetweenLayersHasItsOwn) {
  for (LayerMasks layer_masks : {LayerMasks::kPerStep, LayerMasks::kPerSequence}) {
    RnnConfig c = config(4);
    c.layer_dropout = kRate;
    c.layer_masks = layer_masks;
    const std::vector<std::string> weights = {"weight_ih_l1", "weight_ih_l2", "weight_ih_l3"};
    expect_all_independent(drawn(c, weights), weights);
    const Mask on_x = drawn(c, {"weight_ih_l0"})[0];
    EXPECT_EQ(std::count(on_x.begin(), on_x.end(), 0), 0) << "x is not the output of a layer";
  }
}

}  // namespace
}  // namespace rondo
