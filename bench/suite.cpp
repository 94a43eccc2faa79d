// A set, row by row: our runners, then the peers; the files are written anew after each row.
#include "bench/suite.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "bench/options.h"
#include "bench/peer_process.h"
#include "bench/suite_row.h"
#include "bench/suite_tables.h"
#include "tuning/fit.h"
#include "tuning/progress.h"

namespace bench {
namespace {

using tuning::quantile;

volatile std::sig_atomic_t interrupted = 0;

double rounded(double us) { return std::round(us * 1000) / 1000; }

struct SuiteRow {
  std::string set;
  RowPlan plan;
};

// Everything that was asked for: with options, each row's plain cell and then each option of its cell.
std::vector<SuiteRow> rows_of(const SuiteOptions& options) {
  std::vector<SuiteRow> rows;
  for (const std::string& name : options.sets) {
    const ShapeSet& set = shape_set(name);
    for (SetRow row : set.rows) {
      row.shape.dtype = options.dtype;
      row.shape.math = options.math;
      const auto wanted = [](const std::set<std::string>& only, const std::string& value) {
        return only.empty() || only.contains(value);
      };
      if (!wanted(options.cells, row.shape.cell) || !wanted(options.phases, row.shape.phase)) continue;
      std::vector<std::string> variants = {""};
      if (set.options) {
        for (const std::string& option : option_names(row.shape.cell)) variants.push_back(option);
      }
      for (const std::string& option : variants) {
        SetRow variant = row;
        variant.option = option;
        if (set.options) variant.name += "/" + (option.empty() ? "plain" : option);
        if (variant.name.find(options.filter) == std::string::npos) continue;
        rows.push_back({name, {variant, set.options, options.data == "device", options.row_seconds, [] {
                                 return interrupted != 0;
                               }}});
      }
    }
  }
  return rows;
}

std::vector<RowRunner> runners_of(const SuiteOptions& options, const Gpu& gpu) {
  const int all = rondo::num_threads();
  const auto& devices = options.devices;
  std::vector<RowRunner> runners;
  if (devices.contains("cpu")) runners.push_back({"cpu/1", rondo::Device{}, 1, false});
  if (devices.contains("cpu") && all > 1) runners.push_back({"cpu", rondo::Device{}, all, true});
  if (devices.contains("cuda") && gpu.info) {
    runners.push_back({rondo::to_string(gpu.info->device), gpu.info->device, all, false});
  }
  if (devices.contains("auto")) runners.push_back({"auto", std::nullopt, all, false});
  if (runners.empty()) throw std::runtime_error("--device: there is no GPU to time: " + gpu.reason);
  return runners;
}

// The fields of a row that all its entries share.
Json entry_of(const SuiteRow& row, const std::string& runner, int threads) {
  const ShapeOptions& s = row.plan.row.shape;
  const std::string name = row.plan.row.name + "/" + s.cell + "/" + s.phase + "/" + s.dtype + "/" + runner;
  return {{"name", name},
          {"run_name", name},
          {"run_type", "aggregate"},
          {"aggregate_name", "median"},
          {"aggregate_unit", "time"},
          {"threads", threads},
          {"shape", row.plan.row.name},
          {"set", row.set},
          {"cell", s.cell},
          {"phase", s.phase},
          {"t", s.t},
          {"n", s.n},
          {"i", s.i},
          {"h", s.h},
          {"layers", s.layers},
          {"bidirectional", s.bidirectional},
          {"dtype", s.dtype},
          {"math", s.math},
          {"option", row.plan.row.option},
          {"runner", runner},
          {"data", row.plan.on_device ? "device" : "host"}};
}

void add_error(Json& entry, const std::string& why) {
  entry["error_occurred"] = true;
  entry["error_message"] = why;
}

Json entry_of(const SuiteRow& row, const RowResult& result, const std::optional<Limits>& limits) {
  Json entry = entry_of(row, result.runner.name, result.runner.threads);
  entry["chosen"] = result.chosen;
  entry["predicted_us"] = result.predicted_us > 0 ? Json(rounded(result.predicted_us)) : Json();
  if (!result.error.empty()) {
    add_error(entry, result.error);
    if (result.estimate_us > 0) {
      entry["skipped"] = true;
      entry["estimate_us"] = rounded(result.estimate_us);
    }
    return entry;
  }
  const ShapeOptions& shape = row.plan.row.shape;
  const double median = quantile(result.samples_us, 0.5);
  entry["repetitions"] = result.samples_us.size();
  entry["iterations"] = result.iterations;
  entry["real_time"] = rounded(median);
  entry["cpu_time"] = rounded(result.cpu_us);
  entry["time_unit"] = "us";
  entry["label"] = result.label;
  entry["min_time"] = rounded(quantile(result.samples_us, 0));
  entry["p25_time"] = rounded(quantile(result.samples_us, 0.25));
  entry["p75_time"] = rounded(quantile(result.samples_us, 0.75));
  entry["gflops"] = rounded(flops(shape) / median / 1000);
  const bool bounded = limits && result.runner.name == "cpu/1" && row.plan.row.option.empty();
  entry["limit_us"] = bounded ? Json(rounded(limit_us(shape, *limits))) : Json();
  return entry;
}

// What a peer runs: where, on how many threads of the CPU, and the name of that in the file.
struct PeerRun {
  std::string name, options;
  int threads = 1;
  bool on_gpu = false;
};

class Suite {
 public:
  explicit Suite(const SuiteOptions& options) : options_(options), gpu_(find_gpu()), rows_(rows_of(options)) {
    if (rows_.empty()) throw rondo::InvalidArgument("no row of the sets fits --cell, --phase and --filter");
    runners_ = runners_of(options, gpu_);
    limits_ = measure_limits();
    file_["context"] = run_context(gpu_);
    Json& context = file_["context"];
    std::string sets;
    for (const std::string& set : options.sets) sets += (sets.empty() ? "" : ", ") + set;
    context["set"] = sets;
    context["limits"] = json_of(*limits_);
    context["peers"] = Json::array();
    if (options.peers) find_peers(context["peers"]);
    file_["benchmarks"] = Json::array();
  }

