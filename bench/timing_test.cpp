// How samples are taken: each of as many runs as a sample's time holds, and each ended once.
#include "bench/timing.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace bench {
namespace {

constexpr Effort kTiny{.sample_us = 2000,
                       .warm_up_us = 0,
                       .warm_up_runs = 2,
                       .enough_us = 0,
                       .enough_samples = 4,
                       .slow_us = 1e6,
                       .slow_samples = 1};

TEST(Measure, EndsEachSampleOnceAndCountsThatTime) {
  // A device that computes while the host goes on: runs return at once, the end waits for them all.
  std::string calls;
  int pending = 0;
  const auto run = [&] {
    calls += 'r';
    ++pending;
  };
  const auto finish = [&] {
    calls += '|';
    std::this_thread::sleep_for(std::chrono::microseconds(300 * pending));
    pending = 0;
  };
  const Timing timing = measure(run, finish, kTiny);
  EXPECT_EQ(timing.samples, 4);
  // A run takes 0.3 ms, so that 7 of them take 2 ms, or fewer where sleeping takes longer.
  ASSERT_GE(timing.runs_per_sample, 1);
  ASSERT_LE(timing.runs_per_sample, 7);
  std::string expected = "r|r|";
  for (int i = 0; i < 4; ++i) {
    expected += std::string(static_cast<std::size_t>(timing.runs_per_sample), 'r') + "|";
  }
  EXPECT_EQ(calls, expected);
  EXPECT_GE(timing.min_us, 300);
  EXPECT_GE(timing.median_us, timing.min_us);
}

TEST(Measure, StopsEarlyWhenARunIsSlow) {
  Effort effort = kTiny;
  effort.slow_us = 1;
  effort.enough_samples = 1000;
  int runs = 0;
  const auto slow = [&] {
    ++runs;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  };
  const Timing timing = measure(
      slow, [] {}, effort);
  EXPECT_EQ(timing.samples, 1);
  EXPECT_EQ(timing.runs_per_sample, 1);
  EXPECT_EQ(runs, 3);  // two of them to warm up
}

TEST(Measure, TakesLongerSamplesOnAGpuAndFewerWhenBrief) {
  EXPECT_GT(on_gpu({}).sample_us, Effort().sample_us);
  EXPECT_LT(brief({}).enough_us, Effort().enough_us);
  EXPECT_EQ(brief(on_gpu({})).sample_us, on_gpu({}).sample_us);
}

TEST(Measure, LastsAsLongAsAnOptionSays) {
  ShapeOptions options;
  EXPECT_EQ(effort_of(options).enough_us, Effort().enough_us);
  options.brief = true;
  EXPECT_EQ(effort_of(options).enough_us, brief({}).enough_us);
  options.seconds = 0.02;
  EXPECT_DOUBLE_EQ(effort_of(options).enough_us, 20000);
  EXPECT_LT(effort_of(options).warm_up_us, effort_of(options).enough_us);
  options.threads = 2;
  EXPECT_DOUBLE_EQ(effort_of(options).warm_up_us, 50000);
}

}  // namespace
}  // namespace bench
