// What a file of results says in words and in Markdown.
#include "bench/suite_tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

namespace bench {
namespace {

// Of one row, in microseconds.
using Times = std::map<std::string, double>;
std::vector<std::pair<std::string, Times>> times_of(const Json& benchmarks) {
  std::vector<std::pair<std::string, Times>> rows;
  for (const Json& entry : benchmarks) {
    const std::string runner = entry.at("runner"), name = entry.at("name");
    const std::string row = name.substr(0, name.size() - runner.size() - 1);
    if (rows.empty() || rows.back().first != row) rows.push_back({row, {}});
    if (entry.contains("real_time")) rows.back().second[runner] = entry.at("real_time");
  }
  return rows;
}

std::vector<std::string> runner_names(const Json& benchmarks) {
  std::vector<std::string> names;
  for (const Json& entry : benchmarks) {
    const std::string name = entry.at("runner");
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

// A geometric mean.
struct Mean {
  double logs = 0;
  int count = 0;
  void add(double ratio) {
    logs += std::log(ratio);
    ++count;
  }
  double value() const { return std::exp(logs / count); }
};

bool is_cpu(const std::string& runner) { return runner == "cpu" || runner == "cpu/1"; }
bool is_gpu(const std::string& runner) { return runner.starts_with("cuda:"); }

// Of the runners that a test of the name is true for; 0: none ran.
double fastest(const Times& times, bool (*is)(const std::string&)) {
  double best = 0;
  for (const auto& [name, us] : times) {
    if (is(name) && (best == 0 || us < best)) best = us;
  }
  return best;
}

// Whom a peer stands beside: as many threads, or the GPU.
std::string counterpart(const std::string& peer, const Times& times) {
  if (peer.ends_with("/1")) return "cpu/1";
  if (peer == "pytorch-cuda" || peer == "pytorch-graph") {
    for (const auto& [name, us] : times) {
      if (is_gpu(name)) return name;
    }
  }
  return "cpu";
}

}  // namespace

std::string markdown_table(const Json& results) {
  const Json& context = results.at("context");
  const auto names = runner_names(results.at("benchmarks"));
  std::string text = "# " + context.at("set").get<std::string>() + ": medians in microseconds\n\n" +
                     context.at("engine").get<std::string>() + ", " + context.at("cpu").get<std::string>() +
                     ", " + context.at("isa").get<std::string>() + ", " + context.at("threads").dump() +
                     " threads, " + context.at("date").get<std::string>() +
                     (context.at("complete") ? "" : ", interrupted") + "\n\n| row |";
  for (const std::string& name : names) text += " " + name + " |";
  text += "\n|---|";
  for (std::size_t i = 0; i < names.size(); ++i) text += "---:|";
  for (const auto& [row, times] : times_of(results.at("benchmarks"))) {
    text += "\n| " + row + " |";
    for (const std::string& name : names) {
      char number[32] = "-";
      const auto found = times.find(name);
      if (found != times.end()) std::snprintf(number, sizeof number, "%.4g", found->second);
      text += std::string(" ") + number + " |";
    }
  }
  return text + "\n";
}

std::string summary(const Json& results) {
  Mean own, gpu;
  int gpu_wins = 0;
  std::map<std::string, std::pair<std::string, Mean>> peers;  // whom it is beside, and over that
  for (const auto& [row, times] : times_of(results.at("benchmarks"))) {
    const double on_cpu = fastest(times, is_cpu), on_gpu = fastest(times, is_gpu);
    const double best = on_cpu > 0 && on_gpu > 0 ? std::min(on_cpu, on_gpu) : std::max(on_cpu, on_gpu);
    if (const auto found = times.find("auto"); found != times.end() && best > 0)
      own.add(found->second / best);
    if (on_cpu > 0 && on_gpu > 0) {
      gpu.add(on_gpu / on_cpu);
      if (on_gpu < on_cpu) ++gpu_wins;
    }
    for (const auto& [name, us] : times) {
      if (name == "auto" || is_cpu(name) || is_gpu(name)) continue;
      const std::string beside = counterpart(name, times);
      if (const auto found = times.find(beside); found != times.end()) {
        peers[name].first = beside;
        peers[name].second.add(us / found->second);
      }
    }
  }
  std::string text;
  const auto line = [&](const std::string& what, const Mean& mean, const std::string& after) {
    char number[32];
    std::snprintf(number, sizeof number, " takes %.3g ", mean.value());
    text += what + number + after + " (geometric mean, rows: " + std::to_string(mean.count) + ")\n";
  };
  if (own.count > 0) line("auto", own, "of the time of each row's fastest device or number of threads");
  if (gpu.count > 0) {
    line("the GPU", gpu, "of the CPU's time and is faster in " + std::to_string(gpu_wins));
  }
  for (const auto& [name, peer] : peers) line(name, peer.second, "times as long as " + peer.first);
  return text;
}

}  // namespace bench
