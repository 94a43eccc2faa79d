// A step of a stream against a pass over a sequence of one step: the same bits, whatever happens in between.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "instruction_sets.h"
#include "network_fixture.h"
#include "rejected.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::expect_rejected;
using testing::random_tensor;
using testing::same_bits;

constexpr std::int64_t kI = 5;

class StepWays : public testing::EachNetwork {
 protected:
  DType dtype() const { return GetParam().dtype; }
  RnnConfig config(std::int64_t hidden, std::int64_t layers = 2) const {
    return GetParam().config(kI, hidden, layers);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, StepWays, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

// The same stream twice: by step, and by forward.
class Twice {
 public:
  Twice(Rnn& rnn, std::int64_t n) : n_(n), stepped_(rnn.make_state(n)), passed_(rnn.make_state(n)) {}
  void step(Rnn& rnn) {
    const RnnConfig& c = rnn.config();
    const Tensor x = random_tensor(c.dtype, {n_, c.input_size}, seed_++);
    const Shape sequence =
        c.layout == Layout::kTimeMajor ? Shape{1, n_, c.input_size} : Shape{n_, 1, c.input_size};
    const ConstTensorView y = rnn.step(x, stepped_);
    const ForwardResult expected =
        rnn.forward(ConstTensorView(x.view().data, c.dtype, sequence), {.state = &passed_});
    EXPECT_TRUE(same_bits(y, {expected.y.view().data, c.dtype, Shape{n_, state_size(c)}})) << seed_;
    EXPECT_TRUE(same_bits(stepped_.h(), passed_.h())) << seed_;
    EXPECT_TRUE(same_bits(stepped_.c(), passed_.c())) << seed_;
  }
  void on_both(const std::function<void(State&)>& change) { change(stepped_), change(passed_); }

 private:
  std::int64_t n_;
  State stepped_, passed_;
  std::uint64_t seed_ = 1;
};

void draw_parameters(Rnn& rnn, std::uint64_t seed) {
  const TensorView all = rnn.parameters();
  testing::store(all, testing::RandomFill(seed).values(all.shape.count(), 0.7, all.dtype));
}

TEST_P(StepWays, TheSameBitsWhateverTheSizes) {
  for (const std::string& isa : testing::kInstructionSets) {
    const testing::ForcedInstructionSet forced(isa);
    if (!forced.available()) continue;
    for (const std::int64_t hidden :
         {1, 2, 4, 8, 9, 16, 40}) {  // with and without padding, and of one vector
      for (const std::int64_t layers : {1, 3}) {
        for (const std::int64_t n : {1, 3, 14}) {
          SCOPED_TRACE(isa + " H=" + std::to_string(hidden) + " L=" + std::to_string(layers) +
                       " N=" + std::to_string(n));
          Rnn rnn(config(hidden, layers), Device{});
          Twice stream(rnn, n);
          for (int i = 0; i < 3; ++i) stream.step(rnn);
        }
      }
    }
  }
}

// Few inputs are multiplied by the cell, more by a product: also in the layers above, which read H of them.
TEST_P(StepWays, TheSameBitsWhateverTheInputs) {
  for (const std::string& isa : testing::kInstructionSets) {
    const testing::ForcedInstructionSet forced(isa);
    if (!forced.available()) continue;
    for (const std::int64_t inputs : {1, 2, 3, 8, 9, 17}) {
      for (const std::int64_t hidden : {8, 16, 20, 32, 70}) {
        for (const std::int64_t n : {1, 2}) {
          SCOPED_TRACE(isa + " I=" + std::to_string(inputs) + " H=" + std::to_string(hidden) +
                       " N=" + std::to_string(n));
          Rnn rnn(GetParam().config(inputs, hidden, 2), Device{});
          draw_parameters(rnn, 7);
          Twice stream(rnn, n);
          for (int i = 0; i < 3; ++i) stream.step(rnn);
        }
      }
    }
  }
}

struct Option {
  const char* name;
  std::function<void(RnnConfig&)> set;
  enum class For { kAll, kNormalised, kLstm } cells = For::kAll;
};
const std::vector<Option>& options() {
  using enum Option::For;
  static const std::vector<Option> all = {
      {"batch_major",
       [](RnnConfig& c) {
         c.layout = Layout::kBatchMajor;
         c.outputs = Outputs::kLast;
       }},
      {"functions",
       [](RnnConfig& c) {
         c.gate_activation = {Activation::kHardSigmoid, 0.3, 0.4};
         c.activation = Activation::kSoftsign;
       }},
      {"clip", [](RnnConfig& c) { c.preactivation_clip = 0.3; }},
      {"zoneout", [](RnnConfig& c) { c.zoneout_h = 0.4; }},
      {"rates",
       [](RnnConfig& c) { c.dropout = c.recurrent_dropout = c.layer_dropout = c.dropconnect = 0.5; }},
      {"checkpoints", [](RnnConfig& c) { c.checkpoint_every = 1; }},
      {"layer_norm", [](RnnConfig& c) { c.layer_norm = true; }, kNormalised},
      {"peephole", [](RnnConfig& c) { c.peephole = true, c.cell_clip = 0.2; }, kLstm},
      {"input_forget", [](RnnConfig& c) { c.input_forget = true; }, kLstm},
      {"cell_sequence", [](RnnConfig& c) { c.cell_sequence = true, c.zoneout_c = 0.4; }, kLstm},
      {"projection", [](RnnConfig& c) { c.projection_size = c.hidden_size / 2; }, kLstm},
  };
  return all;
}

TEST_P(StepWays, TheSameBitsWhateverTheOptions) {
  const auto& cell = GetParam().cell;
  const bool lstm = GetParam().lstm();
  const bool normalised = lstm || (cell.cell == Cell::kGru && cell.gru_reset == GruReset::kAfter);
  for (const Option& option : options()) {
    if (option.cells == Option::For::kLstm ? !lstm : option.cells != Option::For::kAll && !normalised)
      continue;
    for (const std::int64_t hidden : {6, 8, 16, 32}) {
      for (const std::int64_t n : {1, 3}) {
        SCOPED_TRACE(std::string(option.name) + " H=" + std::to_string(hidden) + " N=" + std::to_string(n));
        RnnConfig c = config(hidden, 3);
        option.set(c);
        Rnn rnn(c, Device{});
        draw_parameters(rnn, 20);
        Twice stream(rnn, n);
        for (int i = 0; i < 4; ++i) stream.step(rnn);
      }
    }
  }
}

TEST_P(StepWays, ChangedParametersAndStatesAreRead) {
  for (const std::int64_t n : {1, 2}) {
    SCOPED_TRACE(n);
    Rnn rnn(config(16), Device{});
    Twice stream(rnn, n);
    for (std::uint64_t i = 0; i < 4; ++i) {
      stream.step(rnn);
      draw_parameters(rnn, i);
      stream.step(rnn);
      rnn.initialize(Initializer::kPyTorch, i);
      stream.step(rnn);
      if (i == 1) stream.on_both([](State& s) { s.reset(); });
      if (i == 2) stream.on_both([&](State& s) { s.reset_row(n - 1); });
      const Tensor h = random_tensor(dtype(), {2, n, 16}, 30 + i);
      if (i == 3) stream.on_both([&](State& s) { testing::store(s.h(), testing::values_of(h)); });
      stream.step(rnn);
    }
  }
}

// Of a row with an infinite input: the same numbers, and NaN in the same places, also in what follows.
TEST_P(StepWays, AnInfiniteInputDoesWhatItDoesInAPass) {
  const auto same = [](const ConstTensorView& a, const ConstTensorView& b) {
    const std::vector<double> x = testing::values_of(a), y = testing::values_of(b);
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](double one, double other) {
      return one == other || (std::isnan(one) && std::isnan(other));
    });
  };
  for (const std::int64_t hidden : {9, 16}) {
    Rnn rnn(config(hidden), Device{});
    State stepped = rnn.make_state(1), passed = rnn.make_state(1);
    for (const double first : {1.0, std::numeric_limits<double>::infinity(), 1.0}) {
      const Tensor x = testing::make_tensor(dtype(), {1, kI}, std::vector<double>{first, 1, -1, 2, 0.5});
      rnn.step(x, stepped);
      rnn.forward(ConstTensorView(x.view().data, dtype(), Shape{1, 1, kI}), {.state = &passed});
      EXPECT_TRUE(same(stepped.h(), passed.h())) << hidden << ": " << first;
    }
  }
}

