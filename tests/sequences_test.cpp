// How options relate to one another: layouts, directions, merges, outputs, aliases, sizes below the plan's.
#include "network_fixture.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::expect_near;
using testing::random_tensor;
using testing::same_bits;
using testing::values_of;

class Options : public testing::EachNetwork {
 protected:
  DType dtype() const { return GetParam().dtype; }
  RnnConfig config(Direction direction = Direction::kForward, Merge merge = Merge::kConcat) const {
    RnnConfig c = GetParam().config(4, 7);
    c.direction = direction;
    c.merge = merge;
    return c;
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Options, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(Options, BatchMajorEqualsTimeMajor) {
  RnnConfig c = config(Direction::kBidirectional);
  c.num_layers = 2;
  Rnn time_major(c, Device{});
  c.layout = Layout::kBatchMajor;
  Rnn batch_major(c, Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 1), dy = random_tensor(dtype(), {5, 3, 14}, 2);
  const Tensor x_batch = testing::transposed(x), dy_batch = testing::transposed(dy);
  Tape tape, tape_batch;
  const ForwardResult a = time_major.forward(x, {.tape = &tape});
  const ForwardResult b = batch_major.forward(x_batch, {.tape = &tape_batch});
  expect_near(testing::transposed(b.y), a.y, c, "y");
  expect_near(b.h_n, a.h_n, c, "h_n");
  const BackwardResult da = time_major.backward(tape, {.dy = dy});
  const BackwardResult db = batch_major.backward(tape_batch, {.dy = dy_batch});
  expect_near(testing::transposed(db.dx), da.dx, c, "dx", true);
  const Shape flat{1, 1, parameter_count(c)};
  expect_near({batch_major.gradients().data, dtype(), flat}, {time_major.gradients().data, dtype(), flat}, c,
              "parameter gradients", true);
}

TEST_P(Options, ReverseIsForwardOnReversedRows) {
  const std::vector<std::int32_t> lengths = {3, 5, 0, 4};
  const ConstTensorView view(lengths.data(), Shape{4});
  Rnn forward(config(), Device{}), reverse(config(Direction::kReverse), Device{});
  const Tensor x = random_tensor(dtype(), {5, 4, 4}, 3);
  const Tensor backwards = testing::reversed(x, lengths);
  const ForwardResult a = forward.forward(backwards, {.lengths = view});
  const ForwardResult b = reverse.forward(x, {.lengths = view});
  // In processing order, as a layer that goes backwards returns it elsewhere, this is a's y.
  expect_near(testing::reversed(b.y, lengths), a.y, config(), "y");
  expect_near(b.h_n, a.h_n, config(), "h_n");
}

TEST_P(Options, MergesFollowFromTheTwoOutputs) {
  const Tensor x = random_tensor(dtype(), {4, 3, 4}, 4);
  Rnn apart_rnn(config(Direction::kBidirectional, Merge::kNone), Device{});
  const ForwardResult apart = apart_rnn.forward(x);
  const std::vector<double> a = values_of(apart.y), b = values_of(apart.y_reverse);
  for (Merge merge : {Merge::kConcat, Merge::kSum, Merge::kMul, Merge::kAve}) {
    Rnn rnn(config(Direction::kBidirectional, merge), Device{});
    const ForwardResult merged = rnn.forward(x);
    EXPECT_TRUE(merged.y_reverse.absent());
    std::vector<double> expected(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (merge == Merge::kSum) expected[i] = a[i] + b[i];
      if (merge == Merge::kMul) expected[i] = a[i] * b[i];
      if (merge == Merge::kAve) expected[i] = (a[i] + b[i]) / 2;
    }
    std::int64_t width = 7;
    if (merge == Merge::kConcat) {
      width = 14;
      expected.clear();
      for (std::size_t row = 0; row < a.size() / 7; ++row) {
        expected.insert(expected.end(), a.begin() + row * 7, a.begin() + row * 7 + 7);
        expected.insert(expected.end(), b.begin() + row * 7, b.begin() + row * 7 + 7);
      }
    }
    const Tensor e = testing::make_tensor(dtype(), {4, 3, width}, expected);
    expect_near(merged.y, e, config(), rondo::to_string(merge));
  }
}

TEST_P(Options, LastIsTheLastOfTheSequence) {
  const std::vector<std::int32_t> lengths = {2, 0, 5};
  RnnConfig c = config(Direction::kBidirectional, Merge::kNone);
  Rnn sequence(c, Device{});
  c.outputs = Outputs::kLast;
  Rnn last(c, Device{});
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 5);
  const ForwardResult all = sequence.forward(x, {.lengths = {lengths.data(), Shape{3}}});
  const ForwardResult one = last.forward(x, {.lengths = {lengths.data(), Shape{3}}});
  const std::vector<double> y = values_of(all.y), y_reverse = values_of(all.y_reverse);
  std::vector<double> expected, expected_reverse;
  for (std::int64_t n = 0; n < 3; ++n) {
    for (std::int64_t j = 0; j < 7; ++j) {
      expected.push_back(lengths[n] == 0 ? 0 : y[((lengths[n] - 1) * 3 + n) * 7 + j]);
      expected_reverse.push_back(y_reverse[n * 7 + j]);
    }
  }
  const Tensor e = testing::make_tensor(dtype(), {3, 7}, expected);
  const Tensor e_reverse = testing::make_tensor(dtype(), {3, 7}, expected_reverse);
  expect_near(one.y, e, c, "last forward");
  expect_near(one.y_reverse, e_reverse, c, "last reverse");
}

TEST_P(Options, ParameterGradientsAccumulateAndTheOthersDoNot) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {4, 3, 4}, 6), dy = random_tensor(dtype(), {4, 3, 7}, 7);
  const auto pass = [&] {
    Tape tape;
    const ForwardResult out = rnn.forward(x, {.tape = &tape});
    return rnn.backward(tape, {.dy = dy});
  };
  const BackwardResult first = pass();
  const std::vector<double> once = values_of(rnn.gradients());
  const BackwardResult second = pass();
  const std::vector<double> twice = values_of(rnn.gradients());
  EXPECT_TRUE(same_bits(first.dx, second.dx));
  EXPECT_TRUE(same_bits(first.dh0, second.dh0));
  EXPECT_TRUE(same_bits(first.dc0, second.dc0));
  EXPECT_GT(testing::largest_magnitude(once), 0);
  std::vector<double> doubled = once;
  for (double& v : doubled) v *= 2;
  EXPECT_LE(testing::largest_difference(twice, doubled),
            16 * testing::epsilon(dtype()) * testing::largest_magnitude(doubled));
  rnn.zero_gradients();
  EXPECT_EQ(testing::largest_magnitude(values_of(rnn.gradients())), 0);
  pass();
  EXPECT_EQ(values_of(rnn.gradients()), once);
}

