// One team of threads a process: sleeps when idle, is rebuilt after fork, never queues.
#include "cpu/team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/backend.h"
#include "core/settings.h"

namespace rondo::cpu {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  asm volatile("yield");
#endif
}

// After a call whose threads slept too much while they waited for one another, the CPUs are taken by others:
// so many calls of which nothing better is known then run on one thread.
constexpr int kCallsAlone = 64;
std::atomic<int> calls_alone{0};
thread_local std::uint32_t with_fewer_threads = 0;
using Clock = std::chrono::steady_clock;

// True when value left `old` within so long a time of spinning.
template <class V>
bool spin_while(const std::atomic<V>& value, V old, std::chrono::microseconds time) {
  const auto deadline = Clock::now() + time;
  do {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return true;
      relax();
    }
  } while (Clock::now() < deadline);
  return false;
}

// A thread may be woken on the CPU of the one that it is to help, where either would wait for the other to
// sleep, and Linux lets them stay for some 50 ms. Takes the calling thread elsewhere.
void leave_cpu(int cpu) {
  cpu_set_t all, others;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  others = all;
  CPU_CLR(static_cast<std::size_t>(cpu), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof all, &all);
}

// A thread that has no work waits for the next call, which may be the next product of a pass; one that waits
// for others knows that they are at work, and that to sleep and be woken would take about as long.
constexpr std::chrono::microseconds kForWork{20}, kForOthers{50};

constexpr int kCountBits = 8;
constexpr std::uint32_t kMostThreads = (1u << kCountBits) - 1;

class Team {
 public:
  // Only while it is taken and nobody runs. A system that gives no more threads leaves the team smaller.
  void grow(int threads) {
    threads = std::min(threads, static_cast<int>(kMostThreads));
    try {
      while (size() < threads) {
        workers_.emplace_back([this, index = size(), seen = job_.load()] { work(index, seen); });
      }
    } catch (const std::system_error&) {
      if (log_enabled()) log_line("cpu: no more threads than " + std::to_string(size()));
    }
  }
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  bool try_take() { return !busy_.exchange(true, std::memory_order_acquire); }
  void give_back() { busy_.store(false, std::memory_order_release); }

  void run(Together how, int count, void (*body)(void*, int, int), void* context) {
    const Clock::time_point start = how == Together::kTogether ? Clock::now() : Clock::time_point();
    body_ = body;
    context_ = context;
    cpu_ = sched_getcpu();
    unfinished_.store(count - 1, std::memory_order_relaxed);
    for (int i = 0; i < count; ++i) places_[i].meetings.store(0, std::memory_order_relaxed);
    slept_ns_.store(0, std::memory_order_relaxed);
    const std::uint32_t number = (job_.load(std::memory_order_relaxed) >> kCountBits) + 1;
    job_.store(number << kCountBits | static_cast<std::uint32_t>(count), std::memory_order_release);
    job_.notify_all();
    body(context, 0, count);
    for (int left = unfinished_.load(std::memory_order_acquire); left != 0;
         left = unfinished_.load(std::memory_order_acquire)) {
      if (!spin_while(unfinished_, left, kForWork)) unfinished_.wait(left, std::memory_order_acquire);
    }
    const std::int64_t slept_ns = slept_ns_.load(std::memory_order_relaxed);
    if (slept_ns == 0 || !slept_too_much(slept_ns, (Clock::now() - start).count(), count)) return;
    calls_alone.store(kCallsAlone, std::memory_order_relaxed);
  }

  void meet(int index, int count) {
    std::atomic<std::uint32_t>& mine = places_[index].meetings;
    const std::uint32_t before = mine.load(std::memory_order_relaxed);
    mine.store(before + 1, std::memory_order_release);
    mine.notify_all();
    for (int i = 0; i < count; ++i) {
      const std::atomic<std::uint32_t>& other = places_[i].meetings;
      // One that has gone on to its next meeting was here.
      if (other.load(std::memory_order_acquire) != before || spin_while(other, before, kForOthers)) continue;
      const Clock::time_point start = Clock::now();
      other.wait(before, std::memory_order_acquire);
      slept_ns_.fetch_add((Clock::now() - start).count(), std::memory_order_relaxed);
    }
  }

