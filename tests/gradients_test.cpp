// The reference's own gradients against finite differences, for every combination of its options.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "random_problems.h"
#include "reference.h"

namespace rondo {
namespace {

using Real = long double;
using reference::Call;
using reference::Gradients;
using reference::Network;
using reference::Upstream;
using testing::RandomFill;

// Central differences: truncation kStep^2 times the third derivative, about 1e-12; rounding 1e-19 / kStep, about
// 1e-13.
constexpr Real kStep = 1e-6L;
constexpr Real kTolerance = 1e-8L;
constexpr std::int64_t kT = 3, kN = 3;

enum class Masks { kNone, kShared, kPerGate };

Real dot(const std::vector<Real>& a, const std::vector<Real>& b) {
  Real sum = 0;
  for (std::size_t i = 0; i < a.size() && !b.empty(); ++i) sum += a[i] * b[i];
  return sum;
}

Real loss(const RnnConfig& config, const Call<Real>& call, const Upstream<Real>& up) {
  const Network<Real> network(config, call);
  const auto& r = network.results();
  return dot(r.y, up.dy) + dot(r.y_reverse, up.dy_reverse) + dot(r.h_n, up.dh_n) + dot(r.c_n, up.dc_n) +
         dot(r.c, up.dc);
}

class Draw {
 public:
  Draw(const RnnConfig& config, std::uint64_t seed) : config_(config), random_(seed) {}

  Call<Real> call(Masks masks, bool ragged) {
    const std::int64_t ld = config_.num_layers * directions();
    Call<Real> c;
    c.t = kT;
    c.n = kN;
    c.parameters = values(parameter_count(config_));
    c.x = values(kT * kN * config_.input_size);
    c.h0 = values(ld * kN * config_.hidden_size);
    if (config_.cell == Cell::kLstm) c.c0 = values(ld * kN * config_.hidden_size);
    if (ragged) c.lengths = {2, 0, 3};
    if (masks == Masks::kNone) return c;
    const std::int64_t groups = masks == Masks::kPerGate ? num_gates(config_.cell) : 1;
    for (std::int64_t i = 0; i < ld; ++i) {
      const std::int64_t in = i < directions() ? config_.input_size : inner_width();
      c.input_masks.push_back(mask(groups * kN * in));
      c.recurrent_masks.push_back(mask(groups * kN * config_.hidden_size));
    }
    const std::int64_t steps = config_.layer_masks == LayerMasks::kPerSequence ? 1 : kT;
    for (std::int64_t i = 1; i < config_.num_layers; ++i)
      c.layer_masks.push_back(mask(steps * kN * inner_width()));
    return c;
  }
  Upstream<Real> upstream(const Network<Real>& network) {
    const auto& r = network.results();
    return {same(r.y), same(r.y_reverse), same(r.h_n), same(r.c_n), same(r.c)};
  }

 private:
  std::int64_t directions() const { return config_.direction == Direction::kBidirectional ? 2 : 1; }
  std::int64_t inner_width() const {
    const bool joins = config_.merge == Merge::kConcat || config_.merge == Merge::kNone;
    return (joins ? directions() : 1) * config_.hidden_size;
  }
  std::vector<Real> values(std::int64_t count) {
    return reference::convert<Real>(random_.values(count, 0.8, DType::kF64));
  }
  std::vector<Real> mask(std::int64_t count) {
    return reference::convert<Real>(random_.mask(count, 0.4, DType::kF64));
  }
  std::vector<Real> same(const std::vector<Real>& v) { return values(static_cast<std::int64_t>(v.size())); }

