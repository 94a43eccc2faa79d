// Process-wide settings: threads, executor, BLAS, log, version.
#include "core/settings.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string_view>

#include "core/backend.h"

namespace rondo {
namespace {

std::atomic<int> wanted_threads{0};  // 0: the default
std::atomic<Executor*> host_executor{nullptr};
std::atomic<bool> single_threaded_blas{true}, tries_divisions{true};

std::mutex log_mutex;
std::function<void(const std::string&)> log_callback;

std::function<void(const std::string&)> current_log_callback() {
  const std::lock_guard lock(log_mutex);
  return log_callback;
}

bool logs_to_stderr() {
  static const bool on = [level = std::getenv("RONDO_LOG")] {
    return level != nullptr && std::string_view(level) == "info";
  }();
  return on;
}

}  // namespace

int available_cpus() {
  static const int cpus = [] {
    cpu_set_t set;
    const double affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    // What the cgroup's quota pays for, rounded up; the text says "max" when there is none.
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    double quota = 0, period = 0;
    const bool limited = file >> quota >> period && period > 0;
    return std::max(1, static_cast<int>(limited ? std::min(affinity, std::ceil(quota / period)) : affinity));
  }();
  return cpus;
}

void set_num_threads(int n) { wanted_threads = n < 1 ? 0 : n; }
int num_threads() {
  if (const Executor* host = executor()) return std::max(1, host->concurrency());
  const int wanted = wanted_threads;
  return wanted > 0 ? wanted : available_cpus();
}

void set_executor(Executor* host) { host_executor = host; }
Executor* executor() { return host_executor; }

void set_division_trials(bool on) { tries_divisions = on; }
bool division_trials() { return tries_divisions; }

void set_blas_single_threaded(bool on) { single_threaded_blas = on; }
bool blas_single_threaded() { return single_threaded_blas; }

void set_log(std::function<void(const std::string&)> callback) {
  const std::lock_guard lock(log_mutex);
  log_callback = std::move(callback);
}
bool log_enabled() { return current_log_callback() != nullptr || logs_to_stderr(); }
void log_line(const std::string& line) {
  const auto callback = current_log_callback();
  if (callback) callback(line);  // outside the lock: it may call the library
  if (logs_to_stderr()) std::fprintf(stderr, "rondo: %s\n", line.c_str());
}

const char* version() { return RONDO_VERSION; }

}  // namespace rondo
