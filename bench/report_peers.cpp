// Rondo beside others: its peers, and its own options beside the plain cell.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bench/report_parts.h"

namespace bench {
namespace {

// The row of Rondo's that a peer's is held against: of as many threads, or on the GPU.
const Row* own_row(const Runners& runners, const Row& peer) {
  if (peer.data == "device") return find_row(runners, "cuda:0");
  if (peer.threads > 1) return find_row(runners, "cpu");
  const Row* one = find_row(runners, "cpu/1");
  return one != nullptr ? one : find_row(runners, "cpu");
}

struct Pair {
  Case what;
  double ratio = 1;  // the peer's time over Rondo's: above 1 where Rondo is faster
};

std::map<std::string, std::vector<Pair>> pairs(const Results& results) {
  std::map<std::string, std::vector<Pair>> all;
  for (const auto& [what, runners] : results.cases) {
    for (const auto& [runner, row] : runners) {
      const Row* own = is_peer(runner) ? own_row(runners, *row) : nullptr;
      if (own != nullptr) all[runner_name(runner, row->threads)].push_back({what, row->us / own->us});
    }
  }
  return all;
}

std::vector<double> ratios(const std::vector<Pair>& pairs) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back(pair.ratio);
  return values;
}

// 5 % and more; what is nearer is neither won nor lost.
constexpr double kTie = 1.05;
struct Score {
  std::size_t won = 0, lost = 0, even = 0;
};
Score score(const std::vector<Pair>& pairs) {
  Score score;
  for (const Pair& pair : pairs)
    ++(pair.ratio > kTie ? score.won : pair.ratio < 1 / kTie ? score.lost : score.even);
  return score;
}

report::Ticks ratio_ticks() {
  report::Ticks ticks;
  for (const auto& [value, text] : {std::pair(0.1, "0.1"),
                                    {0.2, "0.2"},
                                    {0.5, "0.5"},
                                    {1.0, "1"},
                                    {2.0, "2"},
                                    {5.0, "5"},
                                    {10.0, "10"},
                                    {20.0, "20"},
                                    {50.0, "50"},
                                    {100.0, "100"},
                                    {1000.0, "1000"}}) {
    ticks.emplace_back(value, text);
  }
  return ticks;
}

// A column of dots for each peer, spread sideways by phase; a line at the geometric mean.
std::string peer_chart(const std::map<std::string, std::vector<Pair>>& all) {
  report::Chart chart{.x_label = "", .y_label = "peer's time / Rondo's", .log_y = true, .height = 380};
  chart.y_ticks = ratio_ticks();
  chart.low_y = 0.85;
  chart.high_y = 1.15;
  for (const auto& [peer, rows] : all) {
    for (const Pair& pair : rows) {
      chart.low_y = std::min(*chart.low_y, pair.ratio * 0.85);
      chart.high_y = std::max(*chart.high_y, pair.ratio * 1.15);
    }
  }
  chart.x_room = 0.02;
  const std::pair<const char*, const char*> phases[] = {{"inference", report::palette::kBlue},
                                                        {"training", report::palette::kOrange},
                                                        {"step", report::palette::kGreen}};
  double shift = -0.25;
  for (const auto& [phase, color] : phases) {
    report::Series series{.label = phase, .color = color, .mark = report::Mark::kDots};
    double place = 0;
    for (const auto& [peer, rows] : all) {
      for (const Pair& pair : rows) {
        if (pair.what.phase != phase) continue;
        // Sideways by H, so that equal ratios are seen beside one another.
        series.x.push_back(place + shift + 0.02 * (std::log2(static_cast<double>(pair.what.h)) - 7));
        series.y.push_back(pair.ratio);
      }
      place += 1;
    }
    shift += 0.25;
    if (!series.x.empty()) chart.series.push_back(series);
  }
  double place = 0;
  for (const auto& [peer, rows] : all) {
    const double mean = geometric_mean(ratios(rows));
    chart.series.push_back({.label = place == 0 ? "geometric mean" : "",
                            .color = report::palette::kInk,
                            .x = {place - 0.4, place + 0.4},
                            .y = {mean, mean}});
    chart.x_ticks.emplace_back(place, peer);
    place += 1;
  }
  chart.series.push_back({.label = "",
                          .color = report::palette::kMuted,
                          .mark = report::Mark::kDashedLine,
                          .x = {-0.5, place - 0.5},
                          .y = {1, 1}});
  return draw(chart);
}

// Geometric means of an option's time over the plain cell's, by cell and phase.
std::map<std::string, std::map<std::string, std::vector<double>>> option_ratios(const Results& results) {
  std::map<std::string, std::map<std::string, std::vector<double>>> all;
  for (const auto& [what, runners] : results.cases) {
    if (what.option.empty()) continue;
    Case plain = what;
    plain.option = "";
    const auto found = results.cases.find(plain);
    if (found == results.cases.end()) continue;
    for (const auto& [runner, row] : runners) {
      const Row* beside = find_row(found->second, runner);
      if (beside == nullptr || is_peer(runner) || runner == "auto") continue;
      all[cell_name(what.cell) + " " + what.phase][what.option].push_back(row->us / beside->us);
    }
  }
  return all;
}

}  // namespace