  int run() {
    write(false);  // in place of an older run's file from the start
    std::fprintf(stderr, "%zu rows; %s\n", rows_.size(),
                 gpu_.info ? gpu_.info->name.c_str() : ("no GPU is timed: " + gpu_.reason).c_str());
    for (std::size_t i = 0; i < rows_.size() && interrupted == 0; ++i) {
      show_progress(i);
      for (const RowResult& result : run_row(rows_[i].plan, runners_for(rows_[i].plan))) {
        if (result.error.empty() && result.samples_us.empty()) continue;
        add(bench::entry_of(rows_[i], result, limits_));
      }
      ask_peers(rows_[i]);
      write(i + 1 == rows_.size() && interrupted == 0);
    }
    show_progress(rows_.size());
    std::fprintf(stderr, "\n");
    print_summary();
    if (interrupted == 0) return 0;
    std::fprintf(stderr, "interrupted: the rows until then are kept\n");
    return 130;
  }

 private:
  // Options are timed by code for the CPU: neither a GPU nor a choice between the two is.
  std::vector<RowRunner> runners_for(const RowPlan& plan) const {
    std::vector<RowRunner> runners = runners_;
    if (plan.of_options) {
      std::erase_if(runners, [](const RowRunner& r) {
        return !r.device || r.device->kind != rondo::Device::Kind::kCpu;
      });
    }
    return runners;
  }

  void find_peers(Json& facts) {
    for (PeerProcess& peer : known_peers(peer_folders())) {
      const nlohmann::json about = peer.about();
      if (about.contains("error")) {
        const std::string why = about.at("error");
        std::fprintf(stderr, "without %s: %s\n", peer.name().c_str(), why.c_str());
        facts.push_back({{"name", peer.name()}, {"version", nullptr}, {"note", why}});
        continue;
      }
      facts.push_back(
          {{"name", peer.name()},
           {"version", about.at("version")},
           {"note", options_.peers_on_all_threads ? "on one thread and on all" : "on one thread"}});
      peers_.push_back(std::move(peer));
    }
  }

  void ask_peers(const SuiteRow& row) {
    if (row.plan.of_options || interrupted != 0) return;
    for (PeerProcess& peer : peers_) {
      for (const PeerRun& run : runs_of(peer, row.plan.row.shape)) {
        const nlohmann::json answer = peer.ask(
            row_text(row.plan.row.shape) + " --brief --threads " + std::to_string(run.threads) + run.options,
            60);
        if (interrupted != 0) return;  // which a peer on the same terminal is too
        add(entry_of(row, run, answer));
      }
    }
  }

