// Shares: of the machine's limit, and of the best choice (regret).
#include <algorithm>
#include <cmath>
#include <set>

#include "bench/report_parts.h"

namespace bench {
namespace {

struct Share {
  const Row* row = nullptr;
  double share = 0;  // of what one thread can do at most
};

std::vector<Share> shares(const Results& results) {
  std::vector<Share> all;
  for (const auto& [what, runners] : results.cases) {
    const Row* row = find_row(runners, "cpu/1");
    if (row != nullptr && row->limit_us) all.push_back({row, *row->limit_us / row->us});
  }
  return all;
}

const char* color_of_cell(const std::string& cell) {
  using namespace report::palette;
  return cell == "lstm" ? kBlue : cell == "gru" ? kGreen : kPurple;
}

// A column of dots for each H, the cells of it side by side.
std::string limit_panel(const std::vector<Share>& all, const std::string& phase) {
  std::set<std::int64_t> units;
  std::set<std::string> cells;
  double highest = 1.1;
  for (const Share& share : all) {
    if (share.row->what.phase != phase) continue;
    units.insert(share.row->what.h);
    cells.insert(share.row->what.cell);
    highest = std::max(highest, share.share * 1.05);
  }
  report::Chart chart{
      .x_label = "H, hidden units", .y_label = "share of the limit", .height = 280, .width = 360};
  chart.title = phase;
  chart.low_y = 0;
  chart.high_y = highest;
  chart.x_room = 0.04;
  for (const std::string& cell : cells) {
    report::Series series{.label = "", .color = color_of_cell(cell), .mark = report::Mark::kDots};
    const auto shift = static_cast<double>(chart.series.size()) - 0.5 * static_cast<double>(cells.size() - 1);
    for (const Share& share : all) {
      if (share.row->what.phase != phase || share.row->what.cell != cell) continue;
      const auto place = std::distance(units.begin(), units.find(share.row->what.h));
      series.x.push_back(static_cast<double>(place) + 0.2 * shift);
      series.y.push_back(share.share);
    }
    chart.series.push_back(series);
  }
  chart.series.push_back({.label = "",
                          .color = report::palette::kInk,
                          .mark = report::Mark::kDashedLine,
                          .x = {-0.4, static_cast<double>(units.size()) - 0.6},
                          .y = {1, 1}});
  for (std::int64_t h : units) chart.x_ticks.emplace_back(chart.x_ticks.size(), std::to_string(h));
  return draw(chart);
}

std::string regret_curve(const std::vector<std::pair<std::string, std::vector<double>>>& curves) {
  report::Chart chart{
      .x_label = "cases, from the best choice to the worst (%)", .y_label = "regret (%)", .height = 320};
  chart.low_y = 0;
  double highest = 30;
  const char* colors[] = {report::palette::kBlue, report::palette::kPurple, report::palette::kTeal,
                          report::palette::kBrown};
  for (const auto& [label, regrets] : curves) {
    report::Series series{.label = label, .color = colors[chart.series.size() % 4]};
    std::vector<double> sorted = regrets;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t k = 0; k < sorted.size(); ++k) {
      series.x.push_back(100.0 * static_cast<double>(k + 1) / static_cast<double>(sorted.size()));
      series.y.push_back(100 * sorted[k]);
      highest = std::max(highest, 105 * sorted[k]);
    }
    chart.series.push_back(series);
  }
  chart.high_y = highest;
  chart.series.push_back({.label = "25 %",
                          .color = report::palette::kMuted,
                          .mark = report::Mark::kDashedLine,
                          .x = {0, 100},
                          .y = {25, 25}});
  return draw(chart);
}

struct Regret {
  std::string text;  // of the case
  std::string chosen, best;
  double regret = 0;
};
struct Regrets {
  std::string name;
  std::vector<Regret> rows;
  std::vector<double> values() const {
    std::vector<double> all;
    for (const Regret& row : rows) all.push_back(row.regret);
    return all;
  }
};

// Of the rows of auto, by the medians of the runners that it chose from.
Regrets of_results(const Results& results) {
  Regrets all{.name = "auto, this run"};
  for (const auto& [what, runners] : results.cases) {
    const Row* automatic = find_row(runners, "auto");
    const Row* chosen = automatic == nullptr ? nullptr : find_row(runners, automatic->chosen);
    if (chosen == nullptr) continue;
    const Row* best = chosen;
    for (const auto& [runner, row] : runners) {
      if (!is_peer(runner) && runner != "auto" && row->us < best->us) best = row;
    }
    all.rows.push_back({case_text(what), chosen->runner, best->runner, chosen->us / best->us - 1});
  }
  return all;
}

std::vector<Regrets> all_regrets(const Results& results) {
  std::vector<Regrets> all;
  if (Regrets own = of_results(results); !own.rows.empty()) all.push_back(std::move(own));
  for (const RegretFile& file : results.regrets) {
    Regrets regrets;
    for (const std::string& device : file.devices)
      regrets.name += (regrets.name.empty() ? "" : " or ") + device;
    regrets.name += " by the model, " + file.path.filename().string();
    for (const RegretFile::Row& row : file.rows) {
      const auto best = std::min_element(row.times_us.begin(), row.times_us.end()) - row.times_us.begin();
      regrets.rows.push_back({case_text(row.what), file.devices[row.chosen],
                              file.devices[static_cast<std::size_t>(best)], row.regret});
    }
    if (!regrets.rows.empty()) all.push_back(std::move(regrets));
  }
  return all;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

Plots limit_plots(const Results& results) {
  const std::vector<Share> all = shares(results);
  if (all.empty()) return {};
  std::set<std::string> phases;
  std::vector<double> values;
  std::string above;
  for (const Share& share : all) {
    phases.insert(share.row->what.phase);
    values.push_back(share.share);
    if (share.share > 1)
      above += (above.empty() ? "" : "; ") + share.row->name + " " + report::fixed(share.share, 2);
  }
  report::Legend legend;
  for (const char* cell : {"lstm", "gru", "rnn"}) {
    const auto of_cell = [&](const Share& share) { return share.row->what.cell == cell; };
    if (std::any_of(all.begin(), all.end(), of_cell))
      legend.emplace_back(cell_name(cell), color_of_cell(cell));
  }
  std::vector<std::string> svgs;
  for (const std::string& phase : phases) svgs.push_back(limit_panel(all, phase));
  return {{.name = "limit",
           .heading = "How near to the machine's limit",
           .panels = svgs,
           .caption =
               "One thread: the least time that its arithmetic and its caches allow, over the time measured. "
               "1 is the limit; the median is " +
               report::fixed(quantile(values, 0.5), 2) + ". A dot is a case." +
               (above.empty() ? "" : " Above 1, where the limit or the measurement is wrong: " + above + "."),
           .legend = legend}};
}

Plots regret_plots(const Results& results) {
  std::vector<std::pair<std::string, std::vector<double>>> curves;
  for (const Regrets& regrets : all_regrets(results)) curves.emplace_back(regrets.name, regrets.values());
  if (curves.empty()) return {};
  return {{.name = "regret",
           .heading = "How well the choice is made by itself",
           .panels = {regret_curve(curves)},
           .caption =
               "Regret: the time of what was chosen over the least, less one, by the medians measured, "
               "sorted. Flat at 0: the fastest was chosen.",
           .columns = 1}};
}

void add_regret_table(report::Page& page, const Results& results) {
  report::Table table{
      .header = {"choice", "cases", "mean", "95 % are below", "within 25 %", "worst", "bars"}};
  report::Table worst{.header = {"case", "chosen", "fastest", "regret"}};
  std::vector<Regret> rows;
  const std::vector<Regrets> all = all_regrets(results);
  for (const Regrets& regrets : all) {
    const std::vector<double> values = regrets.values();
    const auto within = std::count_if(values.begin(), values.end(), [](double v) { return v <= 0.25; });
    table.rows.push_back({regrets.name, std::to_string(values.size()), percent(mean_of(values), 1),
                          percent(quantile(values, 0.95), 1),
                          percent(static_cast<double>(within) / static_cast<double>(values.size()), 0),
                          percent(*std::max_element(values.begin(), values.end()), 0), ""});
    rows.insert(rows.end(), regrets.rows.begin(), regrets.rows.end());
  }
  if (table.rows.empty()) return;
  for (const RegretFile& file : results.regrets) {
    table.rows.push_back({"as " + file.path.filename().string() + " says", std::to_string(file.rows.size()),
                          percent(file.mean, 1), percent(file.p95, 1), percent(file.within_25, 0),
                          percent(file.worst, 0), file.passed ? "passed" : "NOT passed"});
  }
  page.table(table);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Regret& a, const Regret& b) { return a.regret > b.regret; });
  for (std::size_t k = 0; k < std::min<std::size_t>(10, rows.size()) && rows[k].regret > 0; ++k) {
    worst.rows.push_back({rows[k].text, rows[k].chosen, rows[k].best, percent(rows[k].regret, 0)});
  }
  if (!worst.rows.empty()) page.details("The worst choices", worst);
}

std::vector<std::string> headlines_of_shares(const Results& results) {
  std::vector<std::string> lines;
  std::vector<double> values;
  for (const Share& share : shares(results)) values.push_back(share.share);
  if (!values.empty()) {
    lines.push_back("One thread reaches " + percent(quantile(values, 0.5), 0) +
                    " of the machine's limit in the median of " + std::to_string(values.size()) + " cases.");
  }
  for (const Regrets& regrets : all_regrets(results)) {
    lines.push_back("The choice made by itself (" + regrets.name + ") costs " +
                    percent(mean_of(regrets.values()), 1) + " over the fastest on average of " +
                    std::to_string(regrets.rows.size()) + " cases, at worst " +
                    percent(quantile(regrets.values(), 1), 0) + ".");
  }
  return lines;
}

}  // namespace bench
