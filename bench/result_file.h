// Files of results and of regret, read and checked.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

// A file that cannot be read, or is not what it should be. It is named, and stays as it is.
class FileError : public std::runtime_error {
 public:
  FileError(const std::filesystem::path& path, const std::string& what)
      : std::runtime_error(path.string() + ": " + what) {}
};

// What was computed, whoever did it.
struct Case {
  std::string cell, phase, dtype, math, option;  // option "": the plain cell
  std::int64_t t = 0, n = 0, i = 0, h = 0, layers = 1;
  bool bidirectional = false;
  auto operator<=>(const Case&) const = default;
};

// A median of one case by one runner, in microseconds a pass.
struct Row {
  std::string name, shape, set, runner, data, label, chosen;
  Case what;
  int threads = 1, repetitions = 0;
  double us = 0, p25_us = 0, p75_us = 0, min_us = 0;
  std::optional<double> gflops, limit_us, predicted_us, estimate_us;
  std::string error;  // why it did not run; "" where it did
  bool skipped = false;
  bool ran() const { return error.empty(); }
};

// Facts of a run and of its machine; a name that the file does not have is "".
struct Context {
  nlohmann::json json;
  std::string text(const char* name) const;
  int threads() const;
  bool complete() const;
};

struct ResultFile {
  std::filesystem::path path;
  Context context;
  std::vector<Row> rows;
};

// How much slower than the fastest device the predicted one is, over a grid of cases.
struct RegretFile {
  struct Row {
    Case what;
    std::vector<double> times_us, predicted_us;  // one a device
    std::size_t chosen = 0;
    double regret = 0;
  };
  std::filesystem::path path;
  Context context;
  std::vector<std::string> devices;
  double mean = 0, p95 = 0, within_25 = 0, worst = 0;
  bool passed = false;
  std::vector<Row> rows;
};

// FileError for anything but a whole file of that format.
ResultFile read_results(const std::filesystem::path& path);
RegretFile read_regret(const std::filesystem::path& path);
// By their formats; FileError when it cannot be read.
bool is_regret_file(const std::filesystem::path& path);
bool is_result_file(const std::filesystem::path& path);

}  // namespace bench
