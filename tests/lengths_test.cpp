// Row lengths in relation to everything else: their type, states that alias, gradients, empty batches.
#include "network_fixture.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::expect_near;
using testing::random_tensor;
using testing::same_bits;
using testing::values_of;

class Lengths : public testing::EachNetwork {
 protected:
  static constexpr std::int64_t kT = 6, kN = 5, kI = 4, kH = 7;
  DType dtype() const { return GetParam().dtype; }
  RnnConfig config(Direction direction, std::int64_t layers = 1) const {
    RnnConfig c = GetParam().config(kI, kH, layers);
    c.direction = direction;
    return c;
  }
  Tensor state(const RnnConfig& c, std::uint64_t seed) const {
    return random_tensor(dtype(), {c.num_layers * num_directions(c), kN, kH}, seed);
  }
  Tensor cell_state(const RnnConfig& c, std::uint64_t seed) const {
    return GetParam().lstm() ? state(c, seed) : Tensor();
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Lengths, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(Lengths, BothIntegerTypesMeanTheSame) {
  const RnnConfig c = config(Direction::kBidirectional, 2);
  const std::vector<std::int32_t> narrow = {3, 0, 6, 1, 4};
  const std::vector<std::int64_t> wide(narrow.begin(), narrow.end());
  const Tensor x = random_tensor(dtype(), {kT, kN, kI}, 1), dy = random_tensor(dtype(), {kT, kN, 2 * kH}, 2);
  Rnn rnn(c, Device{});
  const auto pass = [&](ConstTensorView lengths) {
    Tape tape;
    ForwardResult out = rnn.forward(x, {.lengths = lengths, .tape = &tape});
    rnn.zero_gradients();
    const BackwardResult back = rnn.backward(tape, {.dy = dy});
    std::vector<Tensor> all;
    const ConstTensorView views[] = {out.y, out.h_n, back.dx, back.dh0, rnn.gradients()};
    for (ConstTensorView v : views) all.push_back(copy_of(v));
    return all;
  };
  const auto a = pass({narrow.data(), Shape{kN}}), b = pass({wide.data(), Shape{kN}});
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "tensor " << i;
}

// Lengths that cut nothing off are as good as none.
TEST_P(Lengths, FullLengthsChangeNothing) {
  const RnnConfig c = config(Direction::kBidirectional, 2);
  const std::vector<std::int64_t> full(kN, kT);
  const Tensor x = random_tensor(dtype(), {kT, kN, kI}, 3);
  Rnn rnn(c, Device{});
  const ForwardResult a = rnn.forward(x), b = rnn.forward(x, {.lengths = {full.data(), Shape{kN}}});
  EXPECT_TRUE(same_bits(a.y, b.y));
  EXPECT_TRUE(same_bits(a.h_n, b.h_n));
}

// Each row of a ragged batch is what it is alone, forward and backward.
TEST_P(Lengths, RowsAreWhatTheyAreAlone) {
  const RnnConfig c = config(Direction::kBidirectional, 2);
  const std::vector<std::int32_t> lengths = {3, 0, 6, 1, 4};
  const Tensor x = random_tensor(dtype(), {kT, kN, kI}, 4), dy = random_tensor(dtype(), {kT, kN, 2 * kH}, 5);
  Rnn rnn(c, Device{});
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.lengths = {lengths.data(), Shape{kN}}, .tape = &tape});
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  const Tensor together = copy_of(rnn.gradients());
  rnn.zero_gradients();
  const Tensor x_rows = testing::transposed(x), dy_rows = testing::transposed(dy);
  const Tensor y_rows = testing::transposed(out.y), dx_rows = testing::transposed(back.dx);
  const auto row_of = [&](const Tensor& rows, std::int64_t n) {  // as [length, 1, width]
    const std::int64_t width = rows.shape()[2], bytes = kT * width * element_bytes(dtype());
    return ConstTensorView(static_cast<const std::byte*>(rows.view().data) + n * bytes, dtype(),
                           {lengths[n], 1, width});
  };
  for (std::int64_t n = 0; n < kN; ++n) {
    if (lengths[n] == 0) continue;
    Tape alone_tape;
    const ForwardResult alone = rnn.forward(row_of(x_rows, n), {.tape = &alone_tape});
    expect_near(row_of(y_rows, n), alone.y, c, "y of row " + std::to_string(n));
    const BackwardResult alone_back = rnn.backward(alone_tape, {.dy = row_of(dy_rows, n)});
    expect_near(row_of(dx_rows, n), alone_back.dx, c, "dx of row " + std::to_string(n), true);
  }
  const Shape flat{1, 1, parameter_count(c)};
  expect_near({rnn.gradients().data, dtype(), flat}, {together.view().data, dtype(), flat}, c,
              "sum of the rows", true);
}

TEST_P(Lengths, ReverseGradientsAreForwardOnesOnReversedRows) {
  const std::vector<std::int32_t> lengths = {3, 5, 0, 4, 6};
  const ConstTensorView view(lengths.data(), Shape{kN});
  const RnnConfig c = config(Direction::kForward), c_reverse = config(Direction::kReverse);
  Rnn forward(c, Device{}), reverse(c_reverse, Device{});
  const Tensor x = random_tensor(dtype(), {kT, kN, kI}, 6), dy = random_tensor(dtype(), {kT, kN, kH}, 7);
  const Tensor h0 = state(c, 8), c0 = cell_state(c, 9), dh_n = state(c, 10);
  const auto pass = [&](Rnn& rnn, const Tensor& in, const Tensor& d) {
    Tape tape;
    const ForwardResult out = rnn.forward(in, {.h0 = h0, .c0 = c0, .lengths = view, .tape = &tape});
    return rnn.backward(tape, {.dy = d, .dh_n = dh_n});
  };
  const BackwardResult a = pass(forward, testing::reversed(x, lengths), testing::reversed(dy, lengths));
  const BackwardResult b = pass(reverse, x, dy);
  expect_near(testing::reversed(b.dx, lengths), a.dx, c, "dx", true);
  expect_near(b.dh0, a.dh0, c, "dh0", true);
  if (GetParam().lstm()) expect_near(b.dc0, a.dc0, c, "dc0", true);
  const Shape flat{1, 1, parameter_count(c)};
  expect_near({reverse.gradients().data, dtype(), flat}, {forward.gradients().data, dtype(), flat}, c,
              "parameter gradients", true);
}

