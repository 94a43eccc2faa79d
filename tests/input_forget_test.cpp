// Under input_forget nothing reads the parameters of f.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

TEST(InputForget, ReadsNoParameterOfF) {
  constexpr std::int64_t kH = 5;
  Rnn rnn({.cell = Cell::kLstm, .input_size = 3, .hidden_size = kH, .peephole = true, .input_forget = true},
          Device{});
  const auto spoil = [&](const char* name, std::int64_t width) {
    std::span<float> values = rnn.parameter(name).span<float>();
    std::fill_n(values.begin() + kH * width, kH * width, std::numeric_limits<float>::quiet_NaN());
  };
  spoil("weight_ih_l0", 3);
  spoil("weight_hh_l0", kH);
  spoil("bias_ih_l0", 1);
  spoil("bias_hh_l0", 1);
  spoil("weight_ch_l0", 1);
  Tensor x(DType::kF32, {4, 2, 3}), dy(DType::kF32, {4, 2, kH});
  for (float& e : x.span<float>()) e = 0.5F;
  for (float& e : dy.span<float>()) e = 1;
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  const auto expect_finite = [](const char* name, std::span<const float> values) {
    for (const float e : values) ASSERT_TRUE(std::isfinite(e)) << name;
  };
  expect_finite("y", out.y.span<float>());
  expect_finite("dx", back.dx.span<float>());
  expect_finite("dh0", back.dh0.span<float>());
  expect_finite("gradients", rnn.gradients().span<float>());
  for (std::int64_t i = kH * kH; i < 2 * kH * kH; ++i) {
    EXPECT_EQ(rnn.gradient("weight_hh_l0").span<float>()[static_cast<std::size_t>(i)], 0);
  }
}

// With layer normalisation W, R and so the moments of all gates read them, but no factor of f is.
TEST(InputForget, ReadsNoFactorOfFsNormalisedSums) {
  constexpr std::size_t kH = 5;
  Rnn rnn({.cell = Cell::kLstm, .input_size = 3, .hidden_size = kH, .input_forget = true, .layer_norm = true},
          Device{});
  for (const char* name : {"norm_ih_l0", "norm_hh_l0"}) {
    for (float& e : rnn.parameter(name).span<float>().subspan(kH, kH))
      e = std::numeric_limits<float>::quiet_NaN();
  }
  Tensor x(DType::kF32, {4, 2, 3}), dy(DType::kF32, {4, 2, kH});
  float next = 0;
  for (float& e : x.span<float>()) e = std::sin(next += 1);
  for (float& e : dy.span<float>()) e = 1;
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  for (const float e : back.dx.span<float>()) ASSERT_TRUE(std::isfinite(e));
  for (const float e : rnn.gradients().span<float>()) ASSERT_TRUE(std::isfinite(e));
}

}  // namespace
}  // namespace rondo::testing
