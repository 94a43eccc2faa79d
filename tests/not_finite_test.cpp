// What is not finite passes through chosen activations as it does through the usual ones.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

// d loss / d bias of one unit and one step whose only input is x, for dy = 1.
float bias_gradient(const RnnConfig& config, float x_value) {
  Rnn rnn(config, Device{});
  for (float& e : rnn.parameters().span<float>()) e = 0.5F;
  Tensor x(DType::kF32, {1, 1, 1}), dy(DType::kF32, {1, 1, 1});
  x.span<float>()[0] = x_value;
  dy.span<float>()[0] = 1;
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  (void)rnn.backward(tape, {.dy = dy});
  return rnn.gradient("bias_ih_l0").span<float>()[0];
}

TEST(NotFinite, AnInfiniteActivationHasItsSlope) {
  const RnnConfig leaky{.input_size = 1, .hidden_size = 1, .activation = Activation::kLeakyRelu};
  RnnConfig simple = leaky;
  simple.cell = Cell::kSimpleRnn;
  EXPECT_EQ(bias_gradient(simple, std::numeric_limits<float>::infinity()), 1);
  EXPECT_EQ(bias_gradient(simple, -std::numeric_limits<float>::infinity()), 0.01F);
}

TEST(NotFinite, ANanPassesOn) {
  RnnConfig simple{.cell = Cell::kSimpleRnn, .input_size = 1, .hidden_size = 1};
  for (const Activation f :
       {Activation::kTanh, Activation::kSigmoid, Activation::kSoftsign, Activation::kSoftplus}) {
    simple.activation = f;
    EXPECT_TRUE(std::isnan(bias_gradient(simple, std::numeric_limits<float>::quiet_NaN()))) << to_string(f);
  }
}

}  // namespace
}  // namespace rondo::testing
