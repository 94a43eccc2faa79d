// The examples' training.h: gradients against finite differences, Adam and clipping against figures
// worked out by hand.
#include "examples/training.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>

namespace {

using training::Slot;

std::vector<double> random_values(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> values(count);
  for (double& v : values) v = 2 * double(random() >> 11) * 0x1p-53 - 1;
  return values;
}

// d loss / d values by central differences; their error is about 1e-10 at this step and scale.
std::vector<double> numeric_gradient(std::span<double> values, const std::function<double()>& loss) {
  constexpr double kStep = 1e-5;
  std::vector<double> gradient;
  for (double& v : values) {
    const double kept = v;
    v = kept + kStep;
    const double above = loss();
    v = kept - kStep;
    gradient.push_back((above - loss()) / (2 * kStep));
    v = kept;
  }
  return gradient;
}

void expect_near(std::span<const double> got, std::span<const double> expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], tolerance) << "element " << i;
}

TEST(Dense, ForwardIsTheProductAndTheBias) {
  training::Dense<double> dense(2, 3, 1);
  const double parameters[] = {1, 2, 3, 4, 5, 6, 10, 20, 30};  // W [3, 2], b [3]
  std::copy(std::begin(parameters), std::end(parameters), dense.parameters().begin());
  const std::vector<double> x = {1, -1, 0.5, 2};
  std::vector<double> y(6);
  dense.forward(x, y);
  expect_near(y, std::vector<double>{9, 19, 29, 14.5, 29.5, 44.5}, 1e-12);
}

TEST(Dense, GradientsAreThoseOfFiniteDifferences) {
  constexpr int kRows = 5, kIn = 4, kOut = 3;
  training::Dense<double> dense(kIn, kOut, 7);
  std::vector<double> x = random_values(kRows * kIn, 1), y(kRows * kOut), dx(x.size());
  const std::vector<double> dy = random_values(y.size(), 2);
  const auto loss = [&] {
    dense.forward(x, y);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const std::vector<double> expected = numeric_gradient(dense.parameters(), loss);
  const std::vector<double> expected_dx = numeric_gradient(x, loss);
  dense.backward(x, dy, dx);
  expect_near(dense.gradients(), expected, 1e-8);
  expect_near(dx, expected_dx, 1e-8);
}

TEST(Dense, GradientsAccumulateUntilZeroed) {
  training::Dense<float> dense(3, 2, 1);
  const std::vector<float> x = {1, 2, 3}, dy = {0.5, -1};
  dense.backward(x, dy, {});
  dense.backward(x, dy, {});
  const std::vector<float> twice = {1, 2, 3, -2, -4, -6, 1, -2};
  for (std::size_t i = 0; i < twice.size(); ++i) EXPECT_FLOAT_EQ(dense.gradients()[i], twice[i]);
  dense.zero_gradients();
  for (float g : dense.gradients()) EXPECT_EQ(g, 0);
}

TEST(Dense, StartsWithinItsBoundAndBySeed) {
  training::Dense<float> a(16, 8, 3), b(16, 8, 3), c(16, 8, 4);
  double largest = 0;
  bool differs = false;
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    EXPECT_EQ(a.parameters()[i], b.parameters()[i]);
    differs |= a.parameters()[i] != c.parameters()[i];
    largest = std::max(largest, std::abs(double(a.parameters()[i])));
  }
  EXPECT_TRUE(differs);
  EXPECT_LE(largest, 0.25);  // 1 / sqrt(16)
  EXPECT_GT(largest, 0.2);
}

TEST(SoftmaxCrossEntropy, GradientIsThatOfFiniteDifferences) {
  const std::vector<std::int32_t> targets = {2, 0, 3};
  std::vector<double> logits = random_values(12, 5);
  const auto loss = [&] {
    std::vector<double> copy = logits;
    return training::softmax_cross_entropy<double>(copy, targets);
  };
  const std::vector<double> expected = numeric_gradient(logits, loss);
  training::softmax_cross_entropy<double>(logits, targets);
  expect_near(logits, expected, 1e-8);
}

