// Sequences in pieces: step, and a state carried across calls, against one long call.
#include "network_fixture.h"

namespace rondo {
namespace {

using testing::expect_near;
using testing::random_tensor;
using testing::same_bits;
using testing::steps_of;

class Pieces : public testing::EachNetwork {
 protected:
  RnnConfig config() const { return GetParam().config(5, 9, 2); }
  DType dtype() const { return GetParam().dtype; }
};
INSTANTIATE_TEST_SUITE_P(Each, Pieces, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(Pieces, StepEqualsTheWholeSequence) {
  for (std::int64_t n : {1, 3, 9}) {
    Rnn rnn(config(), Device{});
    const Tensor x = random_tensor(dtype(), {10, n, 5}, 7);
    const ForwardResult whole = rnn.forward(x);
    State state = rnn.make_state(n);
    for (std::int64_t t = 0; t < 10; ++t) {
      const ConstTensorView x_t(steps_of(x, t, 1).data, dtype(), {n, 5});
      const ConstTensorView h = rnn.step(x_t, state);
      ASSERT_EQ(to_string(h.shape), to_string(Shape{n, 9}));
      const ConstTensorView as_sequence(h.data, h.dtype, {1, n, 9});
      expect_near(as_sequence, steps_of(whole.y, t, 1), config(), "step " + std::to_string(t));
    }
    expect_near(std::as_const(state).h(), whole.h_n, config(), "h");
    if (GetParam().lstm()) expect_near(std::as_const(state).c(), whole.c_n, config(), "c");
  }
}

TEST_P(Pieces, StateIsCarriedAcrossCalls) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {12, 4, 5}, 8);
  const ForwardResult whole = rnn.forward(x);
  State state = rnn.make_state(4);
  std::int64_t t = 0;
  for (std::int64_t steps : {5, 1, 6}) {
    const ForwardResult part = rnn.forward(steps_of(x, t, steps), {.state = &state});
    expect_near(part.y, steps_of(whole.y, t, steps), config(), "y from step " + std::to_string(t));
    t += steps;
  }
  expect_near(std::as_const(state).h(), whole.h_n, config(), "h_n");
  if (GetParam().lstm()) expect_near(std::as_const(state).c(), whole.c_n, config(), "c_n");
}

TEST_P(Pieces, StepGoesOnWhereForwardStopped) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {6, 2, 5}, 9);
  const ForwardResult whole = rnn.forward(x);
  State state = rnn.make_state(2);
  rnn.forward(steps_of(x, 0, 5), {.state = &state});
  const ConstTensorView h = rnn.step(ConstTensorView(steps_of(x, 5, 1).data, dtype(), {2, 5}), state);
  expect_near(ConstTensorView(h.data, h.dtype, {1, 2, 9}), steps_of(whole.y, 5, 1), config(),
              "step after forward");
}

TEST_P(Pieces, ResetStartsAnew) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {6, 3, 5}, 10);
  const ForwardResult fresh = rnn.forward(x);
  State state = rnn.make_state(3);
  rnn.forward(x, {.state = &state});
  const ForwardResult carried = rnn.forward(x, {.state = &state});
  EXPECT_FALSE(same_bits(carried.y, fresh.y)) << "the state was not carried";
  state.reset();
  EXPECT_TRUE(same_bits(rnn.forward(x, {.state = &state}).y, fresh.y));
}

TEST_P(Pieces, ResetRowLeavesTheOtherRows) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {4, 3, 5}, 11);
  State kept = rnn.make_state(3), cut = rnn.make_state(3);
  rnn.forward(x, {.state = &kept});
  rnn.forward(x, {.state = &cut});
  cut.reset_row(1);
  const std::vector<double> fresh = testing::values_of(rnn.forward(x).y);
  const std::vector<double> carried = testing::values_of(rnn.forward(x, {.state = &kept}).y);
  const std::vector<double> got = testing::values_of(rnn.forward(x, {.state = &cut}).y);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool row_1 = i / 9 % 3 == 1;
    ASSERT_EQ(got[i], row_1 ? fresh[i] : carried[i]) << "element " << i;
  }
}

TEST_P(Pieces, StateOfRaggedRowsIsThatOfTheirOwnLastStep) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 5}, 12);
  const std::vector<std::int32_t> lengths = {2, 5, 0};
  State state = rnn.make_state(3);
  rnn.forward(x, {.state = &state});  // so that row 2 has a state to keep
  const Tensor before = testing::copy_of(state.h());
  const Tensor before_c = GetParam().lstm() ? testing::copy_of(state.c()) : Tensor();
  const ForwardResult expected =
      rnn.forward(x, {.h0 = before, .c0 = before_c, .lengths = {lengths.data(), Shape{3}}});
  rnn.forward(x, {.lengths = {lengths.data(), Shape{3}}, .state = &state});
  EXPECT_TRUE(same_bits(state.h(), expected.h_n));
  const auto h = state.h().shape;
  const std::vector<double> now = testing::values_of(state.h()), then = testing::values_of(before);
  for (std::int64_t l = 0; l < h[0]; ++l) {
    for (std::int64_t j = 0; j < h[2]; ++j) {
      const std::size_t at = (l * 3 + 2) * h[2] + j;
      ASSERT_EQ(now[at], then[at]) << "a row of length 0 keeps its state";
    }
  }
}

// Saving the state must not overwrite what backward still needs.
TEST_P(Pieces, GradientsAreRightWhenTheStateIsCarriedInTraining) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 5}, 13), dy = random_tensor(dtype(), {5, 3, 9}, 14);
  State state = rnn.make_state(3);
  rnn.forward(x, {.state = &state});
  const Tensor h0 = testing::copy_of(state.h());
  const Tensor c0 = GetParam().lstm() ? testing::copy_of(state.c()) : Tensor();
  Tape plain, carried;
  const ForwardResult a = rnn.forward(x, {.h0 = h0, .c0 = c0, .tape = &plain});
  const ForwardResult b = rnn.forward(x, {.state = &state, .tape = &carried});
  EXPECT_TRUE(same_bits(a.y, b.y));
  const BackwardResult da = rnn.backward(plain, {.dy = dy});
  const Tensor expected = testing::copy_of(rnn.gradients());
  rnn.zero_gradients();
  const BackwardResult db = rnn.backward(carried, {.dy = dy});
  EXPECT_TRUE(same_bits(da.dx, db.dx));
  EXPECT_TRUE(same_bits(da.dh0, db.dh0));
  EXPECT_TRUE(same_bits(da.dc0, db.dc0));
  EXPECT_TRUE(same_bits(expected, rnn.gradients()));
}

TEST_P(Pieces, StepSeesChangedParameters) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {1, 2, 5}, 15);
  State state = rnn.make_state(2);
  const ConstTensorView x_t(x.view().data, dtype(), {2, 5});
  rnn.step(x_t, state);
  rnn.initialize(Initializer::kPyTorch, 99);
  state.reset();
  const ConstTensorView h = rnn.step(x_t, state);
  expect_near(ConstTensorView(h.data, h.dtype, {1, 2, 9}), rnn.forward(x).y, config(), "new parameters");
}

}  // namespace
}  // namespace rondo
