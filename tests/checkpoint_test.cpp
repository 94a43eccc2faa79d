// Checkpoints: a training pass in windows has the outputs and the gradients of one that keeps everything, in
// less memory.
#include <sys/resource.h>

#include <chrono>
#include <optional>

#include "rejected.h"
#include "segments.h"
#include "visible_masks.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::expect_near;
using testing::random_tensor;
using testing::same_bits;
using testing::Steps;

constexpr std::int64_t kT = 11, kN = 9, kI = 3, kH = 5;

struct Variant {
  const char* name;
  void (*set)(RnnConfig&);
  bool lengths = false, mask = false, resets = false, start = true, final_gradients = true, supplied = false;
};
std::ostream& operator<<(std::ostream& out, const Variant& v) { return out << v.name; }

void reverse(RnnConfig& c) { c.direction = Direction::kReverse; }
void batch_major(RnnConfig& c) { c.layout = Layout::kBatchMajor; }
void last(RnnConfig& c) { c.outputs = Outputs::kLast; }
void drop(RnnConfig& c) { c.dropout = c.recurrent_dropout = c.layer_dropout = 0.4; }

const Variant kVariants[] = {
    {.name = "plain", .set = [](RnnConfig&) {}},
    {.name = "from_zeros", .set = [](RnnConfig&) {}, .start = false, .final_gradients = false},
    {.name = "reverse", .set = [](RnnConfig& c) { reverse(c); }},
    {.name = "batch_major", .set = [](RnnConfig& c) { batch_major(c); }},
    {.name = "lengths", .set = [](RnnConfig&) {}, .lengths = true},
    {.name = "lengths_reverse", .set = [](RnnConfig& c) { reverse(c), batch_major(c); }, .lengths = true},
    {.name = "masks", .set = [](RnnConfig&) {}, .lengths = true, .mask = true, .resets = true},
    {.name = "masks_reverse", .set = [](RnnConfig& c) { reverse(c); }, .mask = true, .resets = true},
    {.name = "resets_batch_major",
     .set = [](RnnConfig& c) { batch_major(c); },
     .resets = true,
     .start = false},
    {.name = "last", .set = [](RnnConfig& c) { last(c); }},
    {.name = "last_masks",
     .set = [](RnnConfig& c) { last(c); },
     .lengths = true,
     .mask = true,
     .resets = true},
    {.name = "last_reverse_lengths", .set = [](RnnConfig& c) { last(c), reverse(c); }, .lengths = true},
    {.name = "last_batch_major", .set = [](RnnConfig& c) { last(c), batch_major(c); }, .mask = true},
    {.name = "dropout", .set = [](RnnConfig& c) { drop(c); }},
    {.name = "dropout_masks_batch_major",
     .set = [](RnnConfig& c) { drop(c), batch_major(c); },
     .mask = true,
     .resets = true},
    {.name = "dropout_per_gate_reverse",
     .set =
         [](RnnConfig& c) {
           drop(c), reverse(c);
           c.gate_masks = GateMasks::kPerGate, c.layer_masks = LayerMasks::kPerSequence;
         },
     .lengths = true},
    {.name = "supplied", .set = [](RnnConfig& c) { drop(c); }, .supplied = true},
    {.name = "supplied_masks_batch_major",
     .set = [](RnnConfig& c) { drop(c), batch_major(c); },
     .mask = true,
     .resets = true,
     .supplied = true},
    {.name = "dropconnect_zoneout_h",
     .set = [](RnnConfig& c) { c.dropconnect = c.zoneout_h = 0.3; },
     .mask = true},
    {.name = "zoneout_supplied_reverse",
     .set = [](RnnConfig& c) { reverse(c), c.zoneout_h = 0.4; },
     .resets = true,
     .supplied = true},
};
const Variant kLstmVariants[] = {
    {.name = "cell_sequence", .set = [](RnnConfig& c) { c.cell_sequence = true; }},
    {.name = "cell_sequence_last_masks",
     .set = [](RnnConfig& c) { last(c), c.cell_sequence = true; },
     .lengths = true,
     .mask = true,
     .resets = true},
    {.name = "projection_zoneout_c",
     .set = [](RnnConfig& c) { batch_major(c), c.projection_size = 3, c.zoneout_c = 0.4, c.peephole = true; },
     .supplied = true},
};

