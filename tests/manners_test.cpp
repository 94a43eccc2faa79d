// Manners of a library: floating-point mode, fork, log, executor, version, and sizes at both ends.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <sstream>
#include <thread>

#include "random_fill.h"
#include "rondo/rondo.h"
#include "tensor_values.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace rondo::testing {
namespace {

using Values = std::vector<double>;

Tensor random_tensor(DType dtype, const Shape& shape, std::uint64_t seed) {
  return make_tensor(dtype, shape, RandomFill(seed).values(shape.count(), 1, DType::kF32));
}

// A relu network whose state halves at every step: it leaves the normal numbers after some time.
Rnn halving_network(DType dtype) {
  Rnn rnn({.cell = Cell::kSimpleRnn,
           .input_size = 1,
           .hidden_size = 16,
           .bias = Bias::kNone,
           .activation = Activation::kRelu,
           .dtype = dtype},
          Device{});
  store(rnn.parameter("weight_ih_l0"), Values(16, 1));
  Values half(256, 0);
  for (std::size_t i = 0; i < 16; ++i) half[i * 17] = 0.5;
  store(rnn.parameter("weight_hh_l0"), half);
  return rnn;
}

// Outputs over t steps of n rows whose only input is a 1 at step 0.
Values halvings(Rnn& rnn, std::int64_t t, std::int64_t n) {
  Values input(static_cast<std::size_t>(t * n), 0);
  std::fill_n(input.begin(), n, 1.0);
  return values_of(rnn.forward(make_tensor(rnn.config().dtype, {t, n, 1}, input)).y);
}

bool caller_keeps_denormals() {
  volatile float single = std::numeric_limits<float>::min();
  volatile double wide = std::numeric_limits<double>::min();
  single = single / 4;
  wide = wide / 4;
  return single != 0 && wide != 0;
}

TEST(FloatingPointMode, DenormalsAreFlushedInsideAndKeptOutside) {
  for (const auto& [dtype, exponent] : {std::pair{DType::kF32, 126}, std::pair{DType::kF64, 1022}}) {
    Rnn rnn = halving_network(dtype);
    for (const std::int64_t n : {1, 64}) {  // 64 rows: enough for every thread of the team
      set_num_threads(2);
      const Values y = halvings(rnn, exponent + 12, n);
      set_num_threads(0);
      for (std::int64_t row = 0; row < n; ++row) {
        const auto at = [&](std::int64_t step) { return y[static_cast<std::size_t>((step * n + row) * 16)]; };
        EXPECT_EQ(at(exponent), std::ldexp(1.0, -exponent)) << "the smallest normal number stays";
        EXPECT_EQ(at(exponent + 1), 0) << "row " << row << " holds a denormal";
      }
      EXPECT_TRUE(caller_keeps_denormals());
    }
  }
}

TEST(FloatingPointMode, BackwardAndStepRestoreItToo) {
  Rnn rnn = halving_network(DType::kF32);
  Tape tape;
  const Tensor x = random_tensor(DType::kF32, {3, 2, 1}, 1), dy = random_tensor(DType::kF32, {3, 2, 16}, 2);
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  (void)rnn.backward(tape, {.dy = dy});
  EXPECT_TRUE(caller_keeps_denormals());
  State state = rnn.make_state(2);
  (void)rnn.step(random_tensor(DType::kF32, {2, 1}, 3), state);
  EXPECT_TRUE(caller_keeps_denormals());
}

#if defined(__SSE2__)
TEST(FloatingPointMode, WhateverTheCallerHadSetStays) {
  constexpr unsigned kStatusFlags = 0x3f;  // set by any arithmetic, no part of the mode
  Rnn rnn = halving_network(DType::kF32);
  const unsigned before = _mm_getcsr();
  for (const unsigned mode : {0x1f80U, 0x9f80U, 0x1fc0U, 0x9fc0U, 0x7f80U}) {  // FTZ, DAZ, both, rounding
    _mm_setcsr(mode);
    (void)halvings(rnn, 3, 1);
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_EQ(after & ~kStatusFlags, mode & ~kStatusFlags) << std::hex << mode;
  }
}
#endif

Values train(Rnn& rnn, const Tensor& x, const Tensor& dy) {
  Tape tape;
  rnn.zero_gradients();
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  (void)rnn.backward(tape, {.dy = dy});
  Values all = values_of(out.y);
  const Values gradients = values_of(rnn.gradients());
  all.insert(all.end(), gradients.begin(), gradients.end());
  return all;
}

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

TEST(Fork, AChildComputesAfterItsParentUsedTheTeam) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer does not follow a fork of threads";
  set_num_threads(2);
  Rnn rnn({.cell = Cell::kLstm, .input_size = 64, .hidden_size = 96}, Device{});
  const Tensor x = random_tensor(DType::kF32, {20, 48, 64}, 5),
               dy = random_tensor(DType::kF32, {20, 48, 96}, 6);
  const Values here = train(rnn, x, dy);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(30);  // a child that waits for threads it does not have ends here
    _exit(train(rnn, x, dy) == here ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "the child died of signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the child's numbers differ";
  EXPECT_EQ(train(rnn, x, dy), here) << "the parent's team no longer works";
  set_num_threads(0);
}

void plan_and_run() {
  Rnn rnn({.cell = Cell::kGru, .input_size = 2, .hidden_size = 3});
  (void)rnn.forward(Tensor(DType::kF32, {2, 1, 2}));
}

// A host's static object, made before the library was first used, is destroyed after all that the library
// could have destroyed by then.
struct StepsWhenDestroyed {
  std::unique_ptr<Rnn> rnn;
  State state;
  ~StepsWhenDestroyed() {
    const ConstTensorView y = rnn->step(Tensor(DType::kF32, {1, 3}), state);
    std::_Exit(std::isfinite(y.span<float>()[0]) ? 0 : 1);
  }
};

TEST(ExitDeathTest, AStepFromAStaticDestructorStillRuns) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto exits = [] {
    static StepsWhenDestroyed last;
    last.rnn = std::make_unique<Rnn>(RnnConfig{.input_size = 3, .hidden_size = 5}, Device{});
    last.state = last.rnn->make_state(1);
    std::exit(2);  // which the destructor overrules
  };
  EXPECT_EXIT(exits(), ::testing::ExitedWithCode(0), "");
}

