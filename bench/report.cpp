// The page of results, put together.
#include "bench/report.h"

#include <cstdio>

#include "bench/report_parts.h"

namespace bench {
namespace {

using Maker = Plots (*)(const Results&);
using Table = void (*)(report::Page&, const Results&);

// In the order of the page; a table follows the plots that it belongs to.
struct Part {
  std::vector<std::string> names;
  Maker plots;
  Table table = nullptr;
};
const std::vector<Part>& parts() {
  static const std::vector<Part> all = {{{"crossover"}, crossover_plots, add_published_figures},
                                        {{"threads"}, thread_plots},
                                        {{"time-t", "time-h", "time-n"}, line_plots},
                                        {{"streaming"}, streaming_plots},
                                        {{"peers"}, peer_plots, add_peer_table},
                                        {{"limit"}, limit_plots},
                                        {{"regret"}, regret_plots, add_regret_table},
                                        {{"options"}, option_plots}};
  return all;
}

std::string title_of(const Results& results) {
  for (const ResultFile& file : results.files) {
    if (!file.context.complete()) return "Recurrent networks: which device is faster? (incomplete run)";
  }
  return "Recurrent networks: which device is faster?";
}

std::string page_of(const Results& results) {
  const Context& context = results.context();
  std::string subtitle = context.text("engine").empty() ? "Measured" : context.text("engine") + ", measured";
  if (!context.text("cpu").empty()) subtitle += " on " + context.text("cpu");
  report::Page page(title_of(results), subtitle);
  page.wide();
  add_facts(page, results);
  const std::vector<std::string> lines = headlines(results);
  if (!lines.empty()) page.heading("In short");
  for (const std::string& line : lines) page.paragraph(line);
  for (const Part& part : parts()) {
    const Plots plots = part.plots(results);
    for (const Plot& plot : plots) {
      page.heading(plot.heading);
      page.panels(plot.panels, plot.legend, plot.caption);
    }
    if (part.table != nullptr && !plots.empty()) part.table(page, results);
  }
  add_rows(page, results);
  return page.html();
}

std::string plot_of(const Results& results, const std::string& name) {
  for (const Part& part : parts()) {
    for (const Plot& plot : part.plots(results)) {
      if (plot.name != name) continue;
      if (plot.panels.front().empty()) {
        throw std::runtime_error(
            "no plot without gnuplot (on Debian and Ubuntu: sudo apt-get install gnuplot-nox)");
      }
      return report::side_by_side(plot.panels, plot.legend, plot.columns);
    }
  }
  throw report::InputError("--plot " + name + ": the files have no data for it");
}

}  // namespace

std::vector<std::string> plot_names() {
  std::vector<std::string> names;
  for (const Part& part : parts()) names.insert(names.end(), part.names.begin(), part.names.end());
  return names;
}

int run_report(const ReportOptions& options) {
  try {
    Results results = read_all(options.files);
    results.gpu = find_gpu_half(results, options.gpu);
    report::write_file(options.out, options.plot.empty() ? page_of(results) : plot_of(results, options.plot));
    std::printf("%s\n", options.out.c_str());
    return 0;
  } catch (const FileError& error) {
    std::fprintf(stderr, "rondo-bench: %s\n", error.what());
  } catch (const report::InputError& error) {
    std::fprintf(stderr, "rondo-bench: %s\n", error.what());
  }
  return 2;
}

}  // namespace bench
