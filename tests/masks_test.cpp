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

// Of LSTM alone.
const Variant kLstmVariants[] = {
    {"cell_sequence", [](RnnConfig& c) { c.cell_sequence = true, c.num_layers = 2; }},
    {"cell_sequence_of_both_repeat",
     [](RnnConfig& c) {
       both(c, Merge::kSum), repeat(c), c.cell_sequence = true, c.layout = Layout::kBatchMajor;
     }},
    {"cell_sequence_repeat_last",
     [](RnnConfig& c) { repeat(c), c.outputs = Outputs::kLast, c.cell_sequence = true; }},
    {"projection", [](RnnConfig& c) { both(c, Merge::kConcat), c.num_layers = 2, c.projection_size = 3; }},
    {"zoneout_dropconnect",
     [](RnnConfig& c) {
       c.zoneout_h = c.zoneout_c = c.dropconnect = 0.4, c.peephole = true, c.num_layers = 2;
     }},
    {"zoneout_batch_major",
     [](RnnConfig& c) {
       both(c, Merge::kConcat), c.zoneout_h = c.zoneout_c = 0.4, c.layout = Layout::kBatchMajor;
     }},
};

class Masks : public ::testing::TestWithParam<std::tuple<testing::NetworkKind, Variant>> {
 protected:
  // Of a pass of the whole batch; y of one step under Outputs::kLast.
  struct Outcome {
    Cube y, y_reverse, c;
    PassResults results;
  };
  struct Upstream {
    Cube y, y_reverse, c;
  };
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
  const std::int64_t h = state_size(config), c_width = directions * kH;

  void compare() const;

  Cube random(std::int64_t a, std::int64_t w, std::uint64_t seed) const {
    Cube c(a, kN, w);
    c.values = testing::RandomFill(seed).values(std::ssize(c.values), 1, kind.dtype);
    return c;
  }
  PassInputs draw_inputs() const;
  // Of an output, NaN where it may not be read.
  Cube draw_gradient(std::int64_t w, std::uint64_t seed, bool of_last) const;
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
  Outcome run_whole(const PassInputs& in, const Upstream& upstream) const;
  // The outputs that the whole batch has to give, and into dy the gradients of the parts' own.
  Outcome expected(const testing::BySegments& parts, const Upstream& upstream, Upstream& of_parts) const;
  // One direction of an array at the caller's outputs: [T, N, w], or [1, N, w].
  Cube seen(const Cube& of_parts, int direction, std::int64_t w, bool of_last) const;
  std::int64_t source(std::int64_t i, std::int64_t row, int direction, bool of_last) const {
    if (of_last) return steps.last(row, reverse(direction));
    return steps.source(i, row, reverse(direction), repeats);
  }
  void expect_equal(const Cube& got, const Cube& want, const std::string& what, bool backward = false) const {
    ASSERT_EQ(got.values.size(), want.values.size()) << what;
    testing::expect_near(got.tensor(kind.dtype), want.tensor(kind.dtype), config, what, backward);
    for (std::size_t i = 0; i < got.values.size(); ++i) {
      if (want.values[i] == 0) {
        ASSERT_EQ(got.values[i], 0) << what << " " << i;
      }
    }
  }
};

