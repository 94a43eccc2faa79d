// Work that hangs, dies or gives up, and what is done of the rest.
#include "bench/watched.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace bench {
namespace {

using Clock = WatchedWork::Clock;

// Pieces that write their number to a file. What a piece does else hangs on its letter: . nothing, H it
// hangs, D its process dies, L its device is lost once it is done, F nobody can go on.
class Watched : public ::testing::Test {
 protected:
  void SetUp() override { std::ofstream(file_, std::ios::trunc); }
  void TearDown() override { std::remove(file_.c_str()); }

  WatchedWork work(const std::string& kinds, std::chrono::milliseconds time = std::chrono::seconds(20)) {
    return {.pieces = static_cast<long>(kinds.size()),
            .deadline = Clock::now() + time,
            .most_for_one = std::chrono::milliseconds(300),
            .after_deadline = std::chrono::milliseconds(100),
            .work = [this, kinds](std::atomic<long>& next) { return child(kinds, next); },
            .lost = [this](long piece,
                           const std::string& how) { lost_ += std::to_string(piece) + " " + how + "; "; }};
  }
  int child(const std::string& kinds, std::atomic<long>& next) const {
    for (; next < static_cast<long>(kinds.size()); ++next) {
      const char kind = kinds[static_cast<std::size_t>(next)];
      if (kind == 'H') std::this_thread::sleep_for(std::chrono::hours(1));
      if (kind == 'D') std::raise(SIGKILL);
      if (kind == 'F') return WatchedWork::kFailed;
      std::ofstream(file_, std::ios::app) << next << " ";
      if (kind == 'L') return ++next, WatchedWork::kLost;
    }
    return WatchedWork::kDone;
  }
  std::string done() const {
    std::ifstream file(file_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string file_ = ::testing::TempDir() + "rondo_watched_" + std::to_string(getpid());
  std::string lost_;
};

TEST_F(Watched, DoesEachPieceOnce) {
  EXPECT_EQ(watch(work("....")), 4);
  EXPECT_EQ(done(), "0 1 2 3 ");
  EXPECT_EQ(lost_, "");
}

TEST_F(Watched, GoesOnAfterWhatHangsDiesOrIsLost) {
  EXPECT_EQ(watch(work("D.H.L.D")), 7);
  EXPECT_EQ(done(), "1 3 4 5 ");
  EXPECT_EQ(lost_,
            "0 the process died of signal 9; 2 no answer after 300 ms; 6 the process died of signal 9; ");
}

TEST_F(Watched, EndsWhereNobodyCanGoOn) {
  EXPECT_EQ(watch(work(".F.")), -1);
  EXPECT_EQ(done(), "0 ");
}

TEST_F(Watched, EndsWithTheTime) {
  const Clock::time_point begin = Clock::now();
  WatchedWork hanging = work(".H.", std::chrono::milliseconds(100));
  hanging.most_for_one = std::chrono::hours(1);
  EXPECT_EQ(watch(hanging), 1);
  EXPECT_EQ(lost_, "") << "a piece is not to blame for the time that others took";
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
}

}  // namespace
}  // namespace bench
