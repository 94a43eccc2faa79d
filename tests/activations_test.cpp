// Accuracy of tanh and the logistic sigmoid as the cells compute them, over the whole range of both types.
#include <bit>
#include <functional>
#include <limits>

#include "instruction_sets.h"
#include "network_fixture.h"

namespace rondo {
namespace {

// A function of x by way of a one-unit network whose state after one step is that function.
struct Function {
  const char* name;
  long double (*truth)(long double x);
  bool tanh;
};
long double true_tanh(long double x) { return std::tanh(x); }
long double true_sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
const Function kFunctions[] = {{"tanh", true_tanh, true}, {"sigmoid", true_sigmoid, false}};

RnnConfig one_unit(const Function& f, DType dtype) {
  RnnConfig c;
  c.cell = f.tanh ? Cell::kSimpleRnn : Cell::kGru;
  c.input_size = c.hidden_size = 1;
  c.bias = Bias::kSingle;
  c.dtype = dtype;
  return c;
}

// SimpleRNN: h = tanh(x + bias). GRU with h0 = 1 and n = 0: h = z = sigmoid(x + bias).
template <class T>
std::vector<T> by_network(const Function& f, std::vector<T> x, T bias = 0) {
  const RnnConfig c = one_unit(f, dtype_of<T>());
  const std::int64_t n = static_cast<std::int64_t>(x.size());
  Rnn rnn(c, Device{});
  for (T& p : rnn.parameters().span<T>()) p = 0;
  const std::size_t gate = f.tanh ? 0 : 1;  // r z n
  rnn.parameter("weight_ih_l0").span<T>()[gate] = 1;
  rnn.parameter("bias_ih_l0").span<T>()[gate] = bias;
  std::vector<T> h0(x.size(), f.tanh ? T(0) : T(1));
  const Shape shape{1, n, 1};
  const ForwardResult out =
      rnn.forward(ConstTensorView(x.data(), shape), {.h0 = ConstTensorView(h0.data(), shape)});
  const auto y = out.y.span<T>();
  return {y.begin(), y.end()};
}

// Steps through the bit patterns of all finite numbers, then densely through where the functions bend.
template <class T>
std::vector<T> sweep() {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  using Limits = std::numeric_limits<T>;
  std::vector<T> x;
  const Bits last = std::bit_cast<Bits>(Limits::max());
  constexpr Bits kPatterns = 200'000;
  for (Bits i = 0; i <= kPatterns; ++i) {
    const T value = std::bit_cast<T>(static_cast<Bits>(i == kPatterns ? last : last / kPatterns * i));
    x.push_back(value);
    x.push_back(-value);
  }
  for (T end : {T(0.01), T(1), T(20), T(40), T(100), T(800)}) {
    constexpr int kPoints = 50'000;
    for (int i = -kPoints; i <= kPoints; ++i) x.push_back(end * static_cast<T>(i) / kPoints);
  }
  const T edges[] = {Limits::min(), Limits::epsilon(), T(0.34657359), T(9.02), T(19.1),
                     T(87.3),       T(88.8),           T(708),        T(710)};
  for (T edge : edges) {
    for (T v : {std::nextafter(edge, T(0)), edge, std::nextafter(edge, Limits::max())}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  return x;
}

class Activations : public ::testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  template <class T>
  void check_accuracy(const Function& f) const;
  template <class T>
  void check_infinities_and_nan(const Function& f) const;
};
std::string test_name(const ::testing::TestParamInfo<Activations::ParamType>& instance) {
  return std::get<0>(instance.param) + "_" + to_string(std::get<1>(instance.param));
}
INSTANTIATE_TEST_SUITE_P(Each, Activations,
                         ::testing::Combine(::testing::ValuesIn(testing::kInstructionSets),
                                            ::testing::Values(DType::kF32, DType::kF64)),
                         test_name);

// Kernels flush denormals, and the sigmoid stops falling where e^x leaves the normal numbers: results below
// twice the smallest of these count as 0.
template <class T>
constexpr T kUnderflow = 2 * std::numeric_limits<T>::min();

template <class T>
void Activations::check_accuracy(const Function& f) const {
  const std::vector<T> x = sweep<T>(), got = by_network<T>(f, x);
  long double worst = 0;
  T at = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double expected = f.truth(x[i]), off = std::abs(expected - got[i]);
    ASSERT_FALSE(std::isnan(got[i])) << f.name << "(" << x[i] << ")";
    if (off <= kUnderflow<T> && std::abs(expected) <= kUnderflow<T>) continue;
    const long double ulp = std::ldexp(1.0L, std::ilogb(expected) + 1 - std::numeric_limits<T>::digits);
    if (off / ulp > worst) {
      worst = off / ulp;
      at = x[i];
    }
    ASSERT_LE(std::abs(got[i]), T(1)) << f.name << "(" << x[i] << ")";
  }
  EXPECT_LE(worst, 4) << f.name << "(" << std::hexfloat << at << ")";
  std::printf("%s: %.2Lf ulp at %g, %zu points\n", f.name, worst, static_cast<double>(at), x.size());
}

// x reaches the other gates too, and 0 * infinity is NaN there: infinities come as the bias.
template <class T>
void Activations::check_infinities_and_nan(const Function& f) const {
  constexpr T kInfinity = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
  const T low = f.tanh ? T(-1) : T(0);
  EXPECT_EQ(by_network<T>(f, {0}, kInfinity)[0], T(1)) << f.name;
  EXPECT_NEAR(by_network<T>(f, {0}, -kInfinity)[0], low, kUnderflow<T>) << f.name;
  EXPECT_TRUE(std::isnan(by_network<T>(f, {0}, kNan)[0])) << f.name << " of a NaN bias";
  // A NaN stays in its row.
  const std::vector<T> y = by_network<T>(f, {T(0.5), kNan, T(0.5), -kNan, T(0.5)});
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (i % 2 == 1) {
      EXPECT_TRUE(std::isnan(y[i])) << f.name << ": " << y[i];
    } else {
      EXPECT_EQ(y[i], y[0]) << f.name;
      EXPECT_NEAR(y[i], f.truth(0.5L), 4 * std::numeric_limits<T>::epsilon()) << f.name;
    }
  }
}

TEST_P(Activations, AtMostFourUnitsInTheLastPlace) {
  const auto& [isa, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  for (const Function& f : kFunctions) {
    if (dtype == DType::kF32) check_accuracy<float>(f);
    if (dtype == DType::kF64) check_accuracy<double>(f);
  }
}

TEST_P(Activations, InfinitiesSaturateAndNanStaysNan) {
  const auto& [isa, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  for (const Function& f : kFunctions) {
    if (dtype == DType::kF32) check_infinities_and_nan<float>(f);
    if (dtype == DType::kF64) check_infinities_and_nan<double>(f);
  }
}

// A NaN must not vanish in any cell, relu's maximum included.
TEST_P(Activations, EveryCellPassesNanOn) {
  const auto& [isa, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  for (const testing::CellChoice& cell : testing::cell_choices()) {
    RnnConfig c = config_of(cell, dtype);
    c.input_size = 3;
    c.hidden_size = 5;
    Rnn rnn(c, Device{});
    std::vector<double> x(4 * 2 * 3, 0.5);
    x[1 * 6 + 3] = std::numeric_limits<double>::quiet_NaN();  // step 1 of row 1
    const ForwardResult out = rnn.forward(testing::make_tensor(dtype, {4, 2, 3}, x));
    const std::vector<double> y = testing::values_of(out.y.view());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool reached = i / 5 % 2 == 1 && i / 10 >= 1;
      EXPECT_EQ(std::isnan(y[i]), reached) << cell.name << " step " << i / 10 << " row " << i / 5 % 2;
    }
  }
}

// The units that pad H to whole vectors must not let 0 * infinity into the gradients of the others: those are
// finite, since every gate of a row with an infinite x is saturated.
TEST_P(Activations, AnInfiniteInputLeavesGradientsFinite) {
  const auto& [isa, dtype] = GetParam();
  const testing::ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << testing::missing_instruction_set(isa);
  for (const testing::CellChoice& cell : testing::cell_choices()) {
    if (cell.cell == Cell::kSimpleRnn && cell.activation == Activation::kRelu) continue;  // never saturates
    RnnConfig c = config_of(cell, dtype);
    c.input_size = 3;
    c.hidden_size = 5;
    Rnn rnn(c, Device{});
    std::vector<double> x(4 * 2 * 3, 0.5);
    x[2 * 6 + 1] = std::numeric_limits<double>::infinity();  // step 2 of row 0
    const Tensor input = testing::make_tensor(dtype, {4, 2, 3}, x);
    Tape tape;
    const ForwardResult out = rnn.forward(input, {.tape = &tape});
    const Tensor dy = testing::make_tensor(dtype, {4, 2, 5}, std::vector<double>(4 * 2 * 5, 1));
    const BackwardResult back = rnn.backward(tape, {.dy = dy});
    for (const Tensor* all : {&out.y, &back.dx, &back.dh0}) {
      for (const double v : testing::values_of(all->view())) EXPECT_TRUE(std::isfinite(v)) << cell.name;
    }
  }
}

}  // namespace
}  // namespace rondo
