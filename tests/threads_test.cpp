// Threads: the same bits for any number of them, networks side by side, and the caller's executor.
#include <atomic>
#include <cstring>
#include <thread>

#include "cpu/layer.h"
#include "network_fixture.h"
#include "rondo/calibration.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::random_tensor;
using testing::same_bits;

struct Outcome {
  Tensor y, h_n, dx, dh0, dparameters;
};

// Which tensors differ; empty: none.
std::string differences(const Outcome& a, const Outcome& b) {
  std::string names;
  if (!same_bits(a.y, b.y)) names += " y";
  if (!same_bits(a.h_n, b.h_n)) names += " h_n";
  if (!same_bits(a.dx, b.dx)) names += " dx";
  if (!same_bits(a.dh0, b.dh0)) names += " dh0";
  if (!same_bits(a.dparameters, b.dparameters)) names += " dparameters";
  return names;
}

Shape sequence_shape(const RnnConfig& config, std::int64_t t, std::int64_t n, std::int64_t width) {
  return config.layout == Layout::kBatchMajor ? Shape{n, t, width} : Shape{t, n, width};
}

// One training pass with drawn masks; everything that comes out of it.
Outcome train(const RnnConfig& config, std::int64_t t, std::int64_t n) {
  Rnn rnn(config, Device{});
  const Tensor x = random_tensor(config.dtype, sequence_shape(config, t, n, config.input_size), 50);
  const Tensor dy = random_tensor(config.dtype, sequence_shape(config, t, n, output_size(config)), 51);
  Tape tape;
  ForwardOptions options;
  options.dropout.seed = 3;
  options.tape = &tape;
  ForwardResult out = rnn.forward(x, options);
  BackwardResult back = rnn.backward(tape, {.dy = dy});
  return {std::move(out.y), std::move(out.h_n), std::move(back.dx), std::move(back.dh0),
          copy_of(rnn.gradients())};
}

// Threads that cost nothing: all of them take part in passes of these sizes.
Calibration free_threads() {
  Calibration all = published_calibration();
  all.cpu.handover_us = all.cpu.training_handover_us = all.cpu.meeting_us = 1e-9;
  return all;
}

