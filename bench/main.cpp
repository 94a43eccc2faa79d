// rondo-bench: times Rondo on one shape, or on named sets of shapes, and shows what came of it.
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

#include "bench/bars/command.h"
#include "bench/compare.h"
#include "bench/once.h"
#include "bench/regret.h"
#include "bench/report_command.h"
#include "bench/result.h"
#include "bench/rows.h"
#include "bench/sets.h"
#include "bench/shape_options.h"
#include "bench/suite.h"
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
    "  rondo-bench run small --json small.json --markdown small.md\n"
    "  rondo-bench run deepbench-train --device cuda --dtype bf16 --data device --json train.json\n"
    "  rondo-bench compare --json compare.json\n"
    "  rondo-bench run options --phase training   # what each option costs beside the plain cell\n"
    "  rondo-bench regret --json regret.json\n"
    "  rondo-bench bars --quick                   # beside peers and limits: what Rondo must reach on the "
    "CPU\n"
    "  rondo-bench report results.json --out report.html\n"
    "  rondo-bench diff before.json after.json\n"
    "  rondo-bench list";

int list_sets(const std::string& only) {
  for (const bench::ShapeSet& set : bench::shape_sets()) {
    if (!only.empty() && only != set.name) continue;
    std::printf("%s: %zu rows, %s (%s)\n", set.name.c_str(), set.rows.size(), set.about.c_str(),
                set.origin.c_str());
    if (only.empty()) continue;
    for (const bench::SetRow& row : set.rows) {
      const bench::ShapeOptions& s = row.shape;
      std::printf("  %-34s %-4s %-9s T %-4ld N %-3ld I %-4ld H %-4ld L %ld%s  %s\n", row.name.c_str(),
                  s.cell.c_str(), s.phase.c_str(), s.t, s.n, s.i, s.h, s.layers,
                  s.bidirectional ? " bidirectional" : "", row.why.c_str());
    }
  }
  if (!only.empty()) bench::shape_set(only);  // an error, where there is none
  return 0;
}

int run_shape(const bench::ShapeOptions& options) {
  rondo::set_num_threads(options.threads);
  if (!options.once.empty()) {
    std::printf("%s\n", bench::once_line(options).c_str());
    return 0;
  }
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

// The subcommand compare, its options bound to `options`.
CLI::App* add_compare(CLI::App& app, bench::CompareOptions& options) {
  std::set<std::string> names;
  for (const bench::SetRow& row : bench::shape_set("compare").rows) names.insert(row.name);
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

CLI::App* add_run(CLI::App& app, bench::SuiteOptions& o) {
  CLI::App* run = app.add_subcommand("run", "sets of shapes on the CPU, on a GPU and as the library chooses");
  std::set<std::string> names;
  for (const bench::ShapeSet& set : bench::shape_sets()) names.insert(set.name);
  run->add_option("SET", o.sets, "sets of rondo-bench list")->required()->check(CLI::IsMember(names));
  run->add_option("--cell", o.cells, "only these cells")->check(CLI::IsMember({"lstm", "gru", "rnn"}));
  run->add_option("--phase", o.phases, "only these phases")
      ->check(CLI::IsMember({"inference", "training", "step"}));
  run->add_option("--filter", o.filter, "only rows whose name has this in it");
  run->add_option("--dtype", o.dtype, "element type")->check(CLI::IsMember({"f32", "f64", "f16", "bf16"}));
  run->add_option("--math", o.math, "whether products of f32 may be TF32")
      ->check(CLI::IsMember({"strict", "tf32"}));
  run->add_option("--data", o.data, "where a GPU's arrays lie; host: copies are part of a run")
      ->check(CLI::IsMember({"host", "device"}));
  run->add_option("--device", o.devices, "who runs the rows, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->default_str("cpu,cuda,auto");
  run->add_flag("!--no-peers", o.peers, "no other engine, installed or not");
  run->add_flag("--peers-on-all-threads", o.peers_on_all_threads,
                "other engines on all threads too, not on one alone");
  run->add_option("--seconds", o.row_seconds, "for the runs of Rondo of one row, where a run is not slower")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
  run->add_option("--json", o.json, "a file for the results, in Google Benchmark's format");
  run->add_option("--markdown", o.markdown, "a file for a table of them");
  return run;
}

CLI::App* add_regret(CLI::App& app, bench::RegretOptions& o) {
  CLI::App* regret =
      app.add_subcommand("regret", "how far the choice of a device is from the best, over 200 shapes");
  regret->add_option("--seconds", o.tune_seconds, "for the measurements that the choice is fitted to")
      ->check(CLI::Range(0.1, 30.0))
      ->capture_default_str();
  regret->add_option("--shapes", o.shapes, "how many shapes to score (default: all)")
      ->check(CLI::Range(1, 100000));
  regret->add_option("--rounds", o.rounds, "how often all shapes are measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  regret->add_option("--json", o.json, "a file to write the results to");
  return regret;
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

  bench::SuiteOptions suite;
  const CLI::App* run = add_run(app, suite);
  bench::RegretOptions regret_options;
  const CLI::App* regret = add_regret(app, regret_options);
  bench::CompareOptions compare_options;
  const CLI::App* compare = add_compare(app, compare_options);
  const bench::ReportCommands reports(app);
  const bench::bars::Command bars(app);
  std::string set;
  CLI::App* list = app.add_subcommand("list", "the sets, or the rows of one and why they are there");
  list->add_option("SET", set, "a set");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const std::optional<int> status = reports.run()) return *status;
  if (const std::optional<int> status = bars.run()) return *status;
  if (list->parsed()) return list_sets(set);
  if (shape->parsed()) return run_shape(options);
  if (rows->parsed()) return run_rows(rows_file);
  if (compare->parsed()) return bench::compare(compare_options), 0;
  if (run->parsed()) return bench::run_suite(suite);
  if (regret->parsed()) return bench::run_regret(regret_options);
  return kExitUsage;
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