  // On the CPU; PyTorch on a GPU too, call by call and in a graph.
  std::vector<PeerRun> runs_of(const PeerProcess& peer, const ShapeOptions& shape) const {
    std::vector<PeerRun> runs;
    const int all = rondo::num_threads();
    if (options_.devices.contains("cpu")) runs.push_back({peer.name() + "/1", " --device cpu", 1});
    if (options_.devices.contains("cpu") && options_.peers_on_all_threads && all > 1) {
      runs.push_back({peer.name(), " --device cpu", all});
    }
    if (peer.name() != "pytorch" || !gpu_.info || !options_.devices.contains("cuda")) return runs;
    runs.push_back({"pytorch-cuda", " --device cuda", 1, true});
    if (shape.phase != "step") runs.push_back({"pytorch-graph", " --device cuda --graph", 1, true});
    return runs;
  }

  static Json entry_of(const SuiteRow& row, const PeerRun& run, const nlohmann::json& answer) {
    Json entry = bench::entry_of(row, run.name, run.threads);
    entry["data"] = run.on_gpu ? "device" : "host";
    const double us = answer.value("median_us", 0.0);
    if (answer.contains("error")) {
      add_error(entry, answer.at("error"));
    } else if (!(us > 0)) {
      add_error(entry, "no time in its answer: " + answer.dump());
    } else {
      entry["repetitions"] = answer.value("samples", 1);
      entry["iterations"] = 1;
      entry["real_time"] = us;
      entry["cpu_time"] = us;
      entry["time_unit"] = "us";
      entry["label"] = answer.value("engine", run.name);
      entry["min_time"] = answer.value("min_us", us);
      entry["gflops"] = answer.value("gflops", 0.0);
    }
    return entry;
  }

  void add(Json entry) {
    if (entry.contains("skipped")) {
      std::fprintf(stderr, "\r\033[K%s: %s\n", entry["name"].get<std::string>().c_str(),
                   entry["error_message"].get<std::string>().c_str());
    }
    file_["benchmarks"].push_back(std::move(entry));
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void write(bool complete) {
    file_["context"]["complete"] = complete;
    file_["context"]["seconds"] = std::round(seconds());
    if (!options_.json.empty()) write_file(options_.json, file_);
    if (!options_.markdown.empty()) write_text(options_.markdown, markdown_table(file_));
  }

  void show_progress(std::size_t done) {
    const double left =
        done == 0 ? 0 : seconds() / static_cast<double>(done) * static_cast<double>(rows_.size() - done);
    char text[64];
    std::snprintf(text, sizeof text, "%zu/%zu, %.0f s left  ", done, rows_.size(), left);
    progress_.show(file_["context"]["set"], static_cast<double>(done) / static_cast<double>(rows_.size()),
                   text + (done == rows_.size() ? "" : rows_[done].plan.row.name));
  }

  void print_summary() const;

  using Clock = std::chrono::steady_clock;
  const SuiteOptions& options_;
  Gpu gpu_;
  std::vector<SuiteRow> rows_;
  std::vector<RowRunner> runners_;
  std::vector<PeerProcess> peers_;
  std::optional<Limits> limits_;
  Json file_;
  Clock::time_point start_ = Clock::now();
  tuning::Progress progress_;
};

void Suite::print_summary() const {
  std::fputs(summary(file_).c_str(), stdout);
  if (!gpu_.info) std::printf("The CPU part was measured. %s\n", gpu_.reason.c_str());
  if (options_.json.empty()) return;
  std::printf("%s\n  rondo-bench report %s --out page.html   # makes a page of it\n", options_.json.c_str(),
              options_.json.c_str());
}

}  // namespace

int run_suite(const SuiteOptions& options) {
  char name[] = "rondo-bench", interleave[] = "--benchmark_enable_random_interleaving=true";
  char* arguments[] = {name, interleave, nullptr};
  int count = 2;
  benchmark::Initialize(&count, arguments);
  unsetenv("RONDO_DEVICE");  // what the library chooses by itself is measured too
  struct sigaction stop = {};
  stop.sa_handler = [](int) { interrupted = 1; };
  stop.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  Suite suite(options);
  return suite.run();
}

}  // namespace bench