class Threads : public testing::EachNetwork {
 protected:
  void SetUp() override { set_calibration(free_threads()); }
  void TearDown() override {
    set_calibration(std::nullopt);
    set_num_threads(0);
    set_executor(nullptr);
  }
};
INSTANTIATE_TEST_SUITE_P(Each, Threads, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

struct Size {
  const char* reason;
  std::int64_t t, n, i, h, layers;
  Direction direction;
};
const Size kSizes[] = {
    {"one row: units are split", 6, 1, 40, 150, 1, Direction::kForward},
    {"few rows, which two threads share", 6, 7, 20, 40, 1, Direction::kForward},
    {"many rows", 5, 70, 20, 40, 1, Direction::kForward},
    {"rows that no tile divides, both directions", 7, 37, 11, 29, 2, Direction::kBidirectional},
};

TEST_P(Threads, BitsDoNotDependOnTheirNumber) {
  for (const Size& s : kSizes) {
    RnnConfig c = GetParam().config(s.i, s.h, s.layers);
    c.direction = s.direction;
    c.dropout = c.recurrent_dropout = c.layer_dropout = 0.2;
    set_num_threads(1);
    const Outcome one = train(c, s.t, s.n);
    for (int threads : {2, 3, 4}) {
      set_num_threads(threads);
      EXPECT_EQ(differences(one, train(c, s.t, s.n)), "") << s.reason << ", " << threads << " threads";
    }
  }
}

// Passes of one network, which try other divisions now and then.
TEST_P(Threads, BitsStayWhileDivisionsChange) {
  constexpr std::int64_t kT = 6, kN = 20;
  const RnnConfig c = GetParam().config(24, 40, 2);
  const Tensor x = random_tensor(c.dtype, {kT, kN, c.input_size}, 52);
  const Tensor dy = random_tensor(c.dtype, {kT, kN, output_size(c)}, 53);
  const auto pass = [&](Rnn& rnn) {
    Tensor alone = std::move(rnn.forward(x).y);
    Tape tape;
    ForwardOptions options;
    options.tape = &tape;
    ForwardResult out = rnn.forward(x, options);
    rnn.zero_gradients();
    BackwardResult back = rnn.backward(tape, {.dy = dy});
    EXPECT_TRUE(same_bits(alone, out.y));
    return Outcome{std::move(out.y), std::move(out.h_n), std::move(back.dx), std::move(back.dh0),
                   copy_of(rnn.gradients())};
  };
  set_num_threads(1);
  Rnn one(c, Device{});
  const Outcome expected = pass(one);
  set_num_threads(4);
  Rnn rnn(c, Device{});
  for (int i = 0; i < 60; ++i) EXPECT_EQ(differences(pass(rnn), expected), "") << i;
}

// Long sequences are taken by windows of some steps, of which each thread that has rows of its own has
// others.
TEST_P(Threads, WindowsOfStepsHaveTheSameBits) {
  for (const auto& [steps, rows] : {std::pair<std::int64_t, std::int64_t>{301, 7}, {23, 70}, {70, 24}}) {
    for (const Layout layout : {Layout::kTimeMajor, Layout::kBatchMajor}) {
      RnnConfig c = GetParam().config(11, 29, 2);
      c.direction = Direction::kBidirectional;
      c.layout = layout;
      const Tensor x = random_tensor(c.dtype, sequence_shape(c, steps, rows, 11), 60);
      Tensor lengths(DType::kI64, {rows});
      for (std::int64_t r = 0; r < rows; ++r)
        lengths.span<std::int64_t>()[r] = steps - r * (steps - 1) / rows;
      const auto infer = [&](int threads, bool ragged) {
        set_num_threads(threads);
        Rnn rnn(c, Device{});
        ForwardOptions options;
        if (ragged) options.lengths = lengths;
        return rnn.forward(x, options);
      };
      const std::string name = std::to_string(steps) + " steps, " + std::to_string(rows) + " rows, layout " +
                               std::to_string(static_cast<int>(layout));
      for (const bool ragged : {false, true}) {
        const ForwardResult one = infer(1, ragged);
        for (int again = 0; again < 3; ++again) {
          const ForwardResult two = infer(2, ragged);
          EXPECT_TRUE(same_bits(one.y, two.y)) << name << ragged;
          EXPECT_TRUE(same_bits(one.h_n, two.h_n)) << name << ragged;
        }
      }
      set_num_threads(1);
      const Outcome one = train(c, steps, rows);
      set_num_threads(2);
      EXPECT_EQ(differences(one, train(c, steps, rows)), "") << name;
    }
  }
}

TEST(Team, GoesAloneOnceItsThreadsSleptForHalfOfACall) {
  EXPECT_FALSE(cpu::slept_too_much(500, 1000, 2));
  EXPECT_TRUE(cpu::slept_too_much(501, 1000, 2));
  // Seven that wait for the eighth sleep seven times as long as it is late.
  EXPECT_FALSE(cpu::slept_too_much(7 * 500, 1000, 8));
  EXPECT_TRUE(cpu::slept_too_much(7 * 501, 1000, 8));
}

TEST(StepOfAStream, IsTakenDirectlyUnlessThreadsShareIt) {
  const RnnConfig c{.cell = Cell::kGru, .input_size = 3, .hidden_size = 256};
  const Tensor parameters(c.dtype, {parameter_count(c)}), x(c.dtype, {1, 3});
  Tensor h(c.dtype, {1, 256});
  const auto taken = [&] {
    cpu::Layers<float> layers(Request{.config = c});
    const std::unique_ptr<Packed> packed = layers.pack(parameters.view().data);
    Tensor workspace(DType::kU8, {static_cast<std::int64_t>(layers.workspace_bytes(1, 1))});
    Steps* steps = layers.steps(*packed, 1, static_cast<std::byte*>(workspace.view().data));
    return steps->step(x.view().data, h.view().data, nullptr);
  };
  set_num_threads(1);
  EXPECT_TRUE(taken());
  set_num_threads(2);
  set_calibration(free_threads());
  EXPECT_FALSE(taken());
  set_calibration(std::nullopt);
  set_num_threads(0);
}

// Few rows go back and forth through weights that a cache does not hold, many do not.
TEST_P(Threads, FewRowsOfALargeNetworkHaveTheBitsThatTheyHaveAmongMany) {
  constexpr std::int64_t kSteps = 4, kFew = 3, kMany = 8, kInputs = 5;
  const RnnConfig c = GetParam().config(kInputs, 397);
  const Tensor x = random_tensor(c.dtype, {kSteps, kMany, kInputs}, 61);
  // The first rows of each step.
  const auto few_of = [&](const Tensor& all, std::int64_t width) {
    const auto row = static_cast<std::size_t>(width * element_bytes(c.dtype));
    Tensor few(c.dtype, {kSteps, kFew, width});
    auto* to = static_cast<std::byte*>(few.view().data);
    const auto* from = static_cast<const std::byte*>(all.view().data);
    for (std::size_t t = 0; t < kSteps; ++t) {
      std::memcpy(to + t * kFew * row, from + t * kMany * row, kFew * row);
    }
    return few;
  };
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    Rnn rnn(c, Device{});
    const Tensor among_many = few_of(rnn.forward(x).y, output_size(c));
    EXPECT_TRUE(same_bits(rnn.forward(few_of(x, kInputs)).y, among_many)) << threads << " threads";
  }
}

