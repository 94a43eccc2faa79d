// Times against the sizes, a line a runner.
#include <algorithm>
#include <cmath>
#include <set>

#include "bench/report_parts.h"

namespace bench {
namespace {

double x_of(const Case& what, Vary vary) {
  return static_cast<double>(vary == Vary::kT ? what.t : vary == Vary::kN ? what.n : what.h);
}

// Powers of ten from below the least to above the largest.
report::Ticks time_ticks() {
  report::Ticks ticks;
  for (int power = -2; power <= 9; ++power) {
    static const char* kNames[] = {"10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms",
                                   "10 ms", "100 ms", "1 s",  "10 s",  "100 s",  "1000 s"};
    ticks.emplace_back(std::pow(10, power), kNames[power + 2]);
  }
  return ticks;
}

std::string title_of(const Case& what) {
  std::string title = cell_name(what.cell) + " " + what.phase;
  if (what.t > 0 && what.phase != "step") title += ", T " + std::to_string(what.t);
  if (what.n > 0) title += ", N " + std::to_string(what.n);
  if (what.h > 0) title += ", H " + std::to_string(what.h);
  if (what.layers > 1) title += ", " + std::to_string(what.layers) + " layers";
  return title;
}

// Rondo's own first, in the order in which a reader asks for them.
std::vector<std::string> ordered_runners(const Results& results, const std::vector<Group>& groups) {
  std::set<std::string> names;
  for (const Group& group : groups) {
    for (const Case& what : group.cases) {
      for (const auto& [runner, row] : results.cases.at(what)) names.insert(runner);
    }
  }
  names.erase("auto");  // lies on one of the others
  std::vector<std::string> order(names.begin(), names.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const std::string& a, const std::string& b) { return is_peer(a) < is_peer(b); });
  return order;
}

struct Lines {
  std::vector<report::Series> series;
  std::set<double> sizes;
};

// per_step: times of one step, where a row is of several.
Lines lines_of(const Results& results, const Group& group, Vary vary,
               const std::vector<std::string>& runners) {
  Lines lines;
  const auto time_of = [&](const Case& what, double us) {
    return what.phase == "step" ? us / static_cast<double>(what.t) : us;
  };
  for (const std::string& runner : runners) {
    report::Series series{.label = "", .color = runner_color(runner), .mark = report::Mark::kLinePoints};
    for (const Case& what : group.cases) {
      const Row* row = find_row(results.cases.at(what), runner);
      if (row == nullptr) continue;
      series.label = runner_name(runner, row->threads);
      series.x.push_back(x_of(what, vary));
      series.y.push_back(time_of(what, row->us));
    }
    lines.sizes.insert(series.x.begin(), series.x.end());
    if (series.x.size() > 1) lines.series.push_back(series);
  }
  if (results.gpu.from == GpuHalf::From::kSameRun || results.gpu.from == GpuHalf::From::kNone) return lines;
  report::Series gpu{.label = results.gpu.measured() ? "GPU, another run" : "GPU, predicted",
                     .color = report::palette::kOrange,
                     .mark = report::Mark::kDashedLine};
  for (const Case& what : group.cases) {
    const std::optional<double> us = gpu_us(results, what);
    if (!us) continue;
    gpu.x.push_back(x_of(what, vary));
    gpu.y.push_back(time_of(what, *us));
  }
  if (gpu.x.size() > 1) lines.series.push_back(gpu);
  return lines;
}

std::string panel(const Lines& lines, const std::string& title, const std::string& x_label) {
  report::Chart chart{
      .x_label = x_label, .y_label = "", .series = lines.series, .log_y = true, .height = 280, .width = 360};
  chart.title = title;
  chart.log_x = true;
  chart.x_room = 0.12;
  chart.y_ticks = time_ticks();
  double least = 1e300, most = 0;
  for (const report::Series& series : lines.series) {
    least = std::min(least, *std::min_element(series.y.begin(), series.y.end()));
    most = std::max(most, *std::max_element(series.y.begin(), series.y.end()));
  }
  // Whole powers of ten, and a little more, lest gnuplot round the last of them away.
  chart.low_y = std::pow(10, std::floor(std::log10(least))) * 0.98;
  chart.high_y = std::pow(10, std::ceil(std::log10(most))) * 1.02;
  // Sizes that stand too near one another would be written over one another.
  const double apart = std::max(1.45, std::pow(*lines.sizes.rbegin() / *lines.sizes.begin(), 0.13));
  double last = 0;
  for (double size : lines.sizes) {
    if (size < last * apart) continue;
    chart.x_ticks.emplace_back(size, report::fixed(size, 0));
    last = size;
  }
  return draw(chart);
}

struct Panels {
  std::vector<std::string> svgs;
  report::Legend legend;
};

void add_to(report::Legend& legend, const Lines& lines) {
  for (const report::Series& series : lines.series) {
    const std::pair<std::string, std::string> key(series.label, series.color);
    if (std::find(legend.begin(), legend.end(), key) == legend.end()) legend.push_back(key);
  }
}

Panels panels(const Results& results, Vary vary, bool steps, const std::string& x_label) {
  const auto chosen = groups(results, vary, [&](const Case& what) {
    return what.option.empty() && (what.phase == "step") == steps;
  });
  Panels made;
  const std::vector<std::string> runners = ordered_runners(results, chosen);
  for (const Group& group : chosen) {
    const Lines lines = lines_of(results, group, vary, runners);
    if (lines.series.empty()) continue;
    made.svgs.push_back(panel(lines, title_of(group.what), x_label));
    add_to(made.legend, lines);
  }
  return made;
}

}  // namespace

Plots line_plots(const Results& results) {
  const std::string caption = " Both axes are logarithmic; a line is a runner, lower is faster.";
  Plots plots;
  const auto add = [&](Vary vary, const char* name, const char* heading, const char* label,
                       const char* says) {
    const Panels made = panels(results, vary, false, label);
    if (made.svgs.empty()) return;
    plots.push_back({.name = name,
                     .heading = heading,
                     .panels = made.svgs,
                     .caption = says + caption,
                     .legend = made.legend});
  };
  add(Vary::kT, "time-t", "Time against the length", "T, steps",
      "The time of a pass as sequences get longer.");
  add(Vary::kH, "time-h", "Time against the size", "H, hidden units",
      "The time of a pass as the network gets wider.");
  add(Vary::kN, "time-n", "Time against the batch", "N, rows",
      "The time of a pass as the batch gets larger.");
  return plots;
}

Plots streaming_plots(const Results& results) {
  const Panels made = panels(results, Vary::kH, true, "H, hidden units");
  if (made.svgs.empty()) return {};
  return {{.name = "streaming",
           .heading = "Streaming: the time of one step",
           .panels = made.svgs,
           .caption = "Live data, one step a call, as the network gets wider. Both axes are logarithmic.",
           .legend = made.legend}};
}

}  // namespace bench