  RnnConfig config_;
  RandomFill random_;
};

void expect_slopes(const char* name, std::vector<Real>& at, const std::vector<Real>& gradient,
                   const std::function<Real()>& f) {
  ASSERT_EQ(at.size(), gradient.size()) << name;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const Real kept = at[i];
    at[i] = kept + kStep;
    const Real above = f();
    at[i] = kept - kStep;
    const Real below = f();
    at[i] = kept;
    const Real slope = (above - below) / (2 * kStep);
    const Real allowed = kTolerance * std::max(Real(1), std::abs(gradient[i]));
    ASSERT_NEAR(static_cast<double>(slope), static_cast<double>(gradient[i]), static_cast<double>(allowed))
        << name << "[" << i << "]";
  }
}

void check(const RnnConfig& config, Masks masks, bool ragged) {
  const bool relu = config.cell == Cell::kSimpleRnn && config.activation == Activation::kRelu;
  for (std::uint64_t seed = 1;; ++seed) {
    SCOPED_TRACE(to_string(config) + ", masks " + std::to_string(static_cast<int>(masks)) + ", seed " +
                 std::to_string(seed));
    Draw draw(config, seed);
    Call<Real> call = draw.call(masks, ragged);
    const Network<Real> network(config, call);
    // A difference across the relu's kink is no derivative: draw again.
    if (relu && network.distance_to_kink().absolute < 1e-3L) {
      ASSERT_LT(seed, 1000u);
      continue;
    }
    const Upstream<Real> up = draw.upstream(network);
    const Gradients<Real> g = network.backward(up);
    const auto f = [&] { return loss(config, call, up); };
    expect_slopes("x", call.x, g.dx, f);
    expect_slopes("parameters", call.parameters, g.dparameters, f);
    expect_slopes("h0", call.h0, g.dh0, f);
    expect_slopes("c0", call.c0, g.dc0, f);
    return;
  }
}

class FiniteDifferences : public ::testing::TestWithParam<testing::CellChoice> {
 protected:
  RnnConfig config() const {
    RnnConfig c = config_of(GetParam(), DType::kF64);
    c.input_size = 3;
    c.hidden_size = 2;
    return c;
  }
};

TEST_P(FiniteDifferences, EveryOption) {
  RnnConfig c = config();
  RandomFill turns(20);
  const Direction directions[] = {Direction::kForward, Direction::kReverse, Direction::kBidirectional};
  const Merge merges[] = {Merge::kConcat, Merge::kSum, Merge::kMul, Merge::kAve, Merge::kNone};
  for (Direction direction : directions) {
    for (Merge merge : merges) {
      if (direction != Direction::kBidirectional && merge != Merge::kConcat) continue;
      for (Bias bias : {Bias::kNone, Bias::kSingle, Bias::kDouble}) {
        for (Outputs outputs : {Outputs::kSequence, Outputs::kLast}) {
          for (Masks masks : {Masks::kNone, Masks::kShared, Masks::kPerGate}) {
            c.direction = direction;
            c.merge = merge;
            c.bias = bias;
            c.outputs = outputs;
            c.gate_masks = masks == Masks::kPerGate ? GateMasks::kPerGate : GateMasks::kShared;
            // The rest of the options are drawn, so that each meets each of those above.
            c.num_layers = turns.integer(1, 2);
            c.layout = turns.coin() ? Layout::kBatchMajor : Layout::kTimeMajor;
            c.layer_masks = turns.coin() ? LayerMasks::kPerSequence : LayerMasks::kPerStep;
            check(c, masks, turns.coin());
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// What is NaN for nobody to read counts for nothing in the loss.
Upstream<Real> readable(Upstream<Real> up) {
  for (std::vector<Real>* v : {&up.dy, &up.dy_reverse, &up.dc}) {
    for (Real& e : *v) e = std::isnan(e) ? 0 : e;
  }
  return up;
}

// All options together, in training and, with zoneout's expectation, in inference.
void check_random(testing::Problem p, bool training) {
  for (;; p.seed += 1000003) {
    SCOPED_TRACE(to_string(p.config) + (training ? " training" : " inference") + ", seed " + std::to_string(p.seed));
    const testing::Data drawn = draw(p), data = training ? drawn : without_dropout(drawn);
    Call<Real> call = reference::convert<Real>(data.call);
    const Network<Real> network(p.config, call);
    // Steps of 1e-6 are magnified at most some hundred times on their way to a kink.
    if (network.distance_to_kink().absolute < 3e-4L) {
      ASSERT_LT(p.seed, 1000u * 1000003u);
      continue;
    }
    const auto up = reference::convert<Real>(data.upstream);
    const Gradients<Real> g = network.backward(up);
    const auto f = [&] { return loss(p.config, call, readable(up)); };
    expect_slopes("x", call.x, g.dx, f);
    expect_slopes("parameters", call.parameters, g.dparameters, f);
    if (!call.h0.empty()) expect_slopes("h0", call.h0, g.dh0, f);
    if (!call.c0.empty()) expect_slopes("c0", call.c0, g.dc0, f);
    return;
  }
}

TEST(Reference, FiniteDifferencesOfRandomOptions) {
  constexpr testing::Sizes kSmall{.width = 3, .layers = 2, .steps = 4, .rows = 3};
  for (std::uint64_t seed = 5000; seed < 5400; ++seed) {
    RandomFill r(seed);
    testing::Problem p = testing::random_call(r, testing::random_config(r, DType::kF64, kSmall), kSmall);
    // Else a layer of few units divides by next to nothing.
    p.config.layer_norm_epsilon = 0.05;
    p.given = {};
    p.seed = seed;
    check_random(p, seed % 4 != 0);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, FiniteDifferences, ::testing::ValuesIn(testing::cell_choices()),
                         [](const auto& instance) { return instance.param.name; });

// A few values by hand, so that forward does not rest on itself alone.
TEST(Reference, LstmByHand) {
  RnnConfig c;
  c.cell = Cell::kLstm;
  c.dtype = DType::kF64;
  c.input_size = 1;
  c.hidden_size = 1;
  c.bias = Bias::kNone;
  Call<Real> call;
  call.t = call.n = 1;
  call.parameters = {1, 2, 3, 4, 0.5L, 0.25L, 0.125L, -1};  // W then R, each i f g o
  call.x = {0.5L};
  call.h0 = {1};
  call.c0 = {-2};
  const Network<Real> network(c, call);
  // i = s(1), f = s(1.25), g = tanh(1.625), o = s(1); c = i g - 2 f; h = o tanh(c)
  const Real i = 0.7310585786300048793L, f = 0.7772998611746911347L, g = 0.925346225311741L;
  const Real state = i * g - 2 * f;
  EXPECT_NEAR(static_cast<double>(network.results().c_n[0]), static_cast<double>(state), 1e-12);
  EXPECT_NEAR(static_cast<double>(network.results().h_n[0]), static_cast<double>(i * std::tanh(state)),
              1e-12);
}

}  // namespace
}  // namespace rondo
