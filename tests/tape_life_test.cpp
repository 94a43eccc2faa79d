// What may befall a tape between forward and backward, and the plans that wait for it.
#include <memory>
#include <utility>

#include "network_fixture.h"
#include "rejected.h"

namespace rondo {
namespace {

using testing::AlignedBytes;
using testing::expect_rejected;
using testing::random_tensor;
using testing::same_bits;

constexpr std::int64_t kRows = 3, kInputs = 4, kUnits = 7;

// A training pass at level two in two halves. Its arrays live as long as it does.
class Pass {
 public:
  Pass(const RnnConfig& c, std::int64_t t, std::uint64_t seed)
      : x_(random_tensor(c.dtype, {t, kRows, kInputs}, seed)),
        dy_(random_tensor(c.dtype, {t, kRows, kUnits}, seed + 1)),
        y_(c.dtype, dy_.shape()),
        dx_(c.dtype, x_.shape()),
        dh0_(c.dtype, {c.num_layers, kRows, kUnits}),
        dparameters_(c.dtype, {parameter_count(c)}) {}

  void forward(Plan& plan, const PackedWeights& weights, Tape& tape) {
    AlignedBytes workspace(plan.workspace_bytes());
    plan.forward(weights, {.x = x_, .y = y_, .tape = &tape, .workspace = workspace.span()});
  }
  void backward(Plan& plan, const PackedWeights& weights, Tape& tape) {
    AlignedBytes workspace(plan.workspace_bytes());
    plan.backward(
        weights, tape,
        {.dy = dy_, .dx = dx_, .dh0 = dh0_, .dparameters = dparameters_, .workspace = workspace.span()});
  }
  void expect_same(const Pass& plain) const {
    EXPECT_TRUE(same_bits(y_, plain.y_)) << "y";
    EXPECT_TRUE(same_bits(dx_, plain.dx_)) << "dx";
    EXPECT_TRUE(same_bits(dh0_, plain.dh0_)) << "dh0";
    EXPECT_TRUE(same_bits(dparameters_, plain.dparameters_)) << "dparameters";
  }
  Shape x_shape() const { return x_.shape(); }

 private:
  Tensor x_, dy_, y_, dx_, dh0_, dparameters_;
};

class TapeLife : public testing::EachNetwork {
 protected:
  void SetUp() override {
    Tensor parameters(config_.dtype, {parameter_count(config_)});
    initialize(config_, Initializer::kPyTorch, 5, parameters);
    weights_ = plan(1).pack(parameters);
  }
  Plan plan(std::int64_t t) const {
    return Plan(config_, {.phase = Phase::kTraining, .max_t = t, .max_n = kRows});
  }
  // The same pass with nothing in between.
  void expect_as_plain(const Pass& pass, std::int64_t t, std::uint64_t seed) const {
    Pass plain(config_, t, seed);
    Plan its = plan(t);
    Tape tape;
    plain.forward(its, weights_, tape);
    plain.backward(its, weights_, tape);
    pass.expect_same(plain);
  }
  void expect_refused(Pass& pass, Plan& plan, Tape& tape, const std::string& why) const {
    expect_rejected([&] { pass.backward(plan, weights_, tape); }, {why});
  }