TEST(Log, IsSilentUnlessAskedFor) {
  unsetenv("RONDO_LOG");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  plan_and_run();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Log, CallbackGetsWholeLinesUntilItIsTakenAway) {
  std::vector<std::string> lines;
  set_log([&](const std::string& line) { lines.push_back(line); });
  plan_and_run();
  set_log(nullptr);
  const std::size_t count = lines.size();
  plan_and_run();
  EXPECT_EQ(lines.size(), count);
  ASSERT_GE(count, 1u);
  EXPECT_NE(lines[0].find("cpu"), std::string::npos) << lines[0];
  for (const std::string& line : lines) EXPECT_EQ(line.find('\n'), std::string::npos) << line;
}

TEST(LogDeathTest, InfoGoesToStderr) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  setenv("RONDO_LOG", "info", 1);
  EXPECT_EXIT(
      {
        plan_and_run();
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "rondo: .*cpu");
  unsetenv("RONDO_LOG");
}

TEST(Version, IsTheProjects) {
  std::ifstream file(std::string(RONDO_SOURCE_DIR) + "/CMakeLists.txt");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("VERSION " + std::string(version()) + " "), std::string::npos) << version();
}

// Runs tasks last to first on threads of its own, which is what a host program might do.
class BackwardExecutor : public Executor {
 public:
  int concurrency() const override { return 3; }
  void run(int n, void (*task)(void*, int), void* context) override {
    tasks_ += n;
    std::vector<std::thread> threads;
    for (int i = n; i-- > 0;) threads.emplace_back(task, context, i);
    for (std::thread& t : threads) t.join();
  }
  int tasks() const { return tasks_; }

 private:
  std::atomic<int> tasks_{0};
};

TEST(Executor, OfTheHostIsUsedAndChangesNoBit) {
  Rnn rnn({.cell = Cell::kGru, .input_size = 100, .hidden_size = 80, .direction = Direction::kBidirectional},
          Device{});
  const Tensor x = random_tensor(DType::kF32, {30, 40, 100}, 7),
               dy = random_tensor(DType::kF32, {30, 40, 160}, 8);
  const Values own = train(rnn, x, dy);
  BackwardExecutor host;
  set_executor(&host);
  EXPECT_EQ(num_threads(), 3);
  const Values hosted = train(rnn, x, dy);
  set_executor(nullptr);
  EXPECT_GT(host.tasks(), 1);
  EXPECT_TRUE(hosted == own);
  const int tasks = host.tasks();
  EXPECT_TRUE(train(rnn, x, dy) == own);
  EXPECT_EQ(host.tasks(), tasks);
}

