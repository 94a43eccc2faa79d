// Passes are divided as predicted at first, then in turn with other divisions, each of them whole; and the
// team's threads, which share no CPU with the thread that they help.
#include "cpu/divider.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "core/settings.h"
#include "cpu/team.h"

namespace rondo::cpu {
namespace {

class DividerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Calibration free = published_calibration();
    free.cpu.handover_us = free.cpu.training_handover_us = free.cpu.meeting_us = 1e-9;
    set_calibration(free);
    set_num_threads(4);
  }
  void TearDown() override {
    set_calibration(std::nullopt);
    set_num_threads(0);
    set_division_trials(true);
    set_executor(nullptr);
  }
  static constexpr RnnConfig kConfig{
      .input_size = 64, .hidden_size = 64, .num_layers = 2, .direction = Direction::kBidirectional};
  static constexpr int kCalls = 4;  // of a forward or a backward pass

  using Ways = std::vector<std::pair<int, Loop>>;  // by pass; none are counted twice in a row
  // One call of a layer in one direction, which takes no time.
  static void call(Divider& divider, std::int64_t t, Phase phase, bool backward, Ways& ways,
                   bool misses = false) {
    divider.begin({t, 32, 32}, phase, true, backward);
    const std::pair way(divider.division().threads, divider.division().loop);
    if (ways.empty() || ways.back() != way) ways.push_back(way);
    if (misses && way.first > 1) divider.missed();
    divider.end();
  }
  static Ways calls(Divider& divider, int count, Phase phase, bool backward, std::int64_t t = 20) {
    Ways ways;
    for (int i = 0; i < count; ++i) call(divider, t, phase, backward, ways);
    return ways;
  }
};

TEST_F(DividerTest, APassHasOneDivisionAndPassesHaveSeveral) {
  Divider divider(kConfig);
  Ways all;
  for (int pass = 0; pass < 300; ++pass) {
    const Ways ways = calls(divider, kCalls, Phase::kInference, false);
    EXPECT_EQ(ways.size(), 1U) << pass;
    EXPECT_TRUE(pass >= 4 || ways[0].first == 4) << "not as predicted at first";
    all.push_back(ways[0]);
  }
  EXPECT_GT(std::set(all.begin(), all.end()).size(), 1U);
}

// Three forward passes, then three backward passes, of which one completes a pass of training: what the
// others took is no pass.
TEST_F(DividerTest, BackwardPassesAloneAreNoPasses) {
  Divider divider(kConfig);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 3; ++i) calls(divider, kCalls, Phase::kTraining, false);
    EXPECT_EQ(calls(divider, kCalls, Phase::kTraining, true).size(), 1U) << round;
    const Ways after = calls(divider, 2 * kCalls, Phase::kTraining, true);
    EXPECT_EQ(after.size(), 1U) << round;
    EXPECT_EQ(calls(divider, 1, Phase::kTraining, true), after) << "learnt from, round " << round;
  }
}

TEST_F(DividerTest, BackwardIsDividedAsTheForwardPassBeforeIt) {
  Divider divider(kConfig);
  Ways all;
  for (int pass = 0; pass < 300; ++pass) {
    // Now and then a forward pass has no backward pass.
    for (int again = pass % 7 == 3 ? 2 : 1; again > 0; --again) {
      Ways ways = calls(divider, kCalls, Phase::kTraining, false);
      EXPECT_EQ(ways.size(), 1U) << pass;
      all.push_back(ways[0]);
    }
    EXPECT_EQ(calls(divider, kCalls, Phase::kTraining, true), Ways{all.back()}) << pass;
  }
  EXPECT_GT(std::set(all.begin(), all.end()).size(), 1U);
}

