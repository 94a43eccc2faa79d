// Masks with holes and reset flags, against the same network run segment by segment, each in a call of its
// own.
#include <limits>
#include <optional>

#include "segments.h"
#include "visible_masks.h"

namespace rondo {
namespace {

using testing::Cube;
using testing::PassInputs;
using testing::PassResults;
using testing::Steps;

constexpr std::int64_t kT = 7, kN = 12, kI = 3, kH = 5;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Variant {
  const char* name;
  void (*set)(RnnConfig&);
};
std::ostream& operator<<(std::ostream& out, const Variant& v) { return out << v.name; }

void both(RnnConfig& c, Merge merge) {
  c.direction = Direction::kBidirectional;
  c.merge = merge;
}
void repeat(RnnConfig& c) { c.masked_outputs = MaskedOutputs::kRepeat; }
void drop(RnnConfig& c) { c.dropout = c.recurrent_dropout = c.layer_dropout = 0.4; }

const Variant kVariants[] = {
    {"forward", [](RnnConfig&) {}},
    {"reverse", [](RnnConfig& c) { c.direction = Direction::kReverse; }},
    {"layers_batch_major", [](RnnConfig& c) { c.num_layers = 3, c.layout = Layout::kBatchMajor; }},
    {"repeat", [](RnnConfig& c) { repeat(c); }},
    {"repeat_reverse_batch_major",
     [](RnnConfig& c) { repeat(c), c.direction = Direction::kReverse, c.layout = Layout::kBatchMajor; }},
    {"last", [](RnnConfig& c) { c.outputs = Outputs::kLast; }},
    {"last_reverse", [](RnnConfig& c) { c.outputs = Outputs::kLast, c.direction = Direction::kReverse; }},
    {"both", [](RnnConfig& c) { both(c, Merge::kConcat), c.num_layers = 2; }},
    {"both_repeat", [](RnnConfig& c) { both(c, Merge::kConcat), repeat(c), c.num_layers = 2; }},
    {"both_apart_repeat", [](RnnConfig& c) { both(c, Merge::kNone), repeat(c), c.num_layers = 2; }},
    {"both_product", [](RnnConfig& c) { both(c, Merge::kMul); }},
    {"both_product_repeat", [](RnnConfig& c) { both(c, Merge::kMul), repeat(c); }},
    {"both_sum_repeat", [](RnnConfig& c) { both(c, Merge::kSum), repeat(c); }},
    {"both_mean_repeat",
     [](RnnConfig& c) { both(c, Merge::kAve), repeat(c), c.layout = Layout::kBatchMajor; }},
    {"both_last",
     [](RnnConfig& c) { both(c, Merge::kConcat), c.outputs = Outputs::kLast, c.num_layers = 2; }},
    {"both_product_last", [](RnnConfig& c) { both(c, Merge::kMul), c.outputs = Outputs::kLast; }},
    {"masks_per_step", [](RnnConfig& c) { drop(c), c.num_layers = 2, c.layout = Layout::kBatchMajor; }},
    {"masks_per_gate_and_sequence",
     [](RnnConfig& c) {
       both(c, Merge::kConcat), drop(c), c.num_layers = 2;
       c.gate_masks = GateMasks::kPerGate, c.layer_masks = LayerMasks::kPerSequence;
     }},
};

class Masks : public ::testing::TestWithParam<std::tuple<testing::NetworkKind, Variant>> {
 protected:
  const testing::NetworkKind kind = std::get<0>(GetParam());
  RnnConfig config = [this] {
    RnnConfig c = kind.config(kI, kH);
    std::get<1>(GetParam()).set(c);
    return c;
  }();
  Steps steps = testing::draw_steps(kT, kN, 5);
  const bool last_only = config.outputs == Outputs::kLast, batch_major = config.layout == Layout::kBatchMajor;
  const bool repeats = config.masked_outputs == MaskedOutputs::kRepeat;
  const int directions = num_directions(config);
  const bool apart = config.merge == Merge::kNone && directions == 2;
  const std::int64_t pairs = config.num_layers * directions, width = output_size(config);

  void compare();

 private:
  Cube random(std::int64_t a, std::int64_t w, std::uint64_t seed) const {
    Cube c(a, kN, w);
    c.values = testing::RandomFill(seed).values(std::ssize(c.values), 1, kind.dtype);
    return c;
  }
  PassInputs draw_inputs() const;
  // Of y, and y_reverse: NaN where they may not be read.
  Cube draw_gradient(std::uint64_t seed) const;
  bool reverse(int direction) const { return config.direction == Direction::kReverse || direction == 1; }