TEST(Sizes, NoRowsAtAllIsLegal) {
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    RnnConfig config{.cell = cell, .input_size = 3, .hidden_size = 4, .num_layers = 2};
    config.direction = Direction::kBidirectional;
    Rnn rnn(config, Device{});
    Tape tape;
    const Tensor x(DType::kF32, {5, 0, 3}), dy(DType::kF32, {5, 0, 8}), lengths(DType::kI64, {0});
    const ForwardResult out = rnn.forward(x, {.lengths = lengths, .tape = &tape});
    EXPECT_EQ(out.y.shape(), (Shape{5, 0, 8}));
    EXPECT_EQ(out.h_n.shape(), (Shape{4, 0, 4}));
    const BackwardResult in = rnn.backward(tape, {.dy = dy});
    EXPECT_EQ(in.dx.shape(), x.shape());
    EXPECT_EQ(in.dh0.shape(), (Shape{4, 0, 4}));
    EXPECT_EQ(largest_magnitude(values_of(rnn.gradients())), 0);
  }
  Rnn rnn({.cell = Cell::kLstm, .input_size = 3, .hidden_size = 4}, Device{});
  State state = rnn.make_state(0);
  EXPECT_EQ(rnn.step(Tensor(DType::kF32, {0, 3}), state).shape, (Shape{0, 4}));
}

// 65,535 is where other libraries end.
constexpr std::int64_t kMany = 70000;

TEST(Sizes, ManyStepsEqualTheirParts) {
  RnnConfig config{.cell = Cell::kLstm, .input_size = 2, .hidden_size = 4, .dtype = DType::kF64};
  Rnn rnn(config, Device{});
  const Tensor x = random_tensor(DType::kF64, {kMany, 1, 2}, 9),
               dy = random_tensor(DType::kF64, {kMany, 1, 4}, 10);
  Tape tape;
  const ForwardResult whole = rnn.forward(x, {.tape = &tape});
  const BackwardResult gradients = rnn.backward(tape, {.dy = dy});
  State state = rnn.make_state(1);
  const std::int64_t half = kMany / 2;
  const auto part = [&](std::int64_t from) {
    return ConstTensorView(x.view().span<double>().data() + from * 2, {half, 1, 2});
  };
  const Values first = values_of(rnn.forward(part(0), {.state = &state}).y);
  const Values second = values_of(rnn.forward(part(half), {.state = &state}).y);
  const Values y = values_of(whole.y);
  EXPECT_LT(largest_difference(first, std::span(y).first(first.size())), 1e-14);
  EXPECT_LT(largest_difference(second, std::span(y).last(second.size())), 1e-14);
  const Values dx = values_of(gradients.dx);
  EXPECT_GT(largest_magnitude(std::span(dx).last(2)), 0);
  for (double v : dx) ASSERT_TRUE(std::isfinite(v));
}

TEST(Sizes, ManyRowsAreRunEachByItself) {
  Rnn rnn({.cell = Cell::kGru, .input_size = 2, .hidden_size = 4, .dtype = DType::kF64}, Device{});
  const Tensor x = random_tensor(DType::kF64, {2, kMany, 2}, 11);
  const Values y = values_of(rnn.forward(x).y);
  const auto in = x.view().span<double>();
  for (const std::int64_t row : {std::int64_t{0}, std::int64_t{65535}, std::int64_t{65536}, kMany - 1}) {
    Values steps;
    for (std::int64_t i = 0; i < 4; ++i) {
      steps.push_back(in[static_cast<std::size_t>(i / 2 * kMany * 2 + row * 2 + i % 2)]);
    }
    const Values alone = values_of(rnn.forward(make_tensor(DType::kF64, {2, 1, 2}, steps)).y);
    const auto last = std::span(y).subspan(static_cast<std::size_t>((kMany + row) * 4), 4);
    EXPECT_LT(largest_difference(std::span(alone).last(4), last), 1e-15) << "row " << row;
  }
}

}  // namespace
}  // namespace rondo::testing
