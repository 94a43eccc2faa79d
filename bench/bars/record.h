// What was measured for the bars, and its file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/sets.h"
#include "bench/write_file.h"

namespace bench::bars {

// An engine on a number of threads: "rondo/1", "onednn/2".
std::string runner_name(const std::string& engine, int threads);
constexpr const char* kOwn = "rondo";

struct Row {
  std::string set, name;
  ShapeOptions shape;
  std::map<std::string, std::vector<double>> rounds;  // by runner: a median for each round
  std::map<std::string, std::string> errors;          // by runner: why it has none
};

struct Record {
  Json
      context;  // of the machine and of the run: peers with versions, limits, names of the sections asked for
  std::vector<Row> rows;

  const Row* find(const std::string& set, const std::string& name) const;  // null: not measured
  Limits limits() const;
  std::string engine(const std::string& name) const;  // with its version
};

Json to_json(const Record& record);
// FileError for anything but such a file, whole.
Record read_record(const std::filesystem::path& path);

}  // namespace bench::bars