class Checkpoints : public ::testing::TestWithParam<std::tuple<testing::NetworkKind, Variant>> {
 protected:
  struct Outcome {
    ForwardResult out;
    BackwardResult back;
    Tensor gradients;
  };
  const testing::NetworkKind kind = std::get<0>(GetParam());
  const Variant variant = std::get<1>(GetParam());
  const RnnConfig config = [this] {
    RnnConfig c = kind.config(kI, kH, 2);
    variant.set(c);
    return c;
  }();
  const Steps steps = testing::draw_steps(kT, kN, 5);
  const bool time_major = config.layout == Layout::kTimeMajor;

  Shape sequence(std::int64_t width) const {
    return time_major ? Shape{kT, kN, width} : Shape{kN, kT, width};
  }
  Tensor states(std::int64_t width, std::uint64_t seed) const {
    return random_tensor(kind.dtype, {config.num_layers, kN, width}, seed);
  }
  Tensor flags(const std::vector<std::uint8_t>& of_steps) const {
    Tensor tensor(DType::kU8, time_major ? Shape{kT, kN} : Shape{kN, kT});
    for (std::int64_t i = 0; i < kT * kN; ++i) {
      tensor.span<std::uint8_t>()[time_major ? i : i % kN * kT + i / kN] = of_steps[i];
    }
    return tensor;
  }
  testing::PassInputs draw_masks() const;
  Outcome train(std::int64_t every) const;
};

testing::PassInputs Checkpoints::draw_masks() const {
  testing::PassInputs in;
  testing::RandomFill fill(8);
  const auto make = [&](testing::MaskOf list, std::int64_t a, std::int64_t w, double kept) {
    testing::Cube& c = in.masks[list].emplace_back(a, kN, w);
    for (double& v : c.values) v = fill.unit() < 0.4 ? 0 : kept;
  };
  for (std::int64_t l = 0; l < config.num_layers && variant.supplied; ++l) {
    if (config.dropout > 0) make(testing::kOfInput, 1, layer_input_size(config, l), 1.5);
    if (config.recurrent_dropout > 0) make(testing::kOfState, 1, state_size(config), 1.5);
    if (config.zoneout_h > 0) make(testing::kOfZoneoutH, kT, state_size(config), 1);
    if (config.zoneout_c > 0) make(testing::kOfZoneoutC, kT, kH, 1);
    if (config.layer_dropout > 0 && l > 0) make(testing::kOfLayer, kT, layer_input_size(config, l), 1.5);
  }
  return in;
}

Checkpoints::Outcome Checkpoints::train(std::int64_t every) const {
  RnnConfig c = config;
  c.checkpoint_every = every;
  Rnn rnn(c, Device{});
  const std::int64_t h = state_size(c), width = output_size(c);
  const Tensor x = random_tensor(kind.dtype, sequence(kI), 1), h0 = states(h, 2), c0 = states(kH, 3);
  const Tensor dy =
      random_tensor(kind.dtype, c.outputs == Outputs::kLast ? Shape{kN, width} : sequence(width), 4);
  const Tensor dh_n = states(h, 5), dc_n = states(kH, 6), dc = random_tensor(kind.dtype, sequence(kH), 7);
  const testing::PassInputs in = draw_masks();
  testing::MaskViews masks(in, c.layer_masks, [&](const testing::Cube& one, testing::MaskOf list) {
    const Tensor tensor = one.tensor(kind.dtype);
    return per_step(list, c) && !time_major ? testing::transposed(tensor) : copy_of(tensor);
  });
  std::optional<Tensor> mask(flags(steps.mask)), resets(flags(steps.resets));
  std::optional<std::vector<std::int32_t>> lengths(steps.lengths);
  Tape tape;
  ForwardOptions options;
  if (variant.start) options.h0 = h0;
  if (variant.start && kind.lstm()) options.c0 = c0;
  if (variant.lengths) options.lengths = {lengths->data(), Shape{kN}};
  if (variant.mask) options.mask = *mask;
  if (variant.resets) options.resets = *resets;
  options.dropout = {.seed = 5, .offset = 6};
  masks.put(options.dropout);
  options.tape = &tape;
  Outcome got;
  got.out = rnn.forward(x, options);
  mask.reset(), resets.reset(), lengths.reset(), masks.forget_views();
  BackwardOptions upstream{.dy = dy};
  if (variant.final_gradients) upstream.dh_n = dh_n;
  if (variant.final_gradients && kind.lstm()) upstream.dc_n = dc_n;
  if (c.cell_sequence) upstream.dc = dc;
  const Tensor y_before = copy_of(got.out.y);
  got.back = rnn.backward(tape, upstream);
  EXPECT_TRUE(same_bits(got.out.y, y_before)) << "backward wrote to y";
  got.gradients = copy_of(rnn.gradients());
  return got;
}

