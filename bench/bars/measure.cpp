// Section after section, row by row; the file is written anew after each row.
#include "bench/bars/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "bench/bars/alone.h"
#include "bench/bars/elsewhere.h"
#include "bench/bars/engines.h"
#include "bench/bars/tables.h"
#include "bench/context.h"
#include "bench/result_file.h"
#include "tuning/progress.h"

namespace bench::bars {
namespace {

volatile std::sig_atomic_t interrupted = 0;

constexpr int kMostBatches = 3;  // of rounds of a row

struct Task {
  const ShapeSet* set = nullptr;
  const SetRow* row = nullptr;
  std::set<By> by = {};
  std::set<int> threads = {};          // of peers
  std::set<std::string> runners = {};  // without which the row is not complete
};

bool wanted(const std::set<std::string>& only, const std::string& name) {
  return only.empty() || only.contains(name);
}

// What the sections asked for need of a set.
Task needs_of(const Bars& bars, const MeasureOptions& options, const ShapeSet& set) {
  Task task{.set = &set};
  for (const Section& section : bars.sections) {
    const bool judges = std::count(section.sets.begin(), section.sets.end(), set.name) > 0;
    if (!judges || !wanted(options.sections, section.name)) continue;
    task.by.insert(section.by);
    if (section.by != By::kPeers) {
      task.runners.insert(section.what);
      continue;
    }
    task.threads.insert(section.threads);
    if (section.own || section.better_threads) task.threads.insert(1);
  }
  for (const int count : task.threads) task.runners.insert(runner_name(kOwn, count));
  return task;
}

// The rows of the sections asked for, each once.
std::vector<Task> tasks_of(const Bars& bars, const MeasureOptions& options) {
  std::vector<Task> tasks;
  for (const ShapeSet& set : bars.sets) {
    Task task = needs_of(bars, options, set);
    if (task.by.empty()) continue;
    for (const SetRow& row : set.rows) {
      const bool of_look = !options.quick || !task.by.contains(By::kPeers) ||
                           std::count(bars.quick_h.begin(), bars.quick_h.end(), row.shape.h) > 0;
      if (!of_look || !wanted(options.cells, row.shape.cell)) continue;
      if (row.name.find(options.filter) == std::string::npos) continue;
      task.row = &row;
      tasks.push_back(task);
    }
  }
  if (tasks.empty()) throw rondo::InvalidArgument("no row fits --section, --cell, --filter and --quick");
  return tasks;
}

// A limit is what no moment of the machine exceeds.
Limits best_limits() {
  Limits best = measure_limits();
  for (int again = 0; again < 2; ++again) {
    const Limits next = measure_limits();
    for (double Limits::*rate : {&Limits::flops_per_us, &Limits::l1_bytes_per_us, &Limits::l2_bytes_per_us,
                                 &Limits::far_bytes_per_us, &Limits::activations_per_us}) {
      best.*rate = std::max(best.*rate, next.*rate);
    }
  }
  return best;
}

class Measurement {
 public:
  Measurement(const Bars& bars, const MeasureOptions& options)
      : bars_(bars), options_(options), tasks_(tasks_of(bars, options)), engines_(all_threads(tasks_)) {
    Json& context = result_.record.context = run_context({.info = {}, .reason = "not asked for"});
    context["limits"] = json_of(best_limits());
    context["peers"] = engines_.peers();
    context["rounds"] = options.rounds;
    context["seconds_each"] = options.seconds;
    context["sections"] = Json::array();
    for (const Section& section : bars.sections) {
      if (wanted(options.sections, section.name)) context["sections"].push_back(section.name);
    }
    for (const Json& peer : engines_.peers()) {
      if (!peer.at("version").is_null()) continue;
      std::fprintf(stderr, "without %s: %s\n", peer.at("name").get<std::string>().c_str(),
                   peer.at("note").get<std::string>().c_str());
    }
    if (options.resume) resume();
    for (const Task& task : tasks_) work_ += cost(task);
  }

