// A child process that works, and its parent that watches.
#include "bench/watched.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

// What parent and child both see.
std::atomic<long>& shared_counter() {
  void* memory =
      mmap(nullptr, sizeof(std::atomic<long>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
  return *new (memory) std::atomic<long>(0);
}

pid_t start_child(const WatchedWork& work, std::atomic<long>& next) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive its parent
  int status = WatchedWork::kFailed;
  try {
    status = work.work(next);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::fflush(nullptr);
  std::_Exit(status);
}

// The status of the child, from waitpid; none when it had to be killed.
std::optional<int> wait_for(pid_t child, const WatchedWork& work, const std::atomic<long>& next) {
  long seen = next;
  WatchedWork::Clock::time_point since = WatchedWork::Clock::now();
  for (int status = 0;;) {
    if (waitpid(child, &status, WNOHANG) == child) return status;
    const WatchedWork::Clock::time_point now = WatchedWork::Clock::now();
    if (next != seen) {
      seen = next;
      since = now;
    }
    if (now - since > work.most_for_one || now > work.deadline + work.after_deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

long watch(const WatchedWork& work) {
  std::atomic<long>& next = shared_counter();
  while (next < work.pieces && WatchedWork::Clock::now() < work.deadline) {
    const std::optional<int> status = wait_for(start_child(work, next), work, next);
    if (status && WIFEXITED(*status)) {
      if (WEXITSTATUS(*status) == WatchedWork::kFailed) return -1;
      continue;
    }
    if (next >= work.pieces || WatchedWork::Clock::now() > work.deadline) break;
    work.lost(next, status ? "the process died of signal " + std::to_string(WTERMSIG(*status))
                           : "no answer after " + std::to_string(work.most_for_one.count()) + " ms");
    ++next;
  }
  const long done = next;
  munmap(&next, sizeof next);
  return done;
}

}  // namespace bench
