// Process-wide settings: threads, executor, BLAS, log, version.
#include "core/settings.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <utility>

#include "core/backend.h"

namespace rondo {
namespace {

std::atomic<int> wanted_threads{0};  // 0: the default
std::atomic<Executor*> host_executor{nullptr};
std::atomic<bool> single_threaded_blas{true};

std::mutex log_mutex;
std::function<void(const std::string&)> log_callback;
std::atomic<bool> has_log_callback{false};

bool logs_to_stderr() {
  static const bool on = [] {
    const char* level = std::getenv("RONDO_LOG");
    return level != nullptr && std::strcmp(level, "info") == 0;
  }();
  return on;
}

// CPUs that the cgroup's quota pays for, rounded up; a large number when there is no quota.
int quota_cpus() {
  constexpr int kNone = 1 << 20;
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return kNone;
  return std::max(1, static_cast<int>((std::atof(quota.c_str()) + period - 1) / period));
}

int count_cpus() {
  cpu_set_t set;
  const int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1, std::min(affinity, quota_cpus()));
}

}  // namespace

int available_cpus() {
  static const int cpus = count_cpus();
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

void set_blas_single_threaded(bool on) { single_threaded_blas = on; }
bool blas_single_threaded() { return single_threaded_blas; }

void set_log(std::function<void(const std::string&)> callback) {
  const std::lock_guard lock(log_mutex);
  log_callback = std::move(callback);
  has_log_callback = static_cast<bool>(log_callback);
}

bool log_enabled() { return has_log_callback || logs_to_stderr(); }

void log_line(const std::string& line) {
  std::function<void(const std::string&)> callback;
  {
    const std::lock_guard lock(log_mutex);
    callback = log_callback;
  }
  if (callback) callback(line);  // outside the lock: it may call the library
  if (logs_to_stderr()) std::fprintf(stderr, "rondo: %s\n", line.c_str());
}

const char* version() { return RONDO_VERSION; }

}  // namespace rondo