// Phases that threads divide by units of h and of c, and rows that one thread has to see whole.
TEST(ThreadsWithOptions, BitsDoNotDependOnTheirNumber) {
  set_calibration(free_threads());
  const auto lstm = [](auto set) {
    RnnConfig c{.cell = Cell::kLstm, .peephole = true};
    c.zoneout_h = c.zoneout_c = c.dropconnect = 0.2;
    set(c);
    return c;
  };
  RnnConfig gru{.cell = Cell::kGru, .layer_norm = true};
  gru.zoneout_h = gru.dropconnect = 0.2;
  for (RnnConfig c : {lstm([](RnnConfig& l) { l.projection_size = 21; }),
                      lstm([](RnnConfig& l) { l.layer_norm = true; }), gru}) {
    for (const Size& s : kSizes) {
      c.input_size = s.i;
      c.hidden_size = s.h;
      c.num_layers = s.layers;
      c.direction = s.direction;
      set_num_threads(1);
      const Outcome one = train(c, s.t, s.n);
      for (int threads : {2, 3}) {
        set_num_threads(threads);
        EXPECT_EQ(differences(one, train(c, s.t, s.n)), "") << to_string(c) << ", " << threads << " threads";
      }
      set_num_threads(0);
    }
  }
  set_calibration(std::nullopt);
}

TEST_P(Threads, NetworksSideBySide) {
  const RnnConfig c = GetParam().config(10, 33, 2);
  const Outcome alone = train(c, 9, 17);
  std::atomic<int> equal = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int pass = 0; pass < 3; ++pass) equal += differences(alone, train(c, 9, 17)).empty() ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(equal, 9);
}