PassInputs Masks::draw_inputs() const {
  PassInputs in{random(kT, kI, 1),   random(pairs, h, 2),  random(pairs, kH, 3),
                random(pairs, h, 4), random(pairs, kH, 5), {}};
  for (std::int64_t i = 0; i < kT * kN; ++i) {
    if (!steps.runs(i / kN, i % kN)) std::fill_n(in.x.at(i / kN, i % kN), kI, kNan);
  }
  const std::int64_t groups = config.gate_masks == GateMasks::kPerGate ? num_gates(config.cell) : 1;
  testing::RandomFill fill(8);
  const auto make = [&](testing::MaskOf list, std::int64_t a, std::int64_t w) {
    Cube& c = in.masks[list].emplace_back(a, kN, w);
    c.values = fill.mask(std::ssize(c.values), 0.4, kind.dtype);
    const bool zoneout = list == testing::kOfZoneoutH || list == testing::kOfZoneoutC;
    for (double& v : c.values) v = zoneout && v != 0 ? 1 : v;
  };
  for (std::int64_t i = 0; i < pairs; ++i) {
    const std::int64_t layer = i / directions;
    if (config.dropout > 0) make(testing::kOfInput, groups, layer_input_size(config, layer));
    if (config.recurrent_dropout > 0) make(testing::kOfState, groups, h);
    if (config.zoneout_h > 0) make(testing::kOfZoneoutH, kT, h);
    if (config.zoneout_c > 0) make(testing::kOfZoneoutC, kT, kH);
    if (config.layer_dropout == 0 || i % directions > 0 || layer + 1 == config.num_layers) continue;
    make(testing::kOfLayer, per_step(testing::kOfLayer, config) ? kT : 1, layer_input_size(config, 1));
  }
  return in;
}

Cube Masks::draw_gradient(std::int64_t w, std::uint64_t seed, bool of_last) const {
  Cube dy = random(of_last ? 1 : kT, w, seed);
  for (std::int64_t i = 0; i < kT * kN && !of_last; ++i) {
    const std::int64_t t = i / kN, row = i % kN;
    if (!steps.runs(t, row) && (!repeats || t >= steps.lengths[row])) std::fill_n(dy.at(t, row), w, kNan);
  }
  return dy;
}

Masks::Outcome Masks::run_whole(const PassInputs& in, const Upstream& upstream) const {
  Rnn rnn(config, Device{});
  const Tensor x = laid_out(in.x), h0 = in.h0.tensor(kind.dtype), c0 = in.c0.tensor(kind.dtype);
  std::optional<Tensor> mask(flags(steps.mask)), resets(flags(steps.resets));
  std::optional<std::vector<std::int32_t>> lengths(steps.lengths);
  std::optional<testing::MaskViews> masks(
      std::in_place, in, config.layer_masks, [&](const Cube& one, testing::MaskOf list) {
        return per_step(list, config) ? laid_out(one) : one.tensor(kind.dtype);
      });
  Tape tape;
  ForwardOptions options{.h0 = h0, .lengths = {lengths->data(), Shape{kN}}, .mask = *mask, .resets = *resets};
  if (kind.lstm()) options.c0 = c0;
  masks->put(options.dropout);
  options.tape = &tape;
  const ForwardResult out = rnn.forward(x, options);
  mask.reset(), resets.reset(), lengths.reset(), masks.reset();  // backward needs none of them
  const Tensor dy = output(upstream.y), dy_reverse = apart ? output(upstream.y_reverse) : Tensor();
  const Tensor dh_n = in.dh_n.tensor(kind.dtype), dc_n = in.dc_n.tensor(kind.dtype);
  const Tensor dc = config.cell_sequence ? laid_out(upstream.c) : Tensor();
  BackwardOptions all{.dy = dy, .dy_reverse = dy_reverse, .dh_n = dh_n, .dc = dc};
  if (kind.lstm()) all.dc_n = dc_n;
  const BackwardResult back = rnn.backward(tape, all);
  Outcome got{read(out.y), {}, {}, {Cube(out.h_n), {}, read(back.dx), Cube(back.dh0), {}, {}}};
  got.results.dparameters = testing::values_of(rnn.gradients());
  if (apart) got.y_reverse = read(out.y_reverse);
  if (config.cell_sequence) got.c = read(out.c);
  if (kind.lstm()) got.results.c_n = Cube(out.c_n), got.results.dc0 = Cube(back.dc0);
  return got;
}