  Measured run() {
    write_now(false);  // in place of an older run's file from the start
    double done = 0;
    std::size_t count = 0;
    for (const Task& task : tasks_) {
      show_progress(done, count, task.row->name);
      measure(task);
      if (interrupted != 0) break;
      done += cost(task);
      ++count;
      write_now(count == tasks_.size());
    }
    tuning::Progress::end();
    write_now(count == tasks_.size());
    result_.interrupted = interrupted != 0;
    return std::move(result_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::set<int> all_threads(const std::vector<Task>& tasks) {
    std::set<int> all = {1};  // by which a step is measured
    for (const Task& task : tasks) all.insert(task.threads.begin(), task.threads.end());
    return all;
  }

  void measure(const Task& task) {
    Row row{.set = task.set->name, .name = task.row->name, .shape = task.row->shape};
    auto seed = static_cast<unsigned>(std::hash<std::string>{}(row.set + row.name));
    for (int batch = 0; batch < kMostBatches && (batch == 0 || is_open(task, row)); ++batch) {
      const Effort effort{options_.rounds, options_.seconds, seed++};
      for (const By by : task.by) {
        if (!measure(task, by, row, effort)) return;
      }
    }
    result_.record.rows.push_back(std::move(row));
  }
  bool measure(const Task& task, By by, Row& row, const Effort& effort) {
    const Stopped stopped = [] { return interrupted != 0; };
    switch (by) {
      case By::kPeers:
        return engines_.time(row, Engines::Who::kPeers, task.threads, effort, stopped);
      case By::kSteps:
        return engines_.time(row, Engines::Who::kBare, {1}, effort, stopped);
      case By::kOptions:
        return time_option(row, task.row->option, effort, stopped);
      case By::kRagged:
        return time_ragged(row, effort, stopped);
      case By::kCalls:
        return time_calls(row, effort, stopped);
      case By::kStart:
        return time_start(row, effort, stopped);
      case By::kMemory:
        return measure_memory(row, effort, stopped);
    }
    return false;
  }
  // Whether more rounds may settle a verdict that the noise leaves open.
  bool is_open(const Task& task, const Row& row) const {
    if (task.by.contains(By::kStart) || task.by.contains(By::kMemory)) return false;
    const Record alone{.context = result_.record.context, .rows = {row}};
    for (const JudgedSection& section : judge(bars_, alone)) {
      for (const JudgedRow& judged : section.rows) {
        if (judged.undecided) return true;
      }
    }
    return false;
  }

  // Rows that the file has, with all that is asked for now, are not measured again.
  void resume() {
    if (options_.json.empty()) throw rondo::InvalidArgument("--resume: expected with --json FILE");
    if (!std::filesystem::exists(options_.json)) return;
    const Record before = read_record(options_.json);
    Json& context = result_.record.context;
    for (const char* fact : {"engine", "cpu", "isa", "commit", "peers", "rounds", "seconds_each"}) {
      const nlohmann::json was = before.context.value(fact, Json());  // without an order of keys
      if (was == nlohmann::json(context[fact])) continue;
      throw rondo::InvalidArgument("--resume: " + options_.json + " has " + fact + " " + was.dump() +
                                   ", this run " + context[fact].dump());
    }
    for (const Row& row : before.rows) keep(row);
    for (const Json& section : before.context.value("sections", Json::array())) {
      auto& asked = context["sections"];
      if (std::find(asked.begin(), asked.end(), section) == asked.end()) asked.push_back(section);
    }
    context["limits"] = before.context.at("limits");
  }
  void keep(const Row& row) {
    const auto task = std::find_if(tasks_.begin(), tasks_.end(), [&](const Task& one) {
      return one.set->name == row.set && one.row->name == row.name;
    });
    if (task != tasks_.end()) {
      for (const std::string& runner : task->runners) {
        if (!row.rounds.contains(runner) && !row.errors.contains(runner)) return;
      }
      tasks_.erase(task);
    }
    result_.record.rows.push_back(row);
  }

  // About how many microseconds a row takes.
  double cost(const Task& task) const {
    const double least = limit_us(task.row->shape, result_.record.limits());
    if (task.by.contains(By::kMemory)) return 12 * least + 1e7;
    const bool steps = task.by.contains(By::kSteps);
    const auto engines = static_cast<double>(std::max<std::size_t>(steps ? 2 : 1, 3 * task.threads.size()));
    constexpr double kStart = 5e4;  // of a process and its network
    const double start = steps || task.by.contains(By::kPeers) ? kStart : 0;
    return engines * options_.rounds * (start + 1.5e6 * options_.seconds + 4 * least);
  }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void show_progress(double done, std::size_t count, const std::string& next) {
    char text[64];
    std::snprintf(text, sizeof text, "%zu/%zu, %.0f s left  ", count, tasks_.size(),
                  done > 0 ? seconds() / done * (work_ - done) : 0);
    progress_.show("bars", done / work_, text + next);
  }
  void write_now(bool complete) {
    Json& context = result_.record.context;
    context["complete"] = complete;
    context["seconds"] = std::round(seconds());
    const double share = elsewhere_.share(seconds());
    context["busy_elsewhere"] = std::round(1000 * share) / 1000;
    if (!options_.json.empty()) write(options_.json, bars_, result_.record);
  }

  const Bars& bars_;
  const MeasureOptions& options_;
  Clock::time_point start_ = Clock::now();
  Elsewhere elsewhere_;
  std::vector<Task> tasks_;
  Engines engines_;
  Measured result_;
  double work_ = 0;
  tuning::Progress progress_;
};

}  // namespace

Measured measure(const Bars& bars, const MeasureOptions& options) {
  unsetenv("RONDO_DEVICE");
  struct sigaction stop = {};
  stop.sa_handler = [](int) { interrupted = 1; };
  stop.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  Measurement measurement(bars, options);
  return measurement.run();
}

void write(const std::string& path, const Bars& bars, const Record& record) {
  Json json = to_json(record);
  json["sections"] = verdicts(judge(bars, record));
  write_file(path, json);
}

}  // namespace bench::bars
