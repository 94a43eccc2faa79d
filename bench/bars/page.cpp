// The bars as a page.
#include "bench/bars/page.h"

#include <algorithm>
#include <set>

#include "bench/bars/tables.h"
#include "tools/report/report.h"

namespace bench::bars {
namespace {

const char* color_of(const std::string& cell) {
  using namespace report::palette;
  return cell == "lstm" ? kBlue : cell == "gru" ? kGreen : kPurple;
}

report::Series line_at(const std::string& label, const char* color, double value, double from, double to) {
  return {.label = label,
          .color = color,
          .mark = report::Mark::kDashedLine,
          .x = {from, to},
          .y = {value, value}};
}

// A column of dots for each H, the cells of it side by side; lines at the bars and at the mean.
report::Chart ratio_chart(const JudgedSection& section) {
  report::Chart chart{.x_label = "H, hidden units", .y_label = "peer's time / Rondo's", .log_y = true};
  for (const double tick : {0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0}) {
    chart.y_ticks.emplace_back(tick, report::fixed(tick, tick < 1 || tick == 1.5 ? tick == 0.25 ? 2 : 1 : 0));
  }
  std::set<std::int64_t> units;
  chart.low_y = 0.9;
  chart.high_y = 1.1;
  for (const JudgedRow& row : section.rows) {
    if (!row.ratio) continue;
    units.insert(row.row->shape.h);
    chart.low_y = std::min(*chart.low_y, row.ratio->value * 0.9);
    chart.high_y = std::max(*chart.high_y, row.ratio->value * 1.1);
  }
  const auto last = static_cast<double>(units.size()) - 0.5;
  double shift = -0.25;
  for (const char* cell : {"lstm", "gru", "rnn"}) {
    report::Series series{.label = cell, .color = color_of(cell), .mark = report::Mark::kDots};
    for (const JudgedRow& row : section.rows) {
      if (!row.ratio || row.row->shape.cell != cell) continue;
      const auto place = std::distance(units.begin(), units.find(row.row->shape.h));
      series.x.push_back(static_cast<double>(place) + shift);
      series.y.push_back(row.ratio->value);
    }
    if (!series.x.empty()) chart.series.push_back(series);
    shift += 0.25;
  }
  const Section& bars = *section.section;
  if (bars.row) chart.series.push_back(line_at("bar of a row", report::palette::kRed, *bars.row, -0.5, last));
  if (bars.mean) {
    chart.series.push_back(line_at("bar of the mean", report::palette::kOrange, *bars.mean, -0.5, last));
    chart.series.push_back({.label = "geometric mean",
                            .color = report::palette::kInk,
                            .x = {-0.5, last},
                            .y = {section.mean->value.value, section.mean->value.value}});
  }
  for (const std::int64_t h : units) chart.x_ticks.emplace_back(chart.x_ticks.size(), std::to_string(h));
  return chart;
}

// An interval for each row, on one axis.
report::RangeChart cost_chart(const JudgedSection& section) {
  const Section& s = *section.section;
  report::RangeChart chart{.x_label = s.over.empty() ? s.what : s.what + " / " + s.over};
  for (const JudgedRow& row : section.rows) {
    if (!row.ratio) continue;
    const char* color = row.verdict == Verdict::kLost ? report::palette::kRed : report::palette::kBlue;
    chart.rows.push_back({row.row->name, color, row.ratio->value, row.ratio->low, row.ratio->high});
  }
  return chart;
}

void add_chart(report::Page& page, const JudgedSection& section) {
  const bool any = std::any_of(section.rows.begin(), section.rows.end(),
                               [](const JudgedRow& row) { return row.ratio.has_value(); });
  if (!any) return;
  if (section.section->by == By::kPeers) {
    page.chart(ratio_chart(section),
               "A dot is a row: the fastest peer's time over Rondo's, so that above 1 Rondo is faster.");
  } else {
    page.chart(cost_chart(section),
               "Less is better. Rows in red are over their bar with the whole interval.");
  }
}

report::Table part(const Sheet& sheet, bool marked) {
  report::Table table{.header = sheet.header};
  for (std::size_t i = 0; i < sheet.rows.size(); ++i) {
    if (sheet.marked[i] == marked) table.rows.push_back(sheet.rows[i]);
  }
  return table;
}

}  // namespace

std::string page(const std::vector<JudgedSection>& sections, const Record& record) {
  report::Page page("Rondo beside its peers on the CPU", facts_line(record));
  page.wide();
  std::vector<std::pair<std::string, std::string>> facts;
  for (const JudgedSection& section : sections) {
    const std::size_t held = section.count(Verdict::kHeld) + section.count(Verdict::kHeldByShare);
    std::string text = std::to_string(held) + " of " + std::to_string(section.rows.size()) + " rows";
    if (section.mean && section.mean->rows > 0) text += ", " + report::fixed(section.mean->value.value, 2);
    facts.emplace_back(section.section->name, text);
  }
  page.facts(facts);
  if (!all_held(sections)) page.warning(conclusion(sections));
  page.paragraph(
      "A figure above is the number of rows that hold their bar and, beside peers, the geometric mean of the "
      "fastest peer's time over Rondo's. A row is lost only if the whole interval of its ratio misses the "
      "bar, and, "
      "where a share of the machine's limit serves as well, if it misses that too.");
  const std::vector<Sheet> all = sheets(sections, record);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    page.heading(all[i].title);
    for (const std::string& line : all[i].summary) page.paragraph(line);
    add_chart(page, sections[i]);
    const report::Table bad = part(all[i], true), good = part(all[i], false);
    if (!bad.rows.empty()) page.table(bad);
    if (!good.rows.empty())
      page.details("Rows that hold their bar (" + std::to_string(good.rows.size()) + ")", good);
  }
  return page.html();
}

}  // namespace bench::bars
