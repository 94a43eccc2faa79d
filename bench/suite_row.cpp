// Google Benchmark's repetitions of all runners of a row, in random order, collected by a reporter of our
// own.
#include "bench/suite_row.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>

#include "bench/options.h"
#include "rondo/calibration.h"
#include "tuning/measure.h"

namespace bench {
namespace {

constexpr const char* kVoid = "void";  // the counter of a repetition in which not all was run
constexpr double kMostUs = 1e7;        // a run on the CPU that is estimated to take longer is left out

rondo::Work work_of(const ShapeOptions& shape, bool on_host) {
  return {.config = config_of(shape),
          .phase = shape.phase == "training" ? rondo::Phase::kTraining : rondo::Phase::kInference,
          .t = shape.phase == "step" ? 1 : shape.t,
          .n = shape.n,
          .data_on_host = on_host,
          .parameters_on_host = on_host,
          .from_zeros = shape.phase == "inference"};
}

// A runner with its workload, once that has run.
struct Ready {
  std::unique_ptr<Workload> workload;
  double first_us = 0;
};

std::unique_ptr<Workload> make(const RowPlan& plan, const RowRunner& runner, rondo::Device device,
                               bool level_one) {
  const ShapeOptions& shape = plan.row.shape;
  if (plan.of_options) return make_option_workload(shape, plan.row.option);
  if (level_one && shape.phase != "step") return std::make_unique<RnnWorkload>(shape, runner.device);
  return make_workload(shape, device);
}

double microseconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// By the model: of those that can run it the fastest, with arrays where the row has them.
rondo::Device fastest_device(const rondo::Work& work, const rondo::Calibration& calibration) {
  const rondo::Advice advice = rondo::advise(work.config, work.phase, work.t, work.n);
  if (work.data_on_host) return advice.device;
  rondo::Device best = advice.device;
  double least = 0;
  for (const rondo::Advice::Prediction& p : advice.devices) {
    if (!p.support.ok) continue;
    const bool cpu = p.info.device.kind == rondo::Device::Kind::kCpu;
    const double us = cpu ? p.us : rondo::predict_us(work, calibration.cuda);
    if (least > 0 && us >= least) continue;
    best = p.info.device;
    least = us;
  }
  return best;
}

// The runner's device; for auto the library's choice, which is asked for without running anything.
rondo::Device choose(const RowPlan& plan, RowResult& result) {
  const RowRunner& runner = result.runner;
  const rondo::Work work = work_of(plan.row.shape, !plan.on_device);
  const rondo::Calibration calibration = rondo::calibration();
  const bool automatic = !runner.device;
  const rondo::Device device = automatic ? fastest_device(work, calibration) : *runner.device;
  const bool cpu = device.kind == rondo::Device::Kind::kCpu;
  const int threads =
      automatic ? rondo::choose_threads(work, calibration.cpu, runner.threads) : runner.threads;
  const double steps = plan.row.shape.phase == "step" ? static_cast<double>(plan.row.shape.t) : 1;
  result.predicted_us = steps * (cpu ? rondo::predict_us(work, calibration.cpu, threads)
                                     : rondo::predict_us(work, calibration.cuda));
  if (automatic) result.chosen = !cpu ? rondo::to_string(device) : threads == 1 ? "cpu/1" : "cpu";
  return device;
}

// Makes it and runs it once; what goes wrong is the row's result and ends no other.
Ready prepare(const RowPlan& plan, bool level_one, RowResult& result) {
  const RowRunner& runner = result.runner;
  try {
    const rondo::Device device = choose(plan, result);
    if (device.kind == rondo::Device::Kind::kCpu && result.predicted_us > kMostUs) {
      result.estimate_us = result.predicted_us;
      result.error = "left out: a run is estimated to take " +
                     std::to_string(std::lround(result.predicted_us / 1e6)) + " s, over 10 s";
      return {};
    }
    const tuning::SideSettings settings(runner.threads, runner.all_threads);
    Ready ready{make(plan, runner, device, level_one)};
    ready.first_us = microseconds([&] { ready.workload->run(), ready.workload->finish(); });
    if (ready.first_us < 1e5) {  // the first run has costs of its own
      ready.first_us = microseconds([&] { ready.workload->run(), ready.workload->finish(); });
    }
    result.label = ready.workload->path();
    if (result.label.empty()) result.label = ready.workload->what();
    return ready;
  } catch (const std::bad_alloc&) {
    result.error = "out of memory";
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  return {};
}

class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::vector<RowResult>& results) : results_(results) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      for (RowResult& result : results_) {
        if (run.run_name.function_name != result.runner.name) continue;
        if (run.counters.at(kVoid) > 0) continue;
        result.samples_us.push_back(run.GetAdjustedRealTime());
        result.cpu_us = run.GetAdjustedCPUTime();
        result.iterations = static_cast<long>(run.iterations);
      }
    }
  }

 private:
  std::vector<RowResult>& results_;
};

// What goes wrong, or is not begun any more, leaves the loop empty: Google Benchmark 1.7 ends the program
// when only some repetitions of a benchmark have an error.
void measure(benchmark::State& state, Workload& workload, RowResult& result, bool (*stopped)()) {
  const tuning::SideSettings settings(result.runner.threads, result.runner.all_threads);
  bool go_on = result.error.empty() && !stopped();
  std::int64_t runs = 0;
  for (auto _ : state) {
    if (!go_on) continue;
    try {
      workload.run();
      if (++runs == state.max_iterations) workload.finish();
    } catch (const std::exception& error) {
      result.error = error.what();
      go_on = false;
    }
  }
  state.counters[kVoid] = go_on ? 0 : 1;
}

}  // namespace

std::vector<RowResult> run_row(const RowPlan& plan, const std::vector<RowRunner>& runners) {
  bool gpu = false;
  for (const RowRunner& runner : runners) {
    gpu = gpu || (runner.device && runner.device->kind == rondo::Device::Kind::kCuda);
  }
  std::vector<RowResult> results;
  for (const RowRunner& runner : runners) results.push_back({.runner = runner});
  std::vector<Ready> ready;
  double round_us = 0;
  for (RowResult& result : results) {
    if (plan.stopped()) return {};
    ready.push_back(prepare(plan, gpu && !plan.on_device, result));
    round_us += ready.back().first_us;
  }
  // Seven repetitions that fit the time, three of slow runs, one of very slow ones.
  const double budget_us = plan.seconds * 1e6;
  const int repetitions = round_us * 7 < 3 * budget_us ? 7 : round_us < 2e6 ? 3 : 1;
  const auto running =
      std::count_if(ready.begin(), ready.end(), [](const Ready& r) { return r.workload != nullptr; });
  const double each = plan.seconds / (1.3 * repetitions * std::max<double>(1, static_cast<double>(running)));
  benchmark::ClearRegisteredBenchmarks();
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!ready[i].workload) continue;
    benchmark::RegisterBenchmark(
        results[i].runner.name.c_str(),
        [&workload = *ready[i].workload, &result = results[i],
         stopped = plan.stopped](benchmark::State& state) { measure(state, workload, result, stopped); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime()
        ->Repetitions(repetitions)
        ->MinTime(std::max(each, 1e-4));
  }
  Collector collector(results);
  if (running > 0) benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  return results;
}

}  // namespace bench
