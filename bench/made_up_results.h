// Files of results for tests, made up.
#pragma once

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace bench {

using nlohmann::json;

inline json made_up_context() {
  return {{"format", "rondo-bench 1"},
          {"engine", "rondo 0.1.0"},
          {"set", "full"},
          {"cpu", "A Processor"},
          {"isa", "avx2"},
          {"threads", 2},
          {"blas", "OpenBLAS"},
          {"gpu", nullptr},
          {"no_gpu", "no driver"},
          {"commit", "0123456789ab"},
          {"date", "2026-01-02"},
          {"complete", true},
          {"seconds", 12.5},
          {"from_a_later_version", {1, 2}},
          {"peers", {{{"name", "onednn"}, {"version", "9.9"}, {"note", ""}}}}};
}

struct MadeUp {
  std::string cell = "lstm", phase = "inference", runner = "cpu/1", option = "";
  std::int64_t t = 10, n = 1, h = 32;
  double us = 100, spread = 0.01;  // of the quartiles
  int threads = 1, repetitions = 20;
};

inline json made_up_row(const MadeUp& m) {
  const std::string shape = "t" + std::to_string(m.t) + "_n" + std::to_string(m.n) + "_h" +
                            std::to_string(m.h) + (m.option.empty() ? "" : "_" + m.option);
  const std::string name = shape + "/" + m.cell + "/" + m.phase + "/f32/" + m.runner;
  return {{"name", name},
          {"run_name", name},
          {"shape", shape},
          {"set", "made-up"},
          {"cell", m.cell},
          {"phase", m.phase},
          {"t", m.t},
          {"n", m.n},
          {"i", m.h},
          {"h", m.h},
          {"layers", 1},
          {"bidirectional", false},
          {"dtype", "f32"},
          {"math", "strict"},
          {"option", m.option},
          {"runner", m.runner},
          {"data", "host"},
          {"threads", m.threads},
          {"repetitions", m.repetitions},
          {"real_time", m.us},
          {"min_time", m.us * (1 - 1.5 * m.spread)},
          {"p25_time", m.us * (1 - m.spread)},
          {"p75_time", m.us * (1 + m.spread)},
          {"time_unit", "us"},
          {"label", "a path"},
          {"gflops", 1.5},
          {"limit_us", m.runner == "cpu/1" ? json(m.us / 2) : json()},
          {"chosen", nullptr},
          {"predicted_us", nullptr},
          {"from_a_later_version", "ignored"}};
}

inline json made_up_failure(const MadeUp& m, const std::string& why) {
  json row = made_up_row(m);
  for (const char* field : {"real_time", "min_time", "p25_time", "p75_time"}) row.erase(field);
  row["error_occurred"] = true;
  row["error_message"] = why;
  return row;
}

inline json made_up_file(const json& rows) { return {{"context", made_up_context()}, {"benchmarks", rows}}; }

inline std::filesystem::path written(const std::string& name, const std::string& text) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "rondo_made_up_results";
  std::filesystem::create_directories(folder);
  const std::filesystem::path path = folder / name;
  std::ofstream(path) << text;
  return path;
}

inline std::filesystem::path written(const std::string& name, const json& file) {
  return written(name, file.dump(1));
}

}  // namespace bench