TEST_P(Options, DxCanBeLeftOut) {
  Rnn rnn(config(), Device{});
  const Tensor x = random_tensor(dtype(), {4, 3, 4}, 8), dy = random_tensor(dtype(), {4, 3, 7}, 9);
  Tape with, without;
  const ForwardResult a = rnn.forward(x, {.tape = &with}), b = rnn.forward(x, {.tape = &without});
  rnn.backward(with, {.dy = dy});
  const std::vector<double> expected = values_of(rnn.gradients());
  rnn.zero_gradients();
  const BackwardResult d = rnn.backward(without, {.dy = dy, .want_dx = false});
  EXPECT_TRUE(d.dx.absent());
  EXPECT_EQ(values_of(rnn.gradients()), expected);
}

// Level two, with the memory of each call owned here.
class PlanCalls : public Options {
 protected:
  void SetUp() override {
    c_ = config(Direction::kBidirectional);
    c_.num_layers = 2;
    parameters_ = Tensor(dtype(), {parameter_count(c_)});
    initialize(c_, Initializer::kPyTorch, 5, parameters_);
  }
  Tensor states(std::uint64_t seed) const { return random_tensor(dtype(), {4, 3, 7}, seed); }
  Tensor no_c() const { return GetParam().lstm() ? Tensor(dtype(), {4, 3, 7}) : Tensor(); }

  // Sizes of the calls below: T = 5, N = 3.
  struct Memory {
    explicit Memory(const Plan& plan)
        : workspace(DType::kF64, {static_cast<std::int64_t>(plan.workspace_bytes() / 8 + 1)}) {}
    std::span<std::byte> bytes() { return std::as_writable_bytes(workspace.span<double>()); }
    Tensor workspace;
  };