// Rows are sorted inside: what lies under h0 must not be overwritten before it is read.
TEST_P(Lengths, FinalStatesMayBeTheInitialOnesOfRaggedRows) {
  const RnnConfig c = config(Direction::kBidirectional, 2);
  Plan plan(c, {.phase = Phase::kTraining, .max_t = kT, .max_n = kN});
  Tensor parameters(dtype(), {parameter_count(c)});
  initialize(c, Initializer::kPyTorch, 5, parameters);
  const PackedWeights weights = plan.pack(parameters);
  Tensor memory(DType::kF64, {static_cast<std::int64_t>(plan.workspace_bytes() / 8 + 1)});
  const std::span<std::byte> workspace = std::as_writable_bytes(memory.span<double>());
  const std::vector<std::int64_t> lengths = {0, 2, 6, 0, 5};
  const Tensor x = random_tensor(dtype(), {kT, kN, kI}, 11);
  const Tensor dy = random_tensor(dtype(), {kT, kN, 2 * kH}, 12);
  const Tensor start = state(c, 13), start_c = cell_state(c, 14);
  const auto run = [&](bool alias, bool training) {
    Tensor h0 = copy_of(start), c0 = GetParam().lstm() ? copy_of(start_c) : Tensor(), h_n = state(c, 15);
    Tensor c_n = cell_state(c, 16), y(dtype(), {kT, kN, 2 * kH}), dh = state(c, 17), dc = cell_state(c, 18);
    Tensor dh0 = state(c, 19), dc0 = cell_state(c, 20), dx(dtype(), {kT, kN, kI});
    Tape tape;
    ForwardArgs f{.x = x, .h0 = h0, .c0 = c0, .lengths = {lengths.data(), Shape{kN}}, .y = y,
                  .h_n = alias ? h0 : h_n, .c_n = alias ? c0 : c_n};
    f.tape = training ? &tape : nullptr;
    f.workspace = workspace;
    plan.forward(weights, f);
    std::vector<Tensor> all;
    all.push_back(copy_of(f.h_n));
    if (GetParam().lstm()) all.push_back(copy_of(f.c_n));
    if (!training) return all;
    const BackwardArgs b{.dy = dy, .dh_n = dh, .dc_n = dc, .dx = dx, .dh0 = alias ? dh : dh0,
                         .dc0 = alias ? dc : dc0, .workspace = workspace};
    plan.backward(weights, tape, b);
    all.push_back(copy_of(b.dh0));
    if (GetParam().lstm()) all.push_back(copy_of(b.dc0));
    all.push_back(std::move(dx));
    return all;
  };
  for (bool training : {false, true}) {
    const std::vector<Tensor> apart = run(false, training), aliased = run(true, training);
    for (std::size_t i = 0; i < apart.size(); ++i) {
      EXPECT_TRUE(same_bits(apart[i], aliased[i])) << "tensor " << i;
    }
    // Rows 0 and 3 have no step: their state passes through.
    const std::vector<double> h = values_of(aliased[0]), h_start = values_of(start);
    for (std::size_t i = 0; i < h.size(); ++i) {
      const std::size_t row = i / kH % kN;
      if (row == 0 || row == 3) {
        ASSERT_EQ(h[i], h_start[i]) << "row " << row;
      }
    }
  }
}

// Nothing to compute adds nothing: gradients that were there stay, to the bit.
TEST_P(Lengths, EmptyPassesAddNothingToTheGradients) {
  const RnnConfig c = config(Direction::kBidirectional, 2);
  Rnn rnn(c, Device{});
  const std::vector<double> before = testing::RandomFill(21).values(parameter_count(c), 1, DType::kF32);
  testing::store(rnn.gradients(), before);
  const std::vector<std::int32_t> none(kN, 0);
  for (std::int64_t n : {kN, std::int64_t{0}}) {
    const Tensor x = random_tensor(dtype(), {kT, n, kI}, 22);
    const Tensor dy = random_tensor(dtype(), {kT, n, 2 * kH}, 23);
    const Tensor dh_n = random_tensor(dtype(), {4, n, kH}, 24);
    Tape tape;
    const ForwardResult out = rnn.forward(x, {.lengths = {none.data(), Shape{n}}, .tape = &tape});
    EXPECT_EQ(values_of(out.y.view()), std::vector<double>(kT * n * 2 * kH, 0));
    const BackwardResult back = rnn.backward(tape, {.dy = dy, .dh_n = dh_n});
    EXPECT_EQ(values_of(back.dx.view()), std::vector<double>(kT * n * kI, 0));
    EXPECT_TRUE(same_bits(back.dh0, dh_n)) << "the gradient of a state that passes through";
    EXPECT_EQ(values_of(rnn.gradients()), before) << "N = " << n;
  }
}

}  // namespace
}  // namespace rondo