Cube Masks::seen(const Cube& of_parts, int direction, std::int64_t w, bool of_last) const {
  Cube values(of_last ? 1 : kT, kN, w);
  for (std::int64_t i = 0; i < values.a * kN; ++i) {
    const std::int64_t from = source(i / kN, i % kN, direction, of_last);
    if (from >= 0) std::copy_n(of_parts.at(from, i % kN) + direction * w, w, values.at(i / kN, i % kN));
  }
  return values;
}

Masks::Outcome Masks::expected(const testing::BySegments& parts, const Upstream& upstream,
                               Upstream& of_parts) const {
  Outcome want{
      Cube(last_only ? 1 : kT, kN, width), Cube(last_only ? 1 : kT, kN, width), Cube(kT, kN, c_width), {}};
  of_parts = {Cube(kT, kN, directions * h), {}, Cube(kT, kN, c_width)};
  const bool beside = config.merge == Merge::kConcat, product = config.merge == Merge::kMul;
  const double scale = config.merge == Merge::kAve ? 0.5 : 1;
  const Cube each[2] = {seen(parts.y, 0, h, last_only),
                        directions == 2 ? seen(parts.y, 1, h, last_only) : Cube()};
  for (int d = 0; d < directions; ++d) {
    const bool other = apart && d == 1;
    const Cube cells = seen(parts.c, d, kH, false);
    for (std::int64_t i = 0; i < kT * kN; ++i) {
      const std::int64_t t = i / kN, row = i % kN, cell_from = source(t, row, d, false);
      for (std::int64_t j = 0; j < kH; ++j) {
        want.c.at(t, row)[d * kH + j] = cells.at(t, row)[j];
        if (cell_from >= 0) of_parts.c.at(cell_from, row)[d * kH + j] += upstream.c.at(t, row)[d * kH + j];
      }
      if (t >= want.y.a) continue;
      const std::int64_t from = source(t, row, d, last_only);
      for (std::int64_t j = 0; j < h; ++j) {
        const std::int64_t column = beside ? d * h + j : j;
        const double value = each[d].at(t, row)[j], factor = product ? each[1 - d].at(t, row)[j] : scale;
        double& y = (other ? want.y_reverse : want.y).at(t, row)[column];
        y = product ? value * factor : y + value * scale;
        const double gradient = (other ? upstream.y_reverse : upstream.y).at(t, row)[column];
        if (from >= 0) of_parts.y.at(from, row)[d * h + j] += gradient * factor;
      }
    }
  }
  return want;
}

