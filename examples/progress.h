// Progress on the terminal with the time that is left, and Ctrl-C as a request to stop.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

namespace examples {

// After install(), the first Ctrl-C (or SIGTERM) only sets requested(); the second ends the program.
class StopRequest {
 public:
  static void install() {
    struct sigaction action = {};
    action.sa_handler = [](int) { flag_ = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
  }
  static bool requested() { return flag_ != 0; }

 private:
  static inline volatile std::sig_atomic_t flag_ = 0;
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// A bar on standard error, drawn at most ten times a second; silent when that is no terminal.
class Progress {
 public:
  explicit Progress(std::int64_t total) : total_(total), shown_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(const std::string& label, std::int64_t n = 1) {
    done_ += n;
    if (!shown_ || watch_.seconds() - drawn_at_ < 0.1) return;
    drawn_at_ = watch_.seconds();
    draw(label);
  }
  // Call before anything else is printed.
  void clear() const {
    if (shown_) std::fputs("\r\033[K", stderr);
  }

 private:
  void draw(const std::string& label) const {
    constexpr int kWidth = 30;
    const double share = std::min(1.0, double(done_) / double(std::max<std::int64_t>(total_, 1)));
    const int filled = int(share * kWidth);
    const int left = int(share > 0 ? drawn_at_ * (1 - share) / share + 0.5 : 0);
    std::string bar(std::size_t(filled), '#');
    bar.append(std::size_t(kWidth - filled), '.');
    std::fprintf(stderr, "\r\033[K[%s] %3d %%  %d:%02d left  %s", bar.c_str(), int(share * 100), left / 60,
                 left % 60, label.c_str());
  }

  std::int64_t total_;
  std::int64_t done_ = 0;
  bool shown_;
  double drawn_at_ = 0;
  Stopwatch watch_;
};

}  // namespace examples