  RnnConfig c_;
  Tensor parameters_;
};
INSTANTIATE_TEST_SUITE_P(Each, PlanCalls, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(PlanCalls, FinalStatesMayBeTheInitialOnes) {
  Plan plan(c_, {.phase = Phase::kTraining, .max_t = 5, .max_n = 3});
  const PackedWeights weights = plan.pack(parameters_);
  Memory memory(plan);
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 20), dy = random_tensor(dtype(), {5, 3, 14}, 21);
  struct Outcome {
    Tensor h, c, dx, dh0, dc0, dparameters;
  };
  const auto run = [&](bool alias, bool training) {
    Outcome o;
    Tensor h0 = states(22), c0 = GetParam().lstm() ? states(23) : Tensor(), y(dtype(), {5, 3, 14});
    o.h = Tensor(dtype(), {4, 3, 7});
    o.c = no_c();
    Tape tape;
    ForwardArgs f{.x = x, .h0 = h0, .c0 = c0, .y = y, .h_n = alias ? h0 : o.h, .c_n = alias ? c0 : o.c};
    f.tape = training ? &tape : nullptr;
    f.workspace = memory.bytes();
    plan.forward(weights, f);
    if (training) {
      o.dx = Tensor(dtype(), {5, 3, 4});
      o.dparameters = Tensor(dtype(), {parameter_count(c_)});
      Tensor dh = states(24), dc = GetParam().lstm() ? states(25) : Tensor();  // dh0 may be dh_n
      Tensor dh0(dtype(), {4, 3, 7}), dc0 = no_c();
      plan.backward(weights, tape,
                    {.dy = dy,
                     .dh_n = dh,
                     .dc_n = dc,
                     .dx = o.dx,
                     .dh0 = alias ? dh : dh0,
                     .dc0 = alias ? dc : dc0,
                     .dparameters = o.dparameters,
                     .workspace = memory.bytes()});
      o.dh0 = alias ? std::move(dh) : std::move(dh0);
      o.dc0 = alias ? std::move(dc) : std::move(dc0);
    }
    if (alias) {
      o.h = std::move(h0);
      o.c = std::move(c0);
    }
    return o;
  };
  for (bool training : {false, true}) {
    const Outcome apart = run(false, training), aliased = run(true, training);
    EXPECT_TRUE(same_bits(apart.h, aliased.h)) << training;
    EXPECT_TRUE(same_bits(apart.c, aliased.c)) << training;
    EXPECT_TRUE(same_bits(apart.dx, aliased.dx));
    EXPECT_TRUE(same_bits(apart.dh0, aliased.dh0));
    EXPECT_TRUE(same_bits(apart.dc0, aliased.dc0));
    EXPECT_TRUE(same_bits(apart.dparameters, aliased.dparameters));
  }
}

TEST_P(PlanCalls, SmallerCallsOnALargerPlan) {
  Plan exact(c_, {.phase = Phase::kTraining, .max_t = 5, .max_n = 3});
  Plan large(c_, {.phase = Phase::kTraining, .max_t = 9, .max_n = 20});
  // Packed once, read by both plans.
  const PackedWeights weights = exact.pack(parameters_);
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 30), dy = random_tensor(dtype(), {5, 3, 14}, 31);
  std::vector<Tensor> y, dx, dparameters;
  for (Plan* plan : {&exact, &large}) {
    Memory memory(*plan);
    y.emplace_back(dtype(), Shape{5, 3, 14});
    dx.emplace_back(dtype(), Shape{5, 3, 4});
    dparameters.emplace_back(dtype(), Shape{1, 1, parameter_count(c_)});
    Tape tape;
    plan->forward(weights, {.x = x, .y = y.back(), .tape = &tape, .workspace = memory.bytes()});
    TensorView flat(dparameters.back().view().data, dtype(), {parameter_count(c_)});
    plan->backward(weights, tape,
                   {.dy = dy, .dx = dx.back(), .dparameters = flat, .workspace = memory.bytes()});
  }
  expect_near(y[1], y[0], c_, "y");
  expect_near(dx[1], dx[0], c_, "dx", true);
  expect_near(dparameters[1], dparameters[0], c_, "parameter gradients", true);
}

TEST_P(PlanCalls, UnwantedOutputsChangeNothingElse) {
  Plan plan(c_, {.phase = Phase::kTraining, .max_t = 5, .max_n = 3});
  const PackedWeights weights = plan.pack(parameters_);
  Memory memory(plan);
  const Tensor x = random_tensor(dtype(), {5, 3, 4}, 40), dh_n = states(41);
  Tensor y(dtype(), {5, 3, 14}), h(dtype(), {4, 3, 7}), only_h(dtype(), {4, 3, 7});
  plan.forward(weights, {.x = x, .y = y, .h_n = h, .workspace = memory.bytes()});
  plan.forward(weights, {.x = x, .h_n = only_h, .workspace = memory.bytes()});
  EXPECT_TRUE(same_bits(h, only_h));
  std::vector<Tensor> dh0;
  for (bool with_y : {true, false}) {
    Tape tape;
    Tensor dx(dtype(), {5, 3, 4});
    dh0.emplace_back(dtype(), Shape{4, 3, 7});
    ForwardArgs f{.x = x, .tape = &tape, .workspace = memory.bytes()};
    if (with_y) f.y = y;
    plan.forward(weights, f);
    BackwardArgs b{.dh_n = dh_n, .dh0 = dh0.back(), .workspace = memory.bytes()};
    if (with_y) b.dx = dx;
    plan.backward(weights, tape, b);
  }
  EXPECT_TRUE(same_bits(dh0[0], dh0[1]));
}

}  // namespace
}  // namespace rondo