TEST_P(StepWays, StatesAndNetworksTakeTurns) {
  const RnnConfig narrow = config(16), wide = config(23);
  Rnn a(narrow, Device{}), b(narrow, Device{}), other(wide, Device{});
  draw_parameters(b, 3);
  Twice one(a, 1), four(a, 4), more(a, 4), wider(other, 2);
  for (int i = 0; i < 3; ++i) {
    one.step(a), four.step(a), wider.step(other), one.step(b), four.step(b), four.step(a), more.step(a);
  }
  Rnn moved = std::move(a);
  one.step(moved);
  four.on_both([](State& s) {
    State there = std::move(s);
    s = std::move(there);
  });
  four.step(moved);
  a = std::move(b);
  one.step(a);
  one.step(moved);
}

// Products of numbers so small are no longer normal.
TEST_P(StepWays, DenormalsAreFlushed) {
  const double tiny = dtype() == DType::kF32 ? 1e-20 : 1e-160;
  Rnn rnn(config(9, 1), Device{});
  const TensorView all = rnn.parameters();
  testing::store(all, std::vector<double>(static_cast<std::size_t>(all.shape.count())));
  const TensorView w = rnn.parameter("weight_ih_l0");
  testing::store(w, std::vector<double>(static_cast<std::size_t>(w.shape.count()), tiny));
  State state = rnn.make_state(1);
  const Tensor x = testing::make_tensor(dtype(), {1, kI}, std::vector<double>(kI, tiny));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(testing::largest_magnitude(testing::values_of(rnn.step(x, state))), 0);
    const volatile double smallest = std::numeric_limits<double>::denorm_min();
    EXPECT_GT(smallest * 2, 0);  // the caller's are not
  }
}

