// rondo-bench: times Rondo on one shape, or on named sets of shapes by Google Benchmark.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bench/compare.h"
#include "bench/options.h"
#include "bench/report_command.h"
#include "bench/result.h"
#include "bench/rows.h"
#include "bench/shape_options.h"
#include "bench/shapes.h"
#include "bench/timing.h"
#include "bench/workload.h"

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

constexpr const char* kExamples =
    "Examples:\n"
    "  rondo-bench shape --cell gru --t 50 --n 32 --i 128 --h 128 --phase training --threads 2\n"
    "  rondo-bench shape --cell lstm --t 25 --n 32 --i 1024 --h 1024 --device cuda --math tf32 --graph\n"
    "  rondo-bench rows rows.txt                 # a line of shape's options for each; - reads stdin\n"
    "  rondo-bench run --set batch --cell lstm\n"
    "  rondo-bench run --set train --benchmark_repetitions=10 --benchmark_out=train.json\n"
    "  rondo-bench compare --json compare.json\n"
    "  rondo-bench options --json options.json   # what each option costs beside the plain cell\n"
    "  rondo-bench report results.json --out report.html\n"
    "  rondo-bench diff before.json after.json\n"
    "  rondo-bench list";

std::set<std::string> set_names() {
  std::set<std::string> names;
  for (const bench::NamedShape& shape : bench::kShapes) names.insert(shape.set);
  return names;
}

void list_shape(const bench::NamedShape& s) {
  std::printf("%-7s %-17s %-9s %5ld %3ld %4ld %4ld %2ld %s%s%s%s\n", s.set, s.name, s.phase, s.t, s.n, s.i,
              s.h, s.layers, s.reason, s.bidirectional ? " (bidirectional)" : "",
              s.cell != nullptr ? ", " : "", s.cell != nullptr ? s.cell : "");
}

void list_shapes() {
  std::printf("%-7s %-17s %-9s %5s %3s %4s %4s %2s %s\n", "set", "name", "phase", "T", "N", "I", "H", "L",
              "why");
  for (const bench::NamedShape& shape : bench::kShapes) list_shape(shape);
  for (const bench::NamedShape& shape : bench::kCompareShapes) list_shape(shape);
}

int run_shape(const bench::ShapeOptions& options) {
  rondo::set_num_threads(options.threads);
  const rondo::Device device = bench::resolve_device(options);
  const std::unique_ptr<bench::Workload> workload = bench::make_workload(options, device);
  const bench::Timing timing = bench::measure(*workload, options, device);
  std::printf("%s\n", bench::json_line(options, timing, bench::describe_runner(device, *workload)).c_str());
  return 0;
}

int run_rows(const std::string& file) {
  if (file == "-") return bench::run_rows(std::cin, std::cout), 0;
  std::ifstream rows(file);
  if (!rows) throw std::runtime_error("rows: cannot read " + file);
  bench::run_rows(rows, std::cout);
  return 0;
}

