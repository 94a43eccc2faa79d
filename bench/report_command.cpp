// The subcommands report and diff.
#include "bench/report_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/difference.h"

namespace bench {

ReportCommands::ReportCommands(CLI::App& app) {
  CLI::App* report = app.add_subcommand("report", "a page with plots from files of results and of regret");
  report->add_option("FILE", options_.files, "files of rondo-bench run --json and rondo-bench regret --json")
      ->required();
  report->add_option("--out", options_.out, "the page, one HTML file, or the plot")->capture_default_str();
  report->add_option(
      "--gpu", options_.gpu,
      "where the FILEs have no GPU: a file of results that has one, or \"published\" for a prediction "
      "from published figures (default: the newest such file under bench/results, else the latter)");
  report->add_option("--plot", options_.plot, "one plot alone, as SVG")->check(CLI::IsMember(plot_names()));
  report->footer(
      "Examples:\n"
      "  rondo-bench report results.json --out report.html\n"
      "  rondo-bench report results.json regret.json --gpu bench/results/h200.json --out report.html\n"
      "  rondo-bench report results.json --plot crossover --out crossover.svg");
  CLI::App* diff = app.add_subcommand("diff", "two files of results, row by row: what became slower");
  diff->add_option("OLD", old_, "a file of results")->required();
  diff->add_option("NEW", new_, "a later one")->required();
  diff->footer(
      "A row is slower only if the whole interval of its ratio is above 1.05.\n"
      "Exit status: 0 no regression, 1 a regression, 2 a file that cannot be used.\n"
      "Example:\n"
      "  rondo-bench diff before.json after.json");
  report_ = report;
  diff_ = diff;
}

std::optional<int> ReportCommands::run() const {
  if (report_->parsed()) return run_report(options_);
  if (diff_->parsed()) return run_difference(old_, new_, std::cout);
  return std::nullopt;
}

}  // namespace bench