// Whatever mode the caller computes in, and changes to between steps, is also that of the kernels and stays.
TEST_P(StepWays, TheCallersRoundingIsKept) {
  Rnn rnn(config(16), Device{});
  Twice stream(rnn, 1), wider(rnn, 2);
  const volatile double one = 1, little = 1e-30;  // in sums as the CPU rounds them, whatever fegetround says
  for (const int rounding : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_DOWNWARD, FE_TONEAREST}) {
    std::fesetround(rounding);
    const double above = one + little, below = one - little;
    stream.step(rnn), wider.step(rnn);
    EXPECT_EQ(one + little, above) << rounding;
    EXPECT_EQ(one - little, below) << rounding;
  }
  std::fesetround(FE_TONEAREST);
}

TEST_P(StepWays, ReturnsAsManyRowsAsWereAskedFor) {
  Rnn rnn(config(9, 1), Device{});
  State state = rnn.make_state(4);
  const Tensor x = random_tensor(dtype(), {3, kI}, 4);
  const std::int64_t rows[] = {2, 0, 3};
  for (const std::int64_t n : {3, 1, 2}) {
    const ConstTensorView some(x.view().data, dtype(), {n, kI}), chosen(rows, Shape{n});
    EXPECT_EQ(rnn.step(some, state, chosen).shape, (Shape{n, 9}));
  }
}

// More plans than a network keeps, and a workspace that grows and so moves.
TEST_P(StepWays, OtherCallsComeBetween) {
  Rnn rnn(config(16), Device{});
  Twice stream(rnn, 2);
  for (std::int64_t t = 1; t < 12; ++t) {
    Tape tape;
    const Tensor x = random_tensor(dtype(), {t * t, 2 + t, kI}, 40);
    rnn.forward(x, {.tape = t % 2 == 0 ? &tape : nullptr});
    stream.step(rnn);
  }
}

TEST_P(StepWays, ThreadsComeAndGo) {
  for (const auto& [hidden, n] : {std::pair<std::int64_t, std::int64_t>{16, 2}, {160, 2}, {64, 40}}) {
    Rnn rnn(config(hidden), Device{});
    Twice stream(rnn, n);
    for (const int threads : {1, 2, 3, 1}) {
      set_num_threads(threads);
      stream.step(rnn), stream.step(rnn);
    }
  }
  set_num_threads(0);
}