TEST_F(DividerTest, SizesThatTakeTurnsAreLearntApart) {
  Divider divider(kConfig);
  std::set<std::pair<int, Loop>> seen[2];
  for (int pass = 0; pass < 600; ++pass) {
    const Ways ways = calls(divider, kCalls, Phase::kInference, false, pass % 2 == 0 ? 20 : 30);
    seen[pass % 2].insert(ways.begin(), ways.end());
  }
  EXPECT_GT(seen[0].size(), 1U);
  EXPECT_GT(seen[1].size(), 1U);
}

TEST_F(DividerTest, LearnsNothingFromCallsWithoutTheThreads) {
  Divider divider(kConfig);
  Ways ways;
  for (int i = 0; i < 300 * kCalls; ++i) call(divider, 20, Phase::kInference, false, ways, true);
  EXPECT_EQ(ways.size(), 1U);
  EXPECT_EQ(ways[0].first, 4);
}

// While another thread has the team, whatever part of a call asks for it.
TEST_F(DividerTest, LearnsNothingWhileTheTeamIsOthers) {
  prepare_team(4);
  std::atomic<bool> taken = false, done = false;
  std::thread other([&] {
    on_team(Together::kApart, 2, [&](int index, int) {
      if (index == 0) taken = true;
      while (!done) std::this_thread::yield();
    });
  });
  while (!taken) std::this_thread::yield();
  Divider divider(kConfig);
  std::set<std::pair<int, Loop>> ways;
  for (int i = 0; i < 300 * kCalls; ++i) {
    divider.begin({20, 32, 32}, Phase::kInference, true, false);
    const Division& way = divider.division();
    ways.insert({way.threads, way.loop});
    on_team(Together::kApart, way.threads, [&](int, int count) { EXPECT_EQ(count, 1); });
    divider.end();
  }
  done = true;
  other.join();
  EXPECT_EQ(ways.size(), 1U);
}

class SerialExecutor final : public Executor {
 public:
  int concurrency() const override { return 4; }
  void run(int n, void (*task)(void* context, int index), void* context) override {
    for (int i = 0; i < n; ++i) task(context, i);
  }
};

TEST_F(DividerTest, KeepsToThePredictionWithoutTrialsAndWithAnExecutor) {
  SerialExecutor executor;
  set_executor(&executor);
  Divider divider(kConfig);
  EXPECT_EQ(calls(divider, 300 * kCalls, Phase::kInference, false).size(), 1U) << "an executor";
  set_executor(nullptr);
  EXPECT_GT(calls(divider, 300 * kCalls, Phase::kInference, false).size(), 1U) << "threads of the team";
  set_division_trials(false);
  Divider by_model(kConfig);
  EXPECT_EQ(calls(by_model, 300 * kCalls, Phase::kInference, false).size(), 1U) << "without trials";
}

TEST(Team, ItsThreadsLeaveTheCallersCpu) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is one CPU";
  prepare_team(2);
  int together = 0, helped = 0;
  std::atomic<bool> restored = true;
  for (int i = 0; i < 200; ++i) {
    // The worker goes to the caller's CPU, where its next call finds it.
    std::atomic<int> cpu[2] = {-1, -1};
    on_team(Together::kTogether, 2, [&](int index, int) {
      if (index == 0) cpu[0] = sched_getcpu();
      if (index == 0) return;
      while (cpu[0] < 0) std::this_thread::yield();
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(static_cast<std::size_t>(cpu[0].load()), &one);
      sched_setaffinity(0, sizeof one, &one);
      sched_setaffinity(0, sizeof all, &all);
    });
    cpu[0] = cpu[1] = -1;
    on_team(Together::kTogether, 2, [&](int index, int count) {
      if (index == 0) helped += count == 2;
      cpu[index] = sched_getcpu();
      cpu_set_t now;
      sched_getaffinity(0, sizeof now, &now);
      if (!CPU_EQUAL(&now, &all)) restored = false;
    });
    together += cpu[0] == cpu[1];
  }
  EXPECT_EQ(helped, 200);
  EXPECT_LT(together, 20) << "but where the system moves a thread meanwhile";
  EXPECT_TRUE(restored);
}

}  // namespace
}  // namespace rondo::cpu