TEST_P(Checkpoints, ChangeNothing) {
  const Outcome whole = train(0);
  for (const std::int64_t every : {1, 2, 4, 10, 11, 50}) {
    SCOPED_TRACE("every " + std::to_string(every));
    const Outcome got = train(every);
    // A step's sums are the same.
    EXPECT_TRUE(same_bits(got.out.y, whole.out.y));
    EXPECT_TRUE(same_bits(got.out.h_n, whole.out.h_n));
    EXPECT_TRUE(same_bits(got.out.c_n, whole.out.c_n));
    EXPECT_TRUE(same_bits(got.out.c, whole.out.c));
    expect_near(got.back.dx, whole.back.dx, config, "dx", true);
    expect_near(got.back.dh0, whole.back.dh0, config, "dh0", true);
    if (kind.lstm()) expect_near(got.back.dc0, whole.back.dc0, config, "dc0", true);
    const Shape flat{1, 1, parameter_count(config)};
    expect_near({got.gradients.view().data, kind.dtype, flat},
                {whole.gradients.view().data, kind.dtype, flat}, config, "dparameters", true);
    if (HasFailure()) return;
  }
}

std::string test_name(const ::testing::TestParamInfo<Checkpoints::ParamType>& instance) {
  return ::testing::PrintToString(std::get<0>(instance.param)) + "_" + std::get<1>(instance.param).name;
}
std::vector<testing::NetworkKind> lstm_kinds() {
  std::vector<testing::NetworkKind> all;
  for (const testing::NetworkKind& kind : testing::network_kinds()) {
    if (kind.lstm()) all.push_back(kind);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Each, Checkpoints,
                         ::testing::Combine(::testing::ValuesIn(testing::network_kinds()),
                                            ::testing::ValuesIn(kVariants)),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Lstm, Checkpoints,
                         ::testing::Combine(::testing::ValuesIn(lstm_kinds()),
                                            ::testing::ValuesIn(kLstmVariants)),
                         test_name);

// Drawn masks are those of the original steps.
TEST(CheckpointMasks, AreDrawnByTheCallersSteps) {
  for (const testing::MaskKind mask : testing::kMaskKinds) {
    for (const Layout layout : {Layout::kTimeMajor, Layout::kBatchMajor}) {
      testing::VisibleMasks visible;
      visible.kind = mask, visible.layout = layout, visible.t = 7, visible.width = 8;
      const std::vector<double> plain = visible.draw();
      visible.checkpoint_every = 3;
      EXPECT_EQ(visible.draw(), plain) << to_string(mask);
    }
  }
}

// Level two: what is not wanted is absent, and outputs may lie in the inputs that they replace.
TEST(CheckpointPlan, TakesAbsentArraysAndAliases) {
  for (const std::int64_t every : {2, 8}) {
    RnnConfig c = testing::valid_config();
    c.checkpoint_every = every;
    RnnConfig plain = c;
    plain.checkpoint_every = 0;
    const auto run = [&](const RnnConfig& config, bool sparse) {
      testing::ValidCall call(config);
      call.forward.lengths = {};
      call.forward.tape = &call.tape;
      if (sparse) {
        call.forward.y = {};
        call.forward.h_n = call.h0, call.forward.c_n = call.c0;
        call.backward.dh0 = call.dh_n, call.backward.dc0 = call.dc_n;
        call.backward.dx = {};
      }
      call.plan.forward(call.weights, call.forward);
      call.plan.backward(call.weights, call.tape, call.backward);
      std::vector<Tensor> all;
      for (ConstTensorView v : {ConstTensorView(call.forward.h_n), ConstTensorView(call.forward.c_n),
                                ConstTensorView(call.backward.dh0), ConstTensorView(call.backward.dc0)}) {
        all.push_back(copy_of(v));
      }
      return all;
    };
    const std::vector<Tensor> expected = run(plain, false), full = run(c, false), sparse = run(c, true);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expect_near(full[i], expected[i], c, "all given, " + std::to_string(i), true);
      EXPECT_TRUE(same_bits(sparse[i], full[i])) << "sparse, " << i;
    }
  }
}