Plots peer_plots(const Results& results) {
  const auto all = pairs(results);
  if (all.empty()) return {};
  return {{.name = "peers",
           .heading = "Beside other engines",
           .panels = {peer_chart(all)},
           .caption =
               "The other's time over Rondo's, each with as many threads, on a logarithmic axis: above 1 "
               "Rondo is faster. A dot is a case, further right for a larger H.",
           .columns = 1}};
}

void add_peer_table(report::Page& page, const Results& results) {
  report::Table table{
      .header = {"peer", "cell", "phase", "cases", "geometric mean", "least", "won", "even", "lost"}};
  const auto add = [&](const std::string& peer, const std::string& cell, const std::string& phase,
                       const std::vector<Pair>& rows) {
    const std::vector<double> values = ratios(rows);
    const Score points = score(rows);
    table.rows.push_back(
        {peer, cell, phase, std::to_string(rows.size()), report::fixed(geometric_mean(values), 2),
         report::fixed(*std::min_element(values.begin(), values.end()), 2), std::to_string(points.won),
         std::to_string(points.even), std::to_string(points.lost)});
    table.highlighted.push_back(cell == "all");
  };
  for (const auto& [peer, rows] : pairs(results)) {
    add(peer, "all", "all", rows);
    std::map<std::pair<std::string, std::string>, std::vector<Pair>> parts;
    for (const Pair& pair : rows) parts[{pair.what.phase, pair.what.cell}].push_back(pair);
    for (const auto& [key, part] : parts) add(peer, cell_name(key.second), key.first, part);
  }
  if (table.rows.empty()) return;
  page.table(table);
  page.paragraph("Ratios as above: above 1 Rondo is faster. Won and lost are by 5 % and more.");
}

Plots option_plots(const Results& results) {
  std::vector<std::string> svgs;
  for (const auto& [title, options] : option_ratios(results)) {
    report::BarChart chart{
        .title = title, .x_label = "time / time of the plain cell", .start = 1, .width = 430};
    for (const auto& [option, values] : options) {
      const double ratio = geometric_mean(values);
      chart.rows.push_back({option, ratio > 1 ? report::palette::kBlue : report::palette::kGreen, ratio,
                            report::fixed(ratio, 2)});
    }
    std::stable_sort(chart.rows.begin(), chart.rows.end(),
                     [](const auto& a, const auto& b) { return a.value < b.value; });
    svgs.push_back(draw(chart));
  }
  if (svgs.empty()) return {};
  return {{.name = "options",
           .heading = "What options cost",
           .panels = svgs,
           .caption =
               "The time with an option over that of the plain cell of the same sizes: geometric means over "
               "the sizes measured. Left of the line an option is faster.",
           .columns = 2}};
}

std::vector<std::string> headlines_of_peers(const Results& results) {
  std::vector<std::string> lines;
  for (const auto& [peer, rows] : pairs(results)) {
    const Score points = score(rows);
    const double mean = geometric_mean(ratios(rows));
    lines.push_back((mean >= 1 ? "Rondo is " + report::fixed(mean, 2) + " times as fast as "
                               : "Rondo takes " + report::fixed(1 / mean, 2) + " times as long as ") +
                    peer + " (geometric mean of " + std::to_string(rows.size()) + " cases): faster in " +
                    std::to_string(points.won) + ", even in " + std::to_string(points.even) + ", slower in " +
                    std::to_string(points.lost) + ".");
  }
  return lines;
}

}  // namespace bench