void register_shape(const bench::NamedShape& shape, const bench::ShapeOptions& common) {
  const bench::ShapeOptions options = bench::with_shape(common, shape);
  const std::string name = std::string(shape.name) + "/" + options.cell + "/" + options.dtype;
  benchmark::RegisterBenchmark(name.c_str(),
                               [options](benchmark::State& state) {
                                 const std::unique_ptr<bench::Workload> workload =
                                     bench::make_workload(options, bench::resolve_device(options));
                                 workload->run();
                                 workload->finish();
                                 // A repetition is so many runs and one wait for the device.
                                 std::int64_t runs = 0;
                                 for (auto _ : state) {
                                   workload->run();
                                   if (++runs == state.max_iterations) workload->finish();
                                 }
                                 state.SetLabel(workload->what());
                                 state.counters["GFLOP/s"] =
                                     benchmark::Counter(bench::flops(options) / 1e9,
                                                        benchmark::Counter::kIsIterationInvariantRate);
                               })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

// Google Benchmark's own options, `extras`, are passed on to it.
int run_sets(const bench::ShapeOptions& options, const std::vector<std::string>& cells,
             const std::set<std::string>& sets, std::vector<std::string> extras) {
  rondo::set_num_threads(options.threads);
  // Repetitions of all shapes in random order, so that a slow moment of the machine hits no single one.
  extras.insert(extras.begin(), {"rondo-bench", "--benchmark_enable_random_interleaving=true"});
  std::vector<char*> arguments;
  for (std::string& extra : extras) arguments.push_back(extra.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return kExitUsage;

  const bench::Runner runner = bench::describe_runner(bench::resolve_device(options));
  benchmark::AddCustomContext("engine", runner.engine);
  benchmark::AddCustomContext("device", runner.device + " (" + runner.device_name + ")");
  benchmark::AddCustomContext("isa", runner.isa);
  benchmark::AddCustomContext("threads", std::to_string(runner.threads));
  benchmark::AddCustomContext("math", options.math);
  for (const bench::NamedShape& shape : bench::kShapes) {
    if (!sets.contains(shape.set)) continue;
    for (const std::string& cell : cells) {
      bench::ShapeOptions with_cell = options;
      with_cell.cell = cell;
      register_shape(shape, with_cell);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

// The subcommand compare, its options bound to `options`.
CLI::App* add_compare(CLI::App& app, bench::CompareOptions& options) {
  std::set<std::string> names;
  for (const bench::NamedShape& shape : bench::kCompareShapes) names.insert(shape.name);
  CLI::App* compare =
      app.add_subcommand("compare", "a table of CPU, GPU and the library's own choice, calls by Rnn");
  compare->add_option("--shapes", options.shapes, "names of shapes (default: all)")
      ->check(CLI::IsMember(names));
  compare->add_option("--threads", options.threads, "threads on the CPU (default: all)")
      ->check(CLI::Range(1, 4096));
  compare->add_option("--dtype", options.dtype, "f32 or f64")->check(CLI::IsMember({"f32", "f64"}));
  compare->add_option("--json", options.json, "a file to write the results to");
  return compare;
}

CLI::App* add_options(CLI::App& app, bench::OptionsRun& run) {
  CLI::App* options = app.add_subcommand("options", "every option beside the plain cell, on the CPU");
  options->add_option("--threads", run.threads, "threads")->check(CLI::Range(1, 4096));
  options->add_option("--t", run.t, "steps")->check(CLI::Range(1, 1000000));
  options->add_option("--h", run.h, "hidden size, and input size")->check(CLI::Range(2, 65536));
  options->add_option("--names", run.names, "options by name (default: all)");
  options->add_option("--json", run.json, "a file to write the results to");
  return options;
}

int run_program(int argc, char** argv) {
  CLI::App app("Times Rondo's recurrent networks.", "rondo-bench");
  app.footer(kExamples);
  app.require_subcommand(1);

  bench::ShapeOptions options;
  CLI::App* shape = app.add_subcommand("shape", "one shape; prints one line of JSON");
  bench::add_shape_options(*shape, options);

  std::string rows_file;
  CLI::App* rows =
      app.add_subcommand("rows", "many shapes; prints one line of JSON each, or {\"error\": ...}");
  rows->add_option("FILE", rows_file, "a file with the options of shape on each line; - is stdin")
      ->required();

  const std::set<std::string> all_sets = set_names();
  const std::vector<std::string> all_cells = {"lstm", "gru", "rnn"};
  std::vector<std::string> sets(all_sets.begin(), all_sets.end());
  std::vector<std::string> cells = all_cells;
  CLI::App* run = app.add_subcommand("run", "sets of named shapes; takes Google Benchmark's options too");
  run->add_option("--set", sets, "sets to run (default: all)")->check(CLI::IsMember(all_sets));
  run->add_option("--cell", cells, "cells to run (default: all)")->check(CLI::IsMember(all_cells));
  bench::add_run_options(*run, options);
  run->allow_extras();
  bench::CompareOptions compare_options;
  const CLI::App* compare = add_compare(app, compare_options);
  bench::OptionsRun options_run;
  const CLI::App* option_rows = add_options(app, options_run);
  const bench::ReportCommands reports(app);
  const CLI::App* list = app.add_subcommand("list", "the named shapes, and why each is there");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const std::optional<int> status = reports.run()) return *status;
  if (list->parsed()) return list_shapes(), 0;
  if (shape->parsed()) return run_shape(options);
  if (rows->parsed()) return run_rows(rows_file);
  if (option_rows->parsed()) return bench::run_options(options_run), 0;
  if (compare->parsed()) return bench::compare(compare_options), 0;
  return run_sets(options, cells, std::set<std::string>(sets.begin(), sets.end()), run->remaining());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const rondo::InvalidArgument& error) {
    std::fprintf(stderr, "rondo-bench: %s\n", error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rondo-bench: %s\n", error.what());
    return kExitFailed;
  }
}