TEST(CheckpointPlan, InferenceOfATrainingPlanGivesTheSame) {
  RnnConfig c = testing::valid_config();
  c.checkpoint_every = 2;
  testing::ValidCall in_windows(c), at_once(c, Phase::kInference);
  in_windows.forward.tape = nullptr;
  in_windows.plan.forward(in_windows.weights, in_windows.forward);
  at_once.plan.forward(at_once.weights, at_once.forward);
  EXPECT_TRUE(same_bits(in_windows.y, at_once.y));
  EXPECT_TRUE(same_bits(in_windows.h_n, at_once.h_n));
  EXPECT_TRUE(same_bits(in_windows.c_n, at_once.c_n));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A million steps in memory for a thousand and a thousand states.
TEST(CheckpointPlan, AMillionSteps) {
  constexpr std::int64_t kSteps = 1'000'000, kEvery = 1000, kUnits = 8;
  const RnnConfig plain{.cell = Cell::kLstm, .input_size = 1, .hidden_size = kUnits};
  RnnConfig c = plain;
  c.checkpoint_every = kEvery;
  const PlanOptions options{.phase = Phase::kTraining, .max_t = kSteps, .max_n = 1};
  const std::size_t plain_bytes = Plan(plain, options).tape_bytes();
  Plan plan(c, options);
  const std::size_t states = kSteps / kEvery * 2 * 64;  // h and c, each of its own 64 bytes
  const std::size_t of_a_window =
      Plan(plain, {.phase = Phase::kTraining, .max_t = kEvery, .max_n = 1}).tape_bytes();
  // Beside these: flags of a byte a step, and what does not grow.
  EXPECT_LE(plan.tape_bytes(), of_a_window + states + kSteps + 4096);
  EXPECT_LE(plan.workspace_bytes(), plain_bytes / 100);

  Tensor parameters(c.dtype, {parameter_count(c)}), gradients(c.dtype, parameters.shape());
  initialize(c, Initializer::kPyTorch, 1, parameters);
  const PackedWeights weights = plan.pack(parameters);
  const Tensor x = random_tensor(c.dtype, {kSteps, 1, 1}, 1),
               dh_n = random_tensor(c.dtype, {1, 1, kUnits}, 2);
  Tensor h_n(c.dtype, {1, 1, kUnits}), c_n = copy_of(h_n), dh0 = copy_of(h_n);
  testing::AlignedBytes workspace(plan.workspace_bytes());
  Tape tape;
  const auto start = std::chrono::steady_clock::now();
  plan.forward(weights, {.x = x, .h_n = h_n, .c_n = c_n, .tape = &tape, .workspace = workspace.span()});
  plan.backward(weights, tape,
                {.dh_n = dh_n, .dh0 = dh0, .dparameters = gradients, .workspace = workspace.span()});
  const double seconds = seconds_since(start);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "T=%lld, H=%lld, every %lld: %.2f s, tape %.2f MB of %.1f without checkpoints, workspace %.2f MB, "
      "the process's peak %.1f MB\n",
      static_cast<long long>(kSteps), static_cast<long long>(kUnits), static_cast<long long>(kEvery), seconds,
      static_cast<double>(plan.tape_bytes()) / 1e6, static_cast<double>(plain_bytes) / 1e6,
      static_cast<double>(plan.workspace_bytes()) / 1e6, static_cast<double>(usage.ru_maxrss) / 1e3);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which make it some 20 times slower
  EXPECT_LT(seconds, 20);
#endif

  // The final state is that of the last steps: what lies a thousand steps back is forgotten to the last bit.
  Rnn tail(plain, Device{});
  std::memcpy(tail.parameters().data, parameters.view().data, parameters.span<float>().size_bytes());
  Tape tail_tape;
  const ForwardResult out = tail.forward(testing::steps_of(x, kSteps - 5000, 5000), {.tape = &tail_tape});
  expect_near(h_n, out.h_n, c, "h_n");
  tail.backward(tail_tape, {.dh_n = dh_n, .want_dx = false});
  const Shape flat{1, 1, parameter_count(c)};
  expect_near({gradients.view().data, c.dtype, flat}, {tail.gradients().data, c.dtype, flat}, c,
              "dparameters", true);
}

}  // namespace
}  // namespace rondo
