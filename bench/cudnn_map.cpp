// rondo-cudnn-map: asks cuDNN on a GPU what it runs, and how fast, past the CUDA backend's own table.
//
// A kernel that hangs or faults takes its process with it, so a child asks and this process, which never
// calls CUDA, watches it: what a question ended in is written down, and another child goes on with the next
// one.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "bench/cudnn_jobs.h"

namespace {

using bench::Json;
using Clock = std::chrono::steady_clock;

constexpr int kExitFailed = 1, kExitUsage = 2, kExitLost = 3;
constexpr std::chrono::seconds kMostForOne{30};  // the first one opens the device and cuDNN

struct Options {
  double seconds = 60;
  std::string json;
  bool questions_only = false;
  bool list = false;
};

// What parent and child both see.
struct Progress {
  std::atomic<long> next = 0;  // the job that is being asked, or the first of the next child
};
Progress& shared_progress() {
  void* memory = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
  return *new (memory) Progress;
}

// Each line complete on its own.
void append(const std::string& path, const Json& line) {
  std::ofstream file(path, std::ios::app);
  file << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  if (!file) throw std::runtime_error("--json: cannot write " + path);
}

// The child: its exit status.
int ask(const std::vector<bench::CudnnJob>& jobs, Progress& progress, Clock::time_point deadline,
        const std::string& path) {
  std::optional<bench::CudnnProbe> probe;
  try {
    probe.emplace();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rondo-cudnn-map: %s\n", error.what());
    return kExitFailed;
  }
  for (; progress.next < static_cast<long>(jobs.size()) && Clock::now() < deadline; ++progress.next) {
    const bench::CudnnJob& job = jobs[static_cast<std::size_t>(progress.next)];
    Json line = job.subject;
    bool lost = false;
    try {
      line.update(job.answer(*probe));
    } catch (const std::exception& error) {  // the device is lost, or has no memory for this
      lost = probe->lost();
      line[lost ? "lost" : "error"] = error.what();
    }
    append(path, line);
    if (!lost) continue;
    ++progress.next;
    std::_Exit(kExitLost);  // no destructor of a lost device
  }
  return 0;
}

// How the child ended: its status from waitpid, or none when it had to be killed.
std::optional<int> watch(pid_t child, const Progress& progress) {
  long seen = progress.next;
  Clock::time_point since = Clock::now();
  for (int status = 0;;) {
    if (waitpid(child, &status, WNOHANG) == child) return status;
    if (progress.next != seen) {
      seen = progress.next;
      since = Clock::now();
    } else if (Clock::now() - since > kMostForOne) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

int ask_all(const Options& options, const std::vector<bench::CudnnJob>& jobs) {
  const Clock::time_point begin = Clock::now();
  const auto deadline =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  std::ofstream(options.json, std::ios::trunc);
  append(options.json, {{"jobs", jobs.size()}, {"seconds", options.seconds}});
  Progress& progress = shared_progress();
  while (progress.next < static_cast<long>(jobs.size()) && Clock::now() < deadline) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) std::_Exit(ask(jobs, progress, deadline, options.json));
    const std::optional<int> status = watch(child, progress);
    if (status && WIFEXITED(*status)) {
      if (WEXITSTATUS(*status) == kExitFailed) return kExitFailed;
      continue;  // done, or lost at a question that it has written down
    }
    if (progress.next >= static_cast<long>(jobs.size())) break;  // it died after the last one
    Json line = jobs[static_cast<std::size_t>(progress.next)].subject;
    line["lost"] = status ? "the process died of signal " + std::to_string(WTERMSIG(*status))
                          : "no answer after " + std::to_string(kMostForOne.count()) + " s";
    append(options.json, line);
    ++progress.next;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("asked %ld of %zu in %.1f s: %s\n", static_cast<long>(progress.next), jobs.size(), seconds,
              options.json.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Asks cuDNN on cuda:0 which networks it runs by which algorithm, with how much memory and how fast.",
      "rondo-cudnn-map");
  app.footer(
      "Single questions come first, then the map, from coarse to fine, until time is up.\n\n"
      "Examples:\n"
      "  rondo-cudnn-map --json cudnn-map.jsonl\n"
      "  rondo-cudnn-map --json cudnn-map.jsonl --seconds 600\n"
      "  rondo-cudnn-map --list | wc -l");
  Options options;
  app.add_option("--json", options.json, "a file for the answers, a line of JSON each");
  app.add_option("--seconds", options.seconds, "the time for all of it (default: 60)")
      ->check(CLI::PositiveNumber);
  app.add_flag("--questions", options.questions_only, "without the map");
  app.add_flag("--list", options.list, "prints what would be asked; needs no GPU");
  try {
    app.parse(argc, argv);
    if (options.json.empty() && !options.list) throw CLI::RequiredError("--json or --list");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  try {
    std::vector<bench::CudnnJob> jobs = bench::cudnn_questions();
    if (!options.questions_only) {
      for (bench::CudnnJob& job : bench::cudnn_map()) jobs.push_back(std::move(job));
    }
    if (!options.list) return ask_all(options, jobs);
    for (const bench::CudnnJob& job : jobs) std::printf("%s\n", job.subject.dump().c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rondo-cudnn-map: %s\n", error.what());
    return kExitFailed;
  }
}