 private:
  void work(int index, std::uint32_t seen) {
    while (true) {
      if (!spin_while(job_, seen, kForWork)) job_.wait(seen, std::memory_order_acquire);
      const std::uint32_t now = job_.load(std::memory_order_acquire);
      if (now == seen) continue;
      seen = now;
      const int count = static_cast<int>(now & kMostThreads);
      if (index >= count) continue;  // not asked, and so never looking at body_ and context_
      if (cpu_ >= 0 && sched_getcpu() == cpu_) leave_cpu(cpu_);
      {
        const FlushDenormals flush;
        body_(context_, index, count);
      }
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    }
  }

  // How far a thread is, in a line of its own: a meeting of two takes the time in which a line comes from one
  // core to another.
  struct alignas(64) Place {
    std::atomic<std::uint32_t> meetings{0};
  };

  std::vector<std::thread> workers_;
  std::atomic<bool> busy_{false};
  std::atomic<std::uint32_t> job_{0};  // a running number, and how many threads are asked
  std::atomic<int> unfinished_{0};
  void (*body_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  int cpu_ = -1;  // of the caller
  Place places_[kMostThreads];
  std::atomic<std::int64_t> slept_ns_{0};  // of all threads, in meetings
};

// The team lives as long as the process: its threads are never joined, since a library cannot know which
// thread outlives which at exit. A forked child has no such threads and starts a team of its own.
std::atomic<Team*> the_team{nullptr};

Team& team() {
  Team* now = the_team.load(std::memory_order_acquire);
  if (now != nullptr) return *now;
  static std::once_flag registered;
  std::call_once(registered, [] { pthread_atfork(nullptr, nullptr, [] { the_team.store(nullptr); }); });
  auto* made = new Team;
  if (the_team.compare_exchange_strong(now, made)) return *made;
  delete made;
  return *now;
}

}  // namespace

FlushDenormals::FlushDenormals() : saved_(float_mode()) {
  if ((saved_ & kFlush) != kFlush) set_float_mode(saved_ | kFlush);
}
FlushDenormals::~FlushDenormals() {
  if ((saved_ & kFlush) != kFlush) set_float_mode(saved_);
}

// One that is late has all others sleep.
bool slept_too_much(std::int64_t slept_ns, std::int64_t call_ns, int count) {
  return 2 * slept_ns > (count - 1) * call_ns;
}

int together_threads() { return executor() != nullptr ? 1 : std::min(num_threads(), available_cpus()); }

bool better_alone() {
  if (calls_alone.load(std::memory_order_relaxed) <= 0) return false;
  calls_alone.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

std::uint32_t calls_with_fewer_threads() { return with_fewer_threads; }

void prepare_team(int threads) {
  if (executor() != nullptr || threads <= 1) return;
  Team& t = team();
  if (!t.try_take()) return;
  t.grow(threads);
  t.give_back();
}

void run_on_team(Together how, int wanted, void (*body)(void*, int, int), void* context) {
  if (Executor* host = executor()) {
    if (how == Together::kTogether) return body(context, 0, 1);
    struct Job {
      void (*body)(void*, int, int);
      void* context;
      int count;
    } job{body, context, wanted};
    return host->run(
        wanted,
        [](void* j, int index) {
          const FlushDenormals flush;
          const Job& task = *static_cast<Job*>(j);
          task.body(task.context, index, task.count);
        },
        &job);
  }
  Team& t = team();
  if (!t.try_take()) {
    ++with_fewer_threads;
    return body(context, 0, 1);
  }
  if (t.size() < wanted) ++with_fewer_threads;
  t.run(how, std::min(wanted, t.size()), body, context);
  t.give_back();
}

void meet(int index, int count) {
  if (count > 1) the_team.load(std::memory_order_relaxed)->meet(index, count);
}

}  // namespace rondo::cpu
