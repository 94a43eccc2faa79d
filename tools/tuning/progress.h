// How far a long run is, on stderr.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace tuning {

// A bar on a terminal, else a line at most every ten seconds.
class Progress {
 public:
  // part: 0 to 1. what: of which; after: "12 s left".
  void show(const std::string& what, double part, const std::string& after) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const auto now = Clock::now();
    if (!terminal && shown_ && now < next_) return;
    shown_ = true;
    next_ = now + std::chrono::seconds(10);
    const int filled = static_cast<int>(kWidth * part);
    std::fprintf(stderr, "%s%s [%.*s%*s] %s%s", terminal ? "\r\033[K" : "", what.c_str(), filled,
                 "########################", kWidth - filled, "", after.c_str(), terminal ? "" : "\n");
  }
  // Takes the bar away.
  static void end() {
    if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K");
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kWidth = 24;
  bool shown_ = false;
  Clock::time_point next_{};
};

}  // namespace tuning