  const RnnConfig config_ = GetParam().config(kInputs, kUnits, 2);
  PackedWeights weights_;
};
INSTANTIATE_TEST_SUITE_P(Each, TapeLife, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(TapeLife, MovedBetweenForwardAndBackward) {
  Plan its = plan(5);
  AlignedBytes memory(its.tape_bytes());
  for (const bool owns : {true, false}) {
    Pass pass(config_, 5, 10), other(config_, 4, 20);
    Tape recorded = owns ? Tape() : Tape(memory.span()), last;
    other.forward(its, weights_, last);
    pass.forward(its, weights_, recorded);
    Tape between(std::move(recorded));
    last = std::move(between);  // what it had recorded is given up
    EXPECT_EQ(last.x_shape(), pass.x_shape());
    EXPECT_EQ(recorded.x_shape(), Shape());
    EXPECT_TRUE(its.recorded(last));
    EXPECT_FALSE(its.recorded(recorded));
    expect_refused(pass, its, recorded, "moved from");
    EXPECT_TRUE(its.awaits_backward());
    pass.backward(its, weights_, last);
    EXPECT_FALSE(its.awaits_backward());
    expect_as_plain(pass, 5, 10);
  }
}

TEST_P(TapeLife, OutlivesItsPlan) {
  Pass pass(config_, 5, 30);
  {
    auto its = std::make_unique<Plan>(plan(5));
    Tape dropped;
    pass.forward(*its, weights_, dropped);
    its.reset();
  }
  Tape tape;
  {
    Plan its = plan(5);
    pass.forward(its, weights_, tape);
  }
  EXPECT_EQ(tape.x_shape(), pass.x_shape());
  Plan next = plan(5);
  EXPECT_FALSE(next.recorded(tape));
  expect_refused(pass, next, tape, "recorded by another");
  pass.forward(next, weights_, tape);
  pass.backward(next, weights_, tape);
  expect_as_plain(pass, 5, 30);
}

TEST_P(TapeLife, FollowsAPlanThatMoves) {
  Pass pass(config_, 5, 40);
  Plan first = plan(5), last = plan(2);
  Tape tape;
  pass.forward(first, weights_, tape);
  Plan between(std::move(first));
  last = std::move(between);
  EXPECT_TRUE(last.recorded(tape));
  EXPECT_TRUE(last.awaits_backward());
  pass.backward(last, weights_, tape);
  EXPECT_FALSE(last.awaits_backward());
  expect_as_plain(pass, 5, 40);
}

// The later plan is once the larger, so that the tape's memory grows, and once the smaller.
TEST_P(TapeLife, RecordedAgainByAnotherPlan) {
  for (const auto& [t, later_t] : {std::pair<std::int64_t, std::int64_t>{3, 6}, {6, 3}}) {
    Pass pass(config_, t, 50), later(config_, later_t, 60);
    Plan first = plan(t), second = plan(later_t);
    Tape tape;
    pass.forward(first, weights_, tape);
    EXPECT_TRUE(first.awaits_backward());
    later.forward(second, weights_, tape);
    EXPECT_FALSE(first.awaits_backward());
    EXPECT_TRUE(second.awaits_backward());
    expect_refused(pass, first, tape, "recorded by another");
    later.backward(second, weights_, tape);
    expect_as_plain(later, later_t, 60);
  }
}

TEST_P(TapeLife, GivenUpWithoutBackward) {
  Pass pass(config_, 5, 70);
  Plan its = plan(5);
  {
    Tape tape;
    pass.forward(its, weights_, tape);
    EXPECT_TRUE(its.awaits_backward());
  }
  EXPECT_FALSE(its.awaits_backward());
}

// Level one: a network keeps 8 plans at most, but none that a tape waits for is among those that go.
TEST_P(TapeLife, MorePendingThanANetworkKeepsPlans) {
  constexpr std::int64_t kPending = 12;
  Rnn rnn(config_, Device{}), plain(config_, Device{});
  std::vector<Tensor> x;
  std::vector<ForwardResult> out;
  std::vector<Tape> tapes(kPending);
  for (std::int64_t i = 0; i < kPending; ++i) {  // rising: each outgrows the plans that there are
    x.push_back(random_tensor(config_.dtype, {i + 1, kRows, kInputs}, 80 + static_cast<std::uint64_t>(i)));
    out.push_back(rnn.forward(x.back(), {.tape = &tapes[static_cast<std::size_t>(i)]}));
  }
  for (std::int64_t i = 0; i < kPending; ++i) {
    const auto at = static_cast<std::size_t>((i * 5 + 7) % kPending);  // each once, in no order
    SCOPED_TRACE("T=" + std::to_string(at + 1));
    const Tensor dy = random_tensor(config_.dtype, out[at].y.shape(), 100 + at);
    rnn.zero_gradients();
    const BackwardResult got = rnn.backward(tapes[at], {.dy = dy});
    Tape tape;
    plain.zero_gradients();
    const ForwardResult y = plain.forward(x[at], {.tape = &tape});
    const BackwardResult expected = plain.backward(tape, {.dy = dy});
    testing::expect_near(out[at].y, y.y, config_, "y");
    testing::expect_near(got.dx, expected.dx, config_, "dx", true);
    testing::expect_near(got.dh0, expected.dh0, config_, "dh0", true);
    const Shape flat{1, 1, parameter_count(config_)};
    testing::expect_near({rnn.gradients().data, config_.dtype, flat},
                         {plain.gradients().data, config_.dtype, flat}, config_, "parameter gradients", true);
  }
}

TEST_P(TapeLife, OutlivesItsNetwork) {
  Tape tape;
  const Tensor x = random_tensor(config_.dtype, {4, kRows, kInputs}, 120),
               dy = random_tensor(config_.dtype, {4, kRows, kUnits}, 121);
  ForwardResult out;
  {
    Rnn gone(config_, Device{});
    out = gone.forward(x, {.tape = &tape});
  }
  Rnn rnn(config_, Device{});
  expect_rejected([&] { (void)rnn.backward(tape, {.dy = dy}); }, {"recorded by another"});
}

}  // namespace
}  // namespace rondo