  Tensor laid_out(const Cube& time_major) const {
    const Tensor tensor = time_major.tensor(kind.dtype);
    return batch_major ? testing::transposed(tensor) : testing::copy_of(tensor);
  }
  Tensor output(const Cube& y) const {
    return last_only ? testing::make_tensor(kind.dtype, {kN, width}, y.values) : laid_out(y);
  }
  Cube read(const Tensor& tensor) const {
    if (tensor.shape().rank() == 3) return batch_major ? Cube(testing::transposed(tensor)) : Cube(tensor);
    Cube c(1, kN, width);
    c.values = testing::values_of(tensor.view());
    return c;
  }
  Tensor flags(const std::vector<std::uint8_t>& of_steps) const {
    Tensor tensor(DType::kU8, batch_major ? Shape{kN, kT} : Shape{kT, kN});
    for (std::int64_t i = 0; i < kT * kN; ++i) {
      tensor.span<std::uint8_t>()[batch_major ? i % kN * kT + i / kN : i] = of_steps[i];
    }
    return tensor;
  }
  struct Whole {
    Cube y, y_reverse;
    PassResults results;
  };
  Whole run_whole(const PassInputs& inputs, const Cube& dy, const Cube& dy_reverse) const;
  // One direction's values at the caller's outputs, [T, N, H] or [1, N, H].
  Cube seen(const Cube& y, int direction) const;
  std::int64_t source(std::int64_t i, std::int64_t row, int direction) const {
    if (last_only) return steps.last(row, reverse(direction));
    return steps.source(i, row, reverse(direction), repeats);
  }
  void expect_equal(const Cube& got, const Cube& expected, const std::string& what,
                    bool backward = false) const {
    ASSERT_EQ(got.values.size(), expected.values.size()) << what;
    testing::expect_near(got.tensor(kind.dtype), expected.tensor(kind.dtype), config, what, backward);
    for (std::size_t i = 0; i < got.values.size(); ++i) {
      if (expected.values[i] == 0) {
        ASSERT_EQ(got.values[i], 0) << what << " " << i;
      }
    }
  }
};

PassInputs Masks::draw_inputs() const {
  PassInputs in{random(kT, kI, 1),
                random(pairs, kH, 2),
                random(pairs, kH, 3),
                random(pairs, kH, 4),
                random(pairs, kH, 5),
                {},
                {},
                {}};
  for (std::int64_t i = 0; i < kT * kN; ++i) {
    if (!steps.runs(i / kN, i % kN)) std::fill_n(in.x.at(i / kN, i % kN), kI, kNan);
  }
  if (config.dropout == 0) return in;
  const std::int64_t groups = config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1;
  testing::RandomFill fill(8);
  const auto make = [&](std::int64_t a, std::int64_t w) {
    Cube c(a, kN, w);
    c.values = fill.mask(std::ssize(c.values), 0.4, kind.dtype);
    return c;
  };
  for (std::int64_t i = 0; i < pairs; ++i) {
    in.input_masks.push_back(make(groups, layer_input_size(config, i / directions)));
    in.recurrent_masks.push_back(make(groups, kH));
  }
  const bool per_step = config.layer_masks == LayerMasks::kPerStep;
  for (std::int64_t l = 1; l < config.num_layers; ++l) {
    in.layer_masks.push_back(make(per_step ? kT : 1, layer_input_size(config, 1)));
  }
  return in;
}

Cube Masks::draw_gradient(std::uint64_t seed) const {
  Cube dy = random(last_only ? 1 : kT, width, seed);
  for (std::int64_t i = 0; i < kT * kN && !last_only; ++i) {
    const std::int64_t t = i / kN, row = i % kN;
    if (!steps.runs(t, row) && (!repeats || t >= steps.lengths[row])) std::fill_n(dy.at(t, row), width, kNan);
  }
  return dy;
}

Masks::Whole Masks::run_whole(const PassInputs& in, const Cube& dy, const Cube& dy_reverse) const {
  Rnn rnn(config, Device{});
  const Tensor x = laid_out(in.x), h0 = in.h0.tensor(kind.dtype), c0 = in.c0.tensor(kind.dtype);
  std::optional<Tensor> mask(flags(steps.mask)), resets(flags(steps.resets)),
      lengths(Tensor(DType::kI32, {kN}));
  std::copy(steps.lengths.begin(), steps.lengths.end(), lengths->span<std::int32_t>().begin());
  std::vector<Tensor> alive;
  alive.reserve(64);
  std::vector<ConstTensorView> masks[3];
  for (const Cube& one : in.input_masks)
    masks[0].push_back(alive.emplace_back(one.tensor(kind.dtype)).view());
  for (const Cube& one : in.recurrent_masks)
    masks[1].push_back(alive.emplace_back(one.tensor(kind.dtype)).view());
  for (const Cube& one : in.layer_masks) {
    const ConstTensorView view =
        alive.emplace_back(one.a > 1 ? laid_out(one) : one.tensor(kind.dtype)).view();
    masks[2].push_back(one.a > 1 ? view : ConstTensorView(view.data, view.dtype, Shape{kN, one.c}));
  }
  Tape tape;
  ForwardOptions options{.h0 = h0, .lengths = *lengths, .mask = *mask, .resets = *resets};
  if (kind.lstm()) options.c0 = c0;
  options.dropout.input_masks = masks[0];
  options.dropout.recurrent_masks = masks[1];
  options.dropout.layer_masks = masks[2];
  options.tape = &tape;
  const ForwardResult out = rnn.forward(x, options);
  mask.reset(), resets.reset(), lengths.reset(), alive.clear();  // backward needs none of them
  const Tensor d = output(dy), d_reverse = apart ? output(dy_reverse) : Tensor();
  const Tensor dh_n = in.dh_n.tensor(kind.dtype), dc_n = in.dc_n.tensor(kind.dtype);
  BackwardOptions upstream{.dy = d, .dy_reverse = d_reverse, .dh_n = dh_n};
  if (kind.lstm()) upstream.dc_n = dc_n;
  const BackwardResult back = rnn.backward(tape, upstream);
  Whole whole{read(out.y),
              apart ? read(out.y_reverse) : Cube(),
              {Cube(out.h_n), {}, read(back.dx), Cube(back.dh0), {}, testing::values_of(rnn.gradients())}};
  if (kind.lstm()) whole.results.c_n = Cube(out.c_n), whole.results.dc0 = Cube(back.dc0);
  return whole;
}

Cube Masks::seen(const Cube& y, int direction) const {
  Cube values(last_only ? 1 : kT, kN, kH);
  for (std::int64_t i = 0; i < values.a * kN; ++i) {
    const std::int64_t from = source(i / kN, i % kN, direction);
    if (from >= 0) std::copy_n(y.at(from, i % kN) + direction * kH, kH, values.at(i / kN, i % kN));
  }
  return values;
}

void Masks::compare() {
  const PassInputs in = draw_inputs();
  const Cube dy = draw_gradient(6), dy_reverse = draw_gradient(7);
  const Whole whole = run_whole(in, dy, dy_reverse);

  RnnConfig plain = config;
  plain.layout = Layout::kTimeMajor;
  plain.merge = Merge::kConcat;
  plain.outputs = Outputs::kSequence;
  testing::BySegments parts(plain, steps, in);
  Cube expected(last_only ? 1 : kT, kN, width), expected_reverse = expected;
  Cube dy_parts(kT, kN, directions * kH);
  const Cube each[2] = {seen(parts.y, 0), directions == 2 ? seen(parts.y, 1) : Cube()};
  for (int d = 0; d < directions; ++d) {
    const bool beside = config.merge == Merge::kConcat;
    const double scale = config.merge == Merge::kAve ? 0.5 : 1;
    for (std::int64_t i = 0; i < expected.a * kN; ++i) {
      const std::int64_t t = i / kN, row = i % kN, from = source(t, row, d);
      for (std::int64_t j = 0; j < kH; ++j) {
        const double value = each[d].at(t, row)[j], other = directions == 2 ? each[1 - d].at(t, row)[j] : 0;
        double& y = (apart && d == 1 ? expected_reverse : expected).at(t, row)[beside ? d * kH + j : j];
        double gradient = (apart && d == 1 ? dy_reverse : dy).at(t, row)[beside ? d * kH + j : j] * scale;
        if (beside || apart) y = value;
        if (!beside && !apart && config.merge != Merge::kMul) y += value * scale;
        if (config.merge == Merge::kMul) y = value * other, gradient *= other;
        if (from >= 0) dy_parts.at(from, row)[d * kH + j] += gradient;
      }
    }
  }
  parts.backward(dy_parts);
  expect_equal(whole.y, expected, "y");
  if (apart) expect_equal(whole.y_reverse, expected_reverse, "y_reverse");
  const PassResults &got = whole.results, &want = parts.results;
  expect_equal(got.h_n, want.h_n, "h_n");
  expect_equal(got.dx, want.dx, "dx", true);
  expect_equal(got.dh0, want.dh0, "dh0", true);
  if (kind.lstm()) expect_equal(got.c_n, want.c_n, "c_n");
  if (kind.lstm()) expect_equal(got.dc0, want.dc0, "dc0", true);
  const Shape flat{1, 1, std::ssize(want.dparameters)};
  testing::expect_near(testing::make_tensor(kind.dtype, flat, got.dparameters),
                       testing::make_tensor(kind.dtype, flat, want.dparameters), config, "dparameters", true);
}

TEST_P(Masks, AreWhatSegmentsGiveAlone) { compare(); }

TEST_P(Masks, HolesAloneToo) {
  steps.resets.assign(steps.resets.size(), 0);
  compare();
}

TEST_P(Masks, ResetsAloneToo) {
  steps.mask.assign(steps.mask.size(), 1);
  steps.lengths.assign(steps.lengths.size(), static_cast<std::int32_t>(kT));
  compare();
}

TEST_P(Masks, OfWhichNothingRuns) {
  steps.mask.assign(steps.mask.size(), 0);
  compare();
}

INSTANTIATE_TEST_SUITE_P(Each, Masks,
                         ::testing::Combine(::testing::ValuesIn(testing::network_kinds()),
                                            ::testing::ValuesIn(kVariants)),
                         [](const auto& instance) {
                           return ::testing::PrintToString(std::get<0>(instance.param)) + "_" +
                                  std::get<1>(instance.param).name;
                         });

}  // namespace
}  // namespace rondo