// What is wrong is said in the words of the longer way, and leaves the state as it was.
TEST_P(StepWays, MisuseIsRefusedAsInAPass) {
  RnnConfig square = config(8, 1);
  square.input_size = 8;
  Rnn rnn(square, Device{});
  State state = rnn.make_state(2);
  (void)rnn.step(random_tensor(dtype(), {2, 8}, 1), state);
  const Tensor before = copy_of(state.h());
  expect_rejected(
      [&] {
        (void)rnn.step(ConstTensorView(state.h().data, dtype(), {2, 8}), state);
      },
      {"forward: h_n overlaps x"});
  if (GetParam().lstm()) {
    expect_rejected(
        [&] {
          (void)rnn.step(ConstTensorView(state.c().data, dtype(), {2, 8}), state);
        },
        {"forward: c_n overlaps x"});
  }
  const Tensor room = random_tensor(dtype(), {3, 8}, 2);
  const auto with = [&](const std::function<void(ConstTensorView&)>& spoil, const std::string& part) {
    ConstTensorView x(room.view().data, dtype(), {2, 8});
    spoil(x);
    expect_rejected([&] { (void)rnn.step(x, state); }, {part});
  };
  with([](ConstTensorView& x) { x.data = nullptr; }, "step: x_t [2, 8] has no data");
  with([](ConstTensorView& x) { x.strides[0] = 9; }, "step: x_t has stride 9 in dimension 0, expected 8");
  with([](ConstTensorView& x) { x.strides[1] = 2; }, "step: x_t has stride 2 in dimension 1, expected 1");
  with([](ConstTensorView& x) { x.dtype = DType::kI32; }, "step: x_t is i32");
  with([](ConstTensorView& x) { x.device = {Device::Kind::kCuda, 1}; }, "step: x_t lies on cuda:1");
  with([](ConstTensorView& x) { x.shape = {2, 7}; }, "step: x_t has shape [2, 7]");
  with([](ConstTensorView& x) { x = {x.data, x.dtype, {2, 7}}; }, "step: x_t has shape [2, 7]");
  with([](ConstTensorView& x) { x.shape = {3, 8}; }, "step: x_t has shape [3, 8]");
  with([](ConstTensorView& x) { x.shape = {2, 8, 1}; }, "step: x_t has shape [2, 8, 1]");
  EXPECT_TRUE(same_bits(state.h(), before));

  const auto foreign = [&](const RnnConfig& c, const std::string& part) {
    State theirs = Rnn(c, Device{}).make_state(2);
    expect_rejected(
        [&] {
          (void)rnn.step(ConstTensorView(room.view().data, dtype(), {2, 8}), theirs);
        },
        {part});
  };
  RnnConfig other = square;
  other.num_layers = 2;
  foreign(other, "step: state.h has shape [2, 2, 8]");
  other = square;
  other.hidden_size = 7;
  foreign(other, "step: state.h has shape [1, 2, 7]");
  other = square;
  other.dtype = dtype() == DType::kF32 ? DType::kF64 : DType::kF32;
  foreign(other, "step: state.h is ");
  other = testing::valid_config(GetParam().lstm() ? Cell::kGru : Cell::kLstm);
  other.dtype = dtype();
  other.hidden_size = 8;
  foreign(other, GetParam().lstm() ? "step: the state has no c" : "step: state.c was given");
  if (!GetParam().lstm()) return;
  other = square;
  other.hidden_size = 16;
  other.projection_size = 8;
  foreign(other, "step: state.c has shape [1, 2, 16]");
}

TEST_P(StepWays, StridesOfOneElementDoNotCount) {
  Rnn rnn(config(9), Device{});
  State state = rnn.make_state(1), dense = rnn.make_state(1);
  const Tensor x = random_tensor(dtype(), {1, kI}, 3);
  ConstTensorView view = x;
  view.strides[0] = 77;
  EXPECT_TRUE(same_bits(rnn.step(view, state), rnn.step(x, dense)));
}

}  // namespace
}  // namespace rondo