TEST_P(Threads, PackedWeightsAreSharedByPlansInDifferentThreads) {
  const RnnConfig c = GetParam().config(6, 21);
  Tensor parameters(c.dtype, {parameter_count(c)});
  initialize(c, Initializer::kPyTorch, 1, parameters);
  const PackedWeights weights = Plan(c, {.max_t = 1, .max_n = 1}).pack(parameters);
  const Tensor x = random_tensor(c.dtype, {8, 12, 6}, 52);
  const auto infer = [&](Tensor& y) {
    Plan plan(c, {.max_t = 8, .max_n = 12});
    Tensor workspace(DType::kF64, {static_cast<std::int64_t>(plan.workspace_bytes() / 8 + 1)});
    plan.forward(weights, {.x = x, .y = y, .workspace = std::as_writable_bytes(workspace.span<double>())});
  };
  Tensor alone(c.dtype, {8, 12, 21}), a(c.dtype, {8, 12, 21}), b(c.dtype, {8, 12, 21});
  infer(alone);
  std::thread first([&] { infer(a); }), second([&] { infer(b); });
  first.join();
  second.join();
  EXPECT_TRUE(same_bits(alone, a));
  EXPECT_TRUE(same_bits(alone, b));
}

// Runs tasks last to first on threads of its own, and counts them.
class BackwardsExecutor final : public Executor {
 public:
  int concurrency() const override { return 3; }
  void run(int n, void (*task)(void* context, int index), void* context) override {
    ++runs_;
    std::vector<std::thread> threads;
    for (int i = n; i-- > 1;) threads.emplace_back(task, context, i);
    task(context, 0);
    for (std::thread& t : threads) t.join();
  }
  int runs() const { return runs_; }

 private:
  std::atomic<int> runs_ = 0;
};

TEST_P(Threads, TheCallersExecutorGivesTheSameBits) {
  RnnConfig c = GetParam().config(40, 96);
  set_num_threads(1);
  const Outcome one = train(c, 6, 48);
  set_num_threads(3);
  BackwardsExecutor executor;
  set_executor(&executor);
  EXPECT_EQ(differences(one, train(c, 6, 48)), "");
  EXPECT_GT(executor.runs(), 0);
  const int runs = executor.runs();
  set_executor(nullptr);
  EXPECT_EQ(differences(one, train(c, 6, 48)), "");
  EXPECT_EQ(executor.runs(), runs);
}

// Parts by rows follow one another, hold every row, and none has many more steps than its share.
void expect_even(const Sequence& sequence, int threads) {
  const cpu::Split split{threads, true, 1};
  const auto steps_of = [&](const cpu::Range& rows) {
    std::int64_t steps = 0;
    for (std::int64_t s = 0; s < sequence.t; ++s) {
      steps += std::max<std::int64_t>(std::min(rows.row_end, sequence.rows(s)) - rows.row_begin, 0);
    }
    return steps;
  };
  std::int64_t next = 0;
  for (int i = 0; i < threads; ++i) {
    const cpu::Range part = split.part(sequence, i, threads);
    EXPECT_EQ(part.row_begin, next) << "part " << i;
    EXPECT_LE(steps_of(part), sequence.total() / threads + 4 * sequence.t)
        << "part " << i << " of " << threads << ", " << sequence.n << " rows";
    next = part.row_end;
  }
  EXPECT_EQ(next, sequence.n);
}

TEST(Split, PartsAreEvenWhateverTheNumberOfRows) {
  for (std::int64_t n = 1; n <= 70; ++n) {
    for (int threads : {2, 3, 4, 7}) expect_even({10, n, n, 1, nullptr}, threads);
  }
  // Rows 0 to 39 end at steps 40 to 1.
  std::vector<std::int64_t> offsets = {0};
  for (std::int64_t s = 0; s < 40; ++s) offsets.push_back(offsets.back() + 40 - s);
  for (int threads : {2, 3, 4, 7}) expect_even({40, 40, 0, 1, offsets.data()}, threads);
  EXPECT_EQ((cpu::Split{2, true, 1}.part({10, 9, 9, 1, nullptr}, 0, 2).row_end), 4);
  EXPECT_EQ((cpu::Split{2, true, 1}.part({10, 17, 17, 1, nullptr}, 0, 2).row_end), 8);
}

}  // namespace
}  // namespace rondo
