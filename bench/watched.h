// Pieces of work that may hang or take their process with them: a child process does them and is watched.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

namespace bench {

struct WatchedWork {
  using Clock = std::chrono::steady_clock;
  // What a child's work returns.
  static constexpr int kDone = 0;    // nothing is left, or time is up
  static constexpr int kFailed = 1;  // another child would do no better
  static constexpr int kLost = 3;    // another child is to go on with piece `next`

  long pieces = 0;
  Clock::time_point deadline;
  std::chrono::milliseconds most_for_one{30000};
  std::chrono::milliseconds after_deadline{5000};  // a child that goes on for longer is ended
  // In the child: does the pieces from `next` on, and counts each once it is done.
  std::function<int(std::atomic<long>& next)> work;
  // In the parent: what a piece ended in that took its child with it or hung. The next child goes on after
  // it.
  std::function<void(long piece, const std::string& how)> lost;
};

// How many pieces were done or lost; -1 after kFailed. This process must not have used CUDA, which no child
// could use then.
long watch(const WatchedWork& work);

}  // namespace bench
