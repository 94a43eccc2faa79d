// The subcommand bars.
#include "bench/bars/command.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/bars/page.h"
#include "bench/bars/tables.h"
#include "bench/result_file.h"
#include "tools/report/report.h"

namespace bench::bars {
namespace {

int list_sections() {
  for (const Section& section : bars().sections) {
    std::size_t rows = 0;
    for (const std::string& set : section.sets) rows += bars().set(set).rows.size();
    std::printf("%-16s %3zu rows, %s\n", section.name.c_str(), rows, section.about.c_str());
  }
  return 0;
}

// No row can be above its limit: where one is, the limit is wrong.
void warn_of_limits(const std::vector<JudgedSection>& sections) {
  for (const JudgedSection& section : sections) {
    for (const JudgedRow& row : section.rows) {
      if (row.share <= 1) continue;
      std::fprintf(stderr, "%s, %s: %.3f of its limit, which is a mistake in the limit\n",
                   section.section->name.c_str(), row.row->name.c_str(), row.share);
    }
  }
}

}  // namespace

Command::Command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bars", "Rondo beside its peers and its limits on the CPU: what it must reach");
  std::set<std::string> sections;
  for (const Section& section : bars().sections) sections.insert(section.name);
  command->add_option("--section", options_.sections, "only these sections of --list")
      ->check(CLI::IsMember(sections));
  command->add_option("--cell", options_.cells, "only these cells")
      ->check(CLI::IsMember({"lstm", "gru", "rnn"}));
  command->add_option("--filter", options_.filter, "only rows whose name has this in it");
  CLI::Option* quick = command->add_flag("--quick", options_.quick, "a look: fewer rows, 3 rounds of 0.01 s");
  command
      ->add_option("--rounds", options_.rounds, "how often each engine runs a row, in turn with the others")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->excludes(quick);
  command
      ->add_option("--seconds", options_.seconds,
                   "of an engine's samples in a round, where a run is not slower")
      ->check(CLI::Range(0.001, 60.0))
      ->capture_default_str()
      ->excludes(quick);
  CLI::Option* json =
      command->add_option("--json", options_.json, "a file for all times, written after each row");
  command->add_flag("--resume", options_.resume, "keep the rows that the file has")->needs(json);
  command->add_option("--markdown", markdown_, "a file for the tables");
  command->add_option("--html", html_, "a file for a page with plots");
  command->add_option("--from", from_, "judge this file of --json, and measure nothing")->excludes(json);
  command->add_flag("--list", list_, "the sections");
  command->footer(
      "Exit status: 0 all bars are held, 1 one is not or was not measured, 2 a mistake in the options or a\n"
      "damaged file, 130 interrupted (the rows that were done are kept).\n"
      "Examples:\n"
      "  rondo-bench bars --json bars.json --html bars.html\n"
      "  rondo-bench bars --quick --section inference-n1 --cell gru\n"
      "  rondo-bench bars --json bars.json --resume     # goes on after an interruption\n"
      "  rondo-bench bars --from bars.json --markdown bars.md");
  command_ = command;
}

std::optional<int> Command::run() const {
  if (!command_->parsed()) return std::nullopt;
  if (list_) return list_sections();
  try {
    MeasureOptions options = options_;
    if (options.quick) options.rounds = 3, options.seconds = 0.01;
    const Measured measured = from_.empty() ? measure(bars(), options) : Measured{read_record(from_)};
    const std::vector<JudgedSection> sections = judge(bars(), measured.record);
    std::fputs(terminal_text(sections, measured.record).c_str(), stdout);
    warn_of_limits(sections);
    if (!markdown_.empty()) write_text(markdown_, markdown(sections, measured.record));
    if (!html_.empty()) report::write_file(html_, page(sections, measured.record));
    if (measured.interrupted) {
      std::fprintf(stderr, "interrupted: the rows until then are kept\n");
      return 130;
    }
    return all_held(sections) ? 0 : 1;
  } catch (const FileError& error) {
    std::fprintf(stderr, "rondo-bench: %s\n", error.what());
    return 2;
  }
}

}  // namespace bench::bars
