// rondo-cudnn-map: asks cuDNN on a GPU what it runs, and how fast, past the CUDA backend's own table.
//
// A kernel that hangs or faults takes its process with it, so a child asks (bench/watched.h), and this
// process never calls CUDA.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <optional>
#include <string>

#include "bench/cudnn_jobs.h"
#include "bench/watched.h"

namespace {

using bench::Json;
using bench::WatchedWork;
using Clock = WatchedWork::Clock;

constexpr int kExitFailed = 1, kExitUsage = 2;

struct Options {
  double seconds = 60;
  std::string json;
  bool questions_only = false;
  bool list = false;
};

// Each line complete on its own.
void append(const std::string& path, const Json& line) {
  std::ofstream file(path, std::ios::app);
  file << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  if (!file) throw std::runtime_error("--json: cannot write " + path);
}

// In the child: asks from job `next` on.
int ask(const std::vector<bench::CudnnJob>& jobs, std::atomic<long>& next, Clock::time_point deadline,
        const std::string& path) {
  std::optional<bench::CudnnProbe> probe;
  try {
    probe.emplace();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rondo-cudnn-map: %s\n", error.what());
    return WatchedWork::kFailed;
  }
  for (; next < static_cast<long>(jobs.size()) && Clock::now() < deadline; ++next) {
    const bench::CudnnJob& job = jobs[static_cast<std::size_t>(next)];
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
    ++next;
    std::_Exit(WatchedWork::kLost);  // no destructor of a lost device
  }
  return WatchedWork::kDone;
}

int ask_all(const Options& options, const std::vector<bench::CudnnJob>& jobs) {
  const Clock::time_point begin = Clock::now();
  const auto deadline =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  std::ofstream(options.json, std::ios::trunc);
  append(options.json, {{"jobs", jobs.size()}, {"seconds", options.seconds}});
  const auto lost = [&](long job, const std::string& how) {
    Json line = jobs[static_cast<std::size_t>(job)].subject;
    line["lost"] = how;
    append(options.json, line);
  };
  const long asked =
      bench::watch({.pieces = static_cast<long>(jobs.size()),
                    .deadline = deadline,
                    .work = [&](auto& next) { return ask(jobs, next, deadline, options.json); },
                    .lost = lost});
  if (asked < 0) return kExitFailed;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("asked %ld of %zu in %.1f s: %s\n", asked, jobs.size(), seconds, options.json.c_str());
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
