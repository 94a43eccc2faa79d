// Measures, fits, says how good the fit is, and stores it.
#include "tune.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "tuning/progress.h"
#include "tuning/tuning.h"

namespace cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[16];
  std::strftime(text, sizeof text, "%F", &local);
  return text;
}

std::filesystem::path file_or_error() {
  std::filesystem::path file = rondo::calibration_file();
  if (file.empty())
    throw std::runtime_error("tune: neither XDG_CACHE_HOME nor HOME says where to keep the file");
  return file;
}

template <class Cost, std::size_t kCount>
void print_part(const char* device, const Cost& cost,
                const rondo::Coefficient<Cost> (&coefficients)[kCount]) {
  std::printf("%s\n", device);
  for (const auto& c : coefficients) std::printf("  %-20s %12.4g\n", c.name, cost.*c.value);
}

void show() {
  const rondo::Calibration c = rondo::calibration();
  std::printf("coefficients in use: %s\n", c.origin.c_str());
  print_part("cpu", c.cpu, rondo::kCpuCoefficients);
  print_part("cuda", c.cuda, rondo::kCudaCoefficients);
  const std::filesystem::path file = rondo::calibration_file();
  std::error_code none;
  if (file.empty()) {
    std::printf("no file: neither XDG_CACHE_HOME nor HOME is set\n");
  } else if (!std::filesystem::exists(file, none)) {
    std::printf("%s: not there; `rondo tune` makes it\n", file.c_str());
  } else {
    try {
      (void)rondo::load_calibration(file);
      std::printf("%s: used\n", file.c_str());
    } catch (const std::exception& error) {
      const bool in_part = c.origin.starts_with("tuned");
      std::printf("%s: %s\n", in_part ? "used for the CPU alone" : "not used", error.what());
    }
  }
}

void reset() {
  const std::filesystem::path file = file_or_error();
  std::error_code failed;
  const bool was_there = std::filesystem::remove(file, failed);
  if (failed) throw std::runtime_error("tune: cannot remove " + file.string() + ": " + failed.message());
  std::printf("%s: %s\n", file.c_str(),
              was_there ? "removed; published figures are used again" : "was not there");
}

void print_error(const std::string& who, const tuning::FitError& error) {
  if (error.samples == 0) return;
  std::printf("%s: %d passes, predictions off by %.0f %% in the median, %.0f %% at the 90th percentile\n",
              who.c_str(), error.samples, 100 * error.median, 100 * error.p90);
}

void print_fit(const std::vector<tuning::Sample>& samples, const rondo::Calibration& calibration) {
  for (const tuning::Side& side : tuning::cpu_sides()) {
    const std::string threads = std::to_string(side.threads) + (side.threads == 1 ? " thread" : " threads");
    print_error("CPU, " + threads, tuning::fit_error(samples, side.threads, calibration));
  }
  print_error("GPU", tuning::fit_error(samples, 0, calibration));
}

// Between one thread and all of them, on the samples themselves.
void print_choice(const std::vector<tuning::Sample>& samples, const rondo::Calibration& calibration) {
  const std::vector<tuning::Side> sides = tuning::cpu_sides();
  if (sides.size() < 2) return;
  std::vector<tuning::Decision> decisions;
  int right = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    if (samples[i - 1].threads != 1 || samples[i].threads < 2) continue;
    decisions.push_back(
        tuning::decide(samples[i].work, sides, {samples[i - 1].us, samples[i].us}, calibration));
    if (decisions.back().regret() == 0) ++right;
  }
  const tuning::Score score = tuning::score(decisions);
  std::printf("one thread or %d: right for %d of %zu, %.1f %% of the time lost in the mean\n",
              sides[1].threads, right, decisions.size(), 100 * score.mean);
}

}  // namespace

int run_tune(const TuneOptions& options) {
  if (options.show) return show(), 0;
  if (options.reset) return reset(), 0;
  const std::filesystem::path file = file_or_error();
  struct sigaction stop = {};
  stop.sa_handler = [](int) { interrupted = 1; };
  stop.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  tuning::Progress progress;
  const std::vector<tuning::Sample> samples = tuning::collect(options.seconds, [&](double part) {
    const long left = std::lround(options.seconds * (1 - part));
    progress.show("measuring", part, std::to_string(left) + " s left");
    return interrupted == 0;
  });
  tuning::Progress::end();
  if (interrupted != 0) {
    std::fprintf(stderr, "rondo: tune was interrupted, nothing is stored\n");
    return 130;
  }
  rondo::Calibration fitted = tuning::fit(samples, rondo::published_calibration());
  fitted.origin = "tuned " + today();
  print_fit(samples, fitted);
  print_choice(samples, fitted);
  rondo::save_calibration(fitted, file);
  std::printf("stored in %s\n", file.c_str());
  return 0;
}

}  // namespace cli
