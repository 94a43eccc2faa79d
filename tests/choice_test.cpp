// How the times of passes decide which way they take, on a clock of the test's own.
#include "cpu/choice.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

namespace rondo::cpu {
namespace {

// Microseconds that pass number `pass` takes a way.
using Machine = std::function<double(int way, int pass)>;

struct Passes {
  double us = 0;
  std::vector<int> taken = std::vector<int>(WayChoice::kMost);  // passes, by way
};
Passes run(WayChoice& choice, int passes, const Machine& us) {
  Passes all;
  for (int pass = 0; pass < passes; ++pass) {
    const double taken = us(choice.way(), pass);
    all.us += taken;
    ++all.taken[static_cast<std::size_t>(choice.way())];
    choice.took(static_cast<std::int64_t>(1000 * taken));
  }
  return all;
}
Machine steady(std::vector<double> us) {
  return [us](int way, int) { return us[static_cast<std::size_t>(way)]; };
}
WayChoice started(std::vector<double> predicted) {
  WayChoice choice;
  choice.start(predicted);
  return choice;
}

TEST(WayChoice, OfOneWayIsNone) {
  WayChoice choice;
  EXPECT_FALSE(choice.learns());
  EXPECT_EQ(choice.way(), 0);
  EXPECT_FALSE(started({7}).learns());
  EXPECT_TRUE(started({7, 8}).learns());
}

TEST(WayChoice, BeginsWithThePredictionAndLooksForOnePassInAHundred) {
  WayChoice choice = started({60, 90, 100, 150});
  EXPECT_TRUE(choice.untried());
  EXPECT_EQ(run(choice, 4, steady({60, 80, 100, 170})).taken[0], 4);
  EXPECT_FALSE(choice.untried());
  const Passes all = run(choice, 10000, steady({60, 80, 100, 170}));
  EXPECT_LT(all.us, 10000 * 60 * 1.04) << "1 % for each of three ways, and some at the start";
  for (const int way : {1, 2, 3}) EXPECT_GE(all.taken[way], 10) << way;
}

TEST(WayChoice, FindsAFasterWaySoon) {
  WayChoice choice = started({60, 65, 100});
  const Machine machine = steady({130, 120, 100});
  EXPECT_LT(run(choice, 60, machine).us, 60 * 120);
  EXPECT_GT(run(choice, 1000, machine).taken[2], 900);
}

TEST(WayChoice, LeavesAWayThatIsNotTheFastestAnyMore) {
  WayChoice choice = started({60, 89});
  run(choice, 2000, steady({60, 89}));
  while (choice.way() != 0) run(choice, 1, steady({60, 89}));
  EXPECT_EQ(run(choice, 34, steady({60, 89})).taken[0], 34) << "a rest after the last look";
  EXPECT_LT(run(choice, 200, steady({130, 89})).us, 200 * 89 * 1.04);
  EXPECT_LT(run(choice, 1000, steady({60, 89})).us, 1000 * 60 * 1.2) << "and comes back";
}

TEST(WayChoice, OfWaysThatDifferLessThanTimesDoStays) {
  WayChoice choice = started({100, 101});
  const Passes all = run(choice, 10000, [](int way, int pass) { return 100 - way + pass * 7 % 5 * 0.4; });
  EXPECT_GT(all.taken[0], 8500);
}

TEST(WayChoice, ALookThatFindsASlowerWayIsShort) {
  WayChoice slower = started({60, 70}), alike = started({60, 70});
  EXPECT_EQ(run(slower, 30, steady({60, 75})).taken[1], 2);
  EXPECT_EQ(run(alike, 30, steady({60, 62})).taken[1], 4);
}

TEST(WayChoice, NeverLooksWherePredictionsAreFarApart) {
  WayChoice choice = started({10, 29, 31});
  const Passes all = run(choice, 10000, steady({50, 100, 1}));
  EXPECT_GT(all.taken[1], 0);
  EXPECT_EQ(all.taken[2], 0);
}

// Threads that have to be woken, and caches.
TEST(WayChoice, DoesNotJudgeAWayByTheFirstPassThatTakesIt) {
  WayChoice choice = started({100, 120});
  int last = 0;
  const Passes all = run(choice, 1000, [&](int way, int) {
    const bool changed = std::exchange(last, way) != way;
    return (way == 0 ? 100.0 : 60.0) + (changed ? 110 : 0);
  });
  EXPECT_GT(all.taken[1], 900);
}

// Another program has one CPU for 4 ms, then leaves it for 4 ms. A pass on one thread uses the other CPU.
Machine taking_turns() {
  return [us = 0.0](int way, int) mutable {
    double taken = way == 0 ? 60 : 100;
    const double into_turn = us - 8000 * static_cast<int>(us / 8000);
    if (way == 0 && into_turn > 4000) taken += 8000 - into_turn;
    us += taken;
    return taken;
  };
}

TEST(WayChoice, LeavesAWayWhosePassesNowAndThenTakeMuchLonger) {
  WayChoice choice = started({60, 100});
  const Machine machine = taking_turns();
  run(choice, 20000, machine);
  const Passes settled = run(choice, 40000, machine);
  EXPECT_LT(settled.us, 40000 * 100 * 1.03);
}

TEST(WayChoice, StaysWhereAPassIsLateNowAndThen) {
  WayChoice choice = started({60, 100});
  const Passes all = run(choice, 30000, [](int way, int pass) {
    const bool late = pass % 400 == 200 || pass % 400 == 204 || pass % 400 == 208;
    return way == 1 ? 100.0 : late ? 4060 : 60;
  });
  EXPECT_GT(all.taken[0], 27000) << "others take a third of the time";
}

TEST(WayChoice, StaysWhereThePassesStoodStillForOnce) {
  WayChoice choice = started({60, 100});
  run(choice, 1000, steady({60, 100}));
  while (choice.way() != 0) run(choice, 1, steady({60, 100}));
  run(choice, 1, steady({1e6, 1e6}));
  EXPECT_GT(run(choice, 100, steady({60, 100})).taken[0], 90);
}

// After a pass that another program made late the threads have to be woken, and caches filled.
TEST(WayChoice, StaysWhereTheNextPassesAreSlowToo) {
  WayChoice choice = started({6, 12});
  const Passes all = run(choice, 30000, [](int way, int pass) {
    const int since = pass % 1000 - 500;
    return way == 1 ? 12.0 : since == 0 ? 400.0 : since > 0 && since < 4 ? 25.0 : 6.0;
  });
  EXPECT_GT(all.taken[0], 29000);
}

// A look that others made dear is not paid for by passes without end.
TEST(WayChoice, LooksAgainAfterALookThatTookLong) {
  WayChoice choice = started({100, 120});
  const auto slow_until = [&](int passes) {
    return run(choice, 3000, [passes](int way, int pass) {
      return way == 0 ? 100.0 : pass < passes ? 1e5 : 60;
    });
  };
  EXPECT_GT(slow_until(100).taken[1], 2000);
}

TEST(WayChoice, LearnsNothingFromPassesThatCouldNotGoTheirWay) {
  WayChoice choice = started({100, 110});
  const auto passes = [&](int count, const auto& missed) {
    int looks = 0;
    for (int pass = 0; pass < count; ++pass) {
      looks += choice.way();
      if (choice.way() == 1 && missed) {
        choice.missed();
      } else {
        choice.took(choice.way() == 0 ? 100'000 : 60'000);
      }
    }
    return looks;
  };
  const int looks = passes(1000, true);
  EXPECT_GT(looks, 10);
  EXPECT_LT(looks, 40) << "one pass each";
  EXPECT_EQ(choice.way(), 0);
  EXPECT_GT(passes(1000, false), 900) << "once they can";
}

}  // namespace
}  // namespace rondo::cpu