TEST(SoftmaxCrossEntropy, KnownValues) {
  const std::vector<std::int32_t> target = {1};
  std::vector<double> alike(4, 3.5);
  EXPECT_NEAR(training::softmax_cross_entropy<double>(alike, target), std::log(4.0), 1e-12);
  std::vector<double> pair = {0, std::log(3.0)};  // probabilities 1/4 and 3/4
  EXPECT_NEAR(training::softmax_cross_entropy<double>(pair, target), std::log(4.0 / 3), 1e-12);
  std::vector<float> huge = {1000, -1000};  // must not overflow
  EXPECT_FLOAT_EQ(float(training::softmax_cross_entropy<float>(huge, target)), 2000);
}

TEST(MeanSquaredError, ValueAndGradient) {
  std::vector<double> y = {1, -2, 4}, gradient(3);
  const std::vector<double> targets = {0, 1, 3};
  EXPECT_NEAR(training::mean_squared_error<double>(y, targets, gradient), 11.0 / 3, 1e-12);
  std::vector<double> ignored(3);
  const auto loss = [&] { return training::mean_squared_error<double>(y, targets, ignored); };
  expect_near(gradient, numeric_gradient(y, loss), 1e-8);
}

// By hand, with rate 0.1 and gradients 2, then -1:
//   step 1: m = 0.2, v = 0.004; corrected 2 and 4; change -0.1 * 2 / 2
//   step 2: m = 0.9 * 0.2 - 0.1 = 0.08, v = 0.999 * 0.004 + 0.001 = 0.004996;
//           corrected 0.08 / 0.19 and 0.004996 / 0.001999
TEST(Adam, TwoStepsWorkedOutByHand) {
  std::vector<double> parameter = {1}, gradient = {2};
  const std::array<Slot<double>, 1> slots = {{{parameter, gradient}}};
  training::Adam<double> adam;
  adam.step(slots, 0.1);
  EXPECT_NEAR(parameter[0], 0.9, 1e-8);
  gradient[0] = -1;
  adam.step(slots, 0.1);
  const double change = 0.1 * (0.08 / 0.19) / (std::sqrt(0.004996 / 0.001999) + 1e-8);
  EXPECT_NEAR(parameter[0], 0.9 - change, 1e-8);
}

TEST(Adam, KeepsTheMomentsOfItsSlotsApart) {
  std::vector<double> a = {0, 0}, da = {1, 0}, b = {0}, db = {-4};
  const std::array<Slot<double>, 2> slots = {{{a, da}, {b, db}}};
  training::Adam<double> adam;
  for (int i = 0; i < 3; ++i) adam.step(slots, 0.5);  // a constant gradient moves by the rate each step
  expect_near(a, std::vector<double>{-1.5, 0}, 1e-6);
  expect_near(b, std::vector<double>{1.5}, 1e-6);
}

TEST(Adam, RefusesOtherSlots) {
  std::vector<float> parameters(3), gradients(3), more(4), more_gradients(4);
  const std::array<Slot<float>, 1> slots = {{{parameters, gradients}}}, others = {{{more, more_gradients}}};
  training::Adam<float> adam;
  adam.step(slots, 0.1);
  EXPECT_THROW(adam.step(others, 0.1), std::logic_error);
}

TEST(ClipGlobalNorm, ScalesAllSlotsByOneFactor) {
  std::vector<double> parameters(2), a = {3, 0}, b = {0, 4};
  const std::array<Slot<double>, 2> slots = {{{parameters, a}, {parameters, b}}};
  EXPECT_NEAR(training::clip_global_norm<double>(slots, 10), 5, 1e-12);
  expect_near(a, std::vector<double>{3, 0}, 0);  // within the limit: untouched
  EXPECT_NEAR(training::clip_global_norm<double>(slots, 2.5), 5, 1e-12);
  expect_near(a, std::vector<double>{1.5, 0}, 1e-12);
  expect_near(b, std::vector<double>{0, 2}, 1e-12);
}

}  // namespace
