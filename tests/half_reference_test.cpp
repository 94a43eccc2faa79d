// The tests' own means for types of 16 bits: what is right lies within their tolerance, what is wrong does
// not.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cases.h"
#include "network_fixture.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

// One call solved by the reference in an arithmetic of its own, and stored as T.
template <class T, class Arithmetic>
Solution<T> solve(const RnnConfig& config, const Data& data) {
  const reference::Network<Arithmetic> network(config, reference::convert<Arithmetic>(data.call));
  const auto store = [](const auto& v) { return reference::convert<T>(v); };
  const auto& r = network.results();
  const auto g = network.backward(reference::convert<Arithmetic>(data.upstream));
  return {{store(r.y), store(r.y_reverse), store(r.h_n), store(r.c_n)},
          {store(g.dx), store(g.dparameters), store(g.dh0), store(g.dc0)}};
}

template <class T>
void compare(const std::string& by, const Truth<T>& truth, const Data& data, const Solution<T>& got,
             Measured& measured) {
  truth.compare_forward(by, got.results, measured);
  truth.compare_backward(by, got.gradients, data.upstream, measured);
}
template <class T>
bool is_refused(const Truth<T>& truth, const Data& data, const Solution<T>& got) {
  ::testing::TestPartResultArray failures;
  const ::testing::ScopedFakeTestPartResultReporter reporter(
      ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
  Measured ignored;
  compare("wrong", truth, data, got, ignored);
  return failures.size() > 0;
}

// The parameters of the first two gates change places.
void swap_gates(const RnnConfig& config, std::vector<double>& parameters) {
  for (const ParameterInfo& p : parameter_layout(config)) {
    const std::int64_t gate = p.shape.count() / num_gates(config.cell);
    const auto first = parameters.begin() + p.offset;
    std::swap_ranges(first, first + gate, first + gate);
  }
}
template <class T>
Solution<T> with_swapped_gates(const RnnConfig& config, Data data) {
  swap_gates(config, data.call.parameters);
  return solve<T, reference::Rounded<T>>(config, data);
}

// A gradient that a kernel forgot.
template <class T>
Solution<T> without_gradient_of(const std::string& name, const RnnConfig& config, Solution<T> all) {
  for (const ParameterInfo& p : parameter_layout(config)) {
    if (p.name != name) continue;
    std::fill_n(all.gradients.dparameters.begin() + p.offset, p.shape.count(), T(0.0F));
  }
  return all;
}

template <class T>
void check_right(Problem p, Measured& measured) {
  const Data data = draw_clear_of_kinks<T>(p);
  const Truth<T> truth(p, data);
  const Solution<T> rounded = solve<T, reference::Rounded<T>>(p.config, data);
  // As a device computes that sums in float, but for the states between steps, which it rounds.
  const Solution<T> single = solve<T, float>(p.config, data);
  compare("rounded", truth, data, rounded, measured);
  compare("single", truth, data, single, measured);
  // A relu is open in one arithmetic where it is in the other.
  const auto &h = single.results.h_n, &other = rounded.results.h_n;
  for (std::size_t i = 0; i < h.size() && p.config.activation == Activation::kRelu; ++i) {
    EXPECT_EQ(static_cast<double>(h[i]) > 0, static_cast<double>(other[i]) > 0) << "h_n[" << i << "]";
  }
}

template <class T>
void check_wrong(Problem p) {
  const bool empty = p.n == 0 || (!p.lengths.empty() && *std::ranges::max_element(p.lengths) == 0);
  if (empty) return;  // nothing is computed
  const Data data = draw_clear_of_kinks<T>(p);
  const Truth<T> truth(p, data);
  if (num_gates(p.config.cell) > 1) {
    EXPECT_TRUE(is_refused(truth, data, with_swapped_gates<T>(p.config, data))) << "swapped gates pass";
  }
  if (p.config.bias != Bias::kNone) {
    const auto wrong = without_gradient_of("bias_ih_l0", p.config, solve<T, float>(p.config, data));
    EXPECT_TRUE(is_refused(truth, data, wrong)) << "a missing gradient of a bias passes";
  }
}

void check_right(const Problem& p, Measured& measured) {
  if (p.config.dtype == DType::kF16) check_right<Float16>(p, measured);
  if (p.config.dtype == DType::kBf16) check_right<BFloat16>(p, measured);
}
void check_wrong(const Problem& p) {
  if (p.config.dtype == DType::kF16) check_wrong<Float16>(p);
  if (p.config.dtype == DType::kBf16) check_wrong<BFloat16>(p);
}

class HalfReference : public EachNetwork {};
std::vector<NetworkKind> half_kinds() {
  std::vector<NetworkKind> kinds;
  for (const CellChoice& cell : cell_choices()) {
    for (DType dtype : {DType::kF16, DType::kBf16}) kinds.push_back({cell, dtype});
  }
  return kinds;
}
INSTANTIATE_TEST_SUITE_P(Each, HalfReference, ::testing::ValuesIn(half_kinds()), kind_name);

TEST_P(HalfReference, TellsRightFromWrongInEveryCase) {
  Measured measured;
  for (const Case& c : cases()) {
    if (!selected(c.name)) continue;
    SCOPED_TRACE(std::string(c.name) + " (" + c.reason + ")");
    const Problem p = problem_of(c, GetParam().cell, GetParam().dtype);
    check_right(p, measured);
    check_wrong(p);
  }
  measured.print(kind_name({GetParam(), 0}));
}

// Every number that a problem is made of is one that the type holds.
TEST_P(HalfReference, DrawsWhatTheTypeHolds) {
  const DType dtype = GetParam().dtype;
  const auto expect_held = [&](const std::vector<double>& v) {
    for (double e : v) ASSERT_TRUE(std::isnan(e) || e == rounded_to(dtype, e)) << e;
  };
  for (const char* name : {"masks_per_gate", "saturated"}) {
    for (const Case& c : cases()) {
      if (c.name != std::string(name)) continue;
      const Data d = draw(problem_of(c, GetParam().cell, dtype));
      for (const auto* v : {&d.call.parameters, &d.call.x, &d.call.h0, &d.call.c0, &d.upstream.dy,
                            &d.upstream.dh_n, &d.upstream.dc_n}) {
        expect_held(*v);
      }
      for (const auto& mask : d.call.input_masks) expect_held(mask);
    }
  }
}

class RandomHalfReference : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Seeded, RandomHalfReference, ::testing::Values(DType::kF16, DType::kBf16),
                         [](const auto& instance) { return rondo::to_string(instance.param); });

TEST_P(RandomHalfReference, IsWithinTheTolerance) {
  Measured measured;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    for (Problem& p : random_problems(seed, GetParam(), 2)) {
      p.given = {};  // the reference gives all
      SCOPED_TRACE(to_string(p.config) + ", seed " + std::to_string(p.seed));
      check_right(p, measured);
    }
  }
  measured.print(rondo::to_string(GetParam()));
}

}  // namespace
}  // namespace rondo::testing