void Masks::compare() const {
  const PassInputs in = draw_inputs();
  const Upstream upstream{draw_gradient(width, 6, last_only), draw_gradient(width, 7, last_only),
                          draw_gradient(c_width, 9, false)};
  const Outcome got = run_whole(in, upstream);
  RnnConfig plain = config;
  plain.layout = Layout::kTimeMajor;
  plain.merge = Merge::kConcat;
  plain.outputs = Outputs::kSequence;
  testing::BySegments parts(plain, steps, in);
  Upstream of_parts;
  const Outcome want = expected(parts, upstream, of_parts);
  parts.backward(of_parts.y, of_parts.c);
  expect_equal(got.y, want.y, "y");
  if (apart) expect_equal(got.y_reverse, want.y_reverse, "y_reverse");
  if (config.cell_sequence) expect_equal(got.c, want.c, "c");
  expect_equal(got.results.h_n, parts.results.h_n, "h_n");
  expect_equal(got.results.dx, parts.results.dx, "dx", true);
  expect_equal(got.results.dh0, parts.results.dh0, "dh0", true);
  if (kind.lstm()) expect_equal(got.results.c_n, parts.results.c_n, "c_n");
  if (kind.lstm()) expect_equal(got.results.dc0, parts.results.dc0, "dc0", true);
  const Shape flat{1, 1, std::ssize(parts.results.dparameters)};
  testing::expect_near(testing::make_tensor(kind.dtype, flat, got.results.dparameters),
                       testing::make_tensor(kind.dtype, flat, parts.results.dparameters), config,
                       "dparameters", true);
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

// Neither has a hole or a cut: the very bits of a call without them.
TEST_P(Masks, ThatLeaveNothingOutChangeNothing) {
  Rnn rnn(config, Device{});
  const Tensor x = laid_out(random(kT, kI, 1)), h0 = random(pairs, h, 2).tensor(kind.dtype);
  const Tensor c0 = random(pairs, kH, 3).tensor(kind.dtype);
  const Tensor mask = flags(std::vector<std::uint8_t>(kT * kN, 1)),
               resets = flags(std::vector<std::uint8_t>(kT * kN));
  Tape tape;
  ForwardOptions options{.h0 = h0, .tape = &tape};
  if (config.cell == Cell::kLstm) options.c0 = c0;
  const ForwardResult plain = rnn.forward(x, options);
  options.mask = mask;
  options.resets = resets;
  const ForwardResult masked = rnn.forward(x, options);
  EXPECT_TRUE(testing::same_bits(plain.y, masked.y));
  EXPECT_TRUE(testing::same_bits(plain.h_n, masked.h_n));
}

std::string test_name(const ::testing::TestParamInfo<Masks::ParamType>& instance) {
  return ::testing::PrintToString(std::get<0>(instance.param)) + "_" + std::get<1>(instance.param).name;
}
INSTANTIATE_TEST_SUITE_P(Each, Masks,
                         ::testing::Combine(::testing::ValuesIn(testing::network_kinds()),
                                            ::testing::ValuesIn(kVariants)),
                         test_name);
INSTANTIATE_TEST_SUITE_P(
    Lstm, Masks,
    ::testing::Combine(::testing::Values(testing::NetworkKind{testing::cell_choices()[2], DType::kF32},
                                         testing::NetworkKind{testing::cell_choices()[2], DType::kF64}),
                       ::testing::ValuesIn(kLstmVariants)),
    test_name);

// A drawn mask belongs to its original row and step: where a step runs it is that of a call without holes.
class DrawnMasks : public ::testing::TestWithParam<std::tuple<testing::MaskKind, Layout>> {};

TEST_P(DrawnMasks, BelongToTheCallersRowsAndSteps) {
  testing::VisibleMasks visible;
  std::tie(visible.kind, visible.layout) = GetParam();
  visible.t = kT, visible.n = kN, visible.width = 8;
  visible.direction = Direction::kBidirectional;
  std::vector<double> plain_reverse, reverse;
  const std::vector<double> plain = visible.draw(&plain_reverse);
  const Steps steps = testing::draw_steps(kT, kN, 5);
  visible.lengths = steps.lengths;
  visible.mask = steps.mask, visible.resets = steps.resets;
  const std::vector<double> masked = visible.draw(&reverse);
  std::int64_t seen = 0;
  for (std::int64_t i = 0; i < std::ssize(masked); ++i) {
    const std::int64_t outer = i / visible.width / (visible.layout == Layout::kTimeMajor ? kN : kT);
    const std::int64_t inner = i / visible.width % (visible.layout == Layout::kTimeMajor ? kN : kT);
    const bool runs =
        visible.layout == Layout::kTimeMajor ? steps.runs(outer, inner) : steps.runs(inner, outer);
    ASSERT_EQ(masked[i], runs ? plain[i] : 0) << i;
    ASSERT_EQ(reverse[i], runs ? plain_reverse[i] : 0) << i;
    seen += runs && plain[i] != 0 ? 1 : 0;
  }
  EXPECT_GT(seen, 0);
}
INSTANTIATE_TEST_SUITE_P(Each, DrawnMasks,
                         ::testing::Combine(::testing::Values(testing::MaskKind::kInput,
                                                              testing::MaskKind::kLayerPerStep,
                                                              testing::MaskKind::kLayerPerSequence),
                                            ::testing::Values(Layout::kTimeMajor, Layout::kBatchMajor)));

}  // namespace
}  // namespace rondo
