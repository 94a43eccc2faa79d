// Charts of a report with axes of numbers, as gnuplot scripts.
#include <algorithm>
#include <sstream>

#include "tools/report/script.h"

namespace report {
namespace {

const char* style_of(Mark mark) {
  switch (mark) {
    case Mark::kLine:
      return "with lines linewidth 2.2";
    case Mark::kThinLine:
      return "with lines linewidth 1";
    case Mark::kDashedLine:
      return "with lines linewidth 1.6 dashtype 2";
    case Mark::kPoints:
      return "with points pointtype 7 pointsize 0.3";
    case Mark::kDots:
      return "with points pointtype 7 pointsize 0.45";
    case Mark::kLinePoints:
      return "with linespoints linewidth 2.2 pointtype 7 pointsize 0.6";
  }
  return "";
}

// gnuplot's offsets know no logarithmic axis.
std::string x_range(const Chart& chart) {
  if (chart.x_room <= 0) return "";
  double low = 1e300, high = -1e300;
  for (const Series& series : chart.series) {
    for (double x : series.x) {
      low = std::min(low, x);
      high = std::max(high, x);
    }
  }
  const double room = chart.log_x ? 0 : chart.x_room * std::max(high - low, 1e-9);
  const double factor = chart.log_x ? 1 + chart.x_room : 1;
  std::ostringstream s;
  s << "set xrange [" << low / factor - room << ":" << high * factor + room << "]\n";
  return s.str();
}

std::string line_script(const Chart& chart) {
  std::ostringstream s;
  s.precision(9);
  s << preamble(chart.width, chart.height) << title_line(chart.title) << "set xlabel "
    << quoted(chart.x_label) << "\nset ylabel " << quoted(chart.y_label) << "\n";
  if (!chart.title.empty()) s << "unset key\n";  // a panel, whose legend is that of its figure
  if (chart.log_x) s << "set logscale x\n";
  if (chart.log_y) s << "set logscale y\nset format y '%g'\n";
  if (chart.low_y) s << "set yrange [" << *chart.low_y << ":]\n";
  if (chart.high_y) s << "set yrange [:" << *chart.high_y << "]\n";
  if (!chart.x_ticks.empty()) s << "set xtics (" << ticks(chart.x_ticks) << ")\n";
  if (!chart.y_ticks.empty()) s << "set ytics (" << ticks(chart.y_ticks) << ")\n";
  // No room above and below on a logarithmic axis, which ends at whole powers anyway.
  s << "set autoscale xfix\n"
    << x_range(chart) << "set offsets graph 0, graph " << (chart.x_room > 0 ? "0" : "0.02") << ", graph "
    << (chart.log_y || chart.high_y ? "0" : "0.04") << ", graph "
    << (chart.log_y || chart.low_y ? "0" : "0.04") << "\n";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    s << "$d" << i << " << EOD\n";
    const Series& series = chart.series[i];
    for (std::size_t k = 0; k < series.x.size(); ++k) s << series.x[k] << " " << series.y[k] << "\n";
    s << "EOD\n";
  }
  s << "plot ";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    s << (i > 0 ? ", " : "") << "$d" << i << " using 1:2 " << style_of(series.mark) << " linecolor rgb "
      << quoted(series.color) << (series.label.empty() ? " notitle" : " title " + quoted(series.label));
  }
  s << "\n";
  return s.str();
}

std::string range_script(const RangeChart& chart) {
  std::ostringstream s;
  s.precision(9);
  const std::size_t count = chart.rows.size();
  double low = chart.rows[0].low, high = chart.rows[0].high;
  for (const RangeChart::Row& row : chart.rows) {
    low = std::min(low, row.low);
    high = std::max(high, row.high);
  }
  const double room = high > low ? high - low : 1;
  s << preamble(860, 90 + 34 * int(count)) << "unset key\nset grid noytics xtics\nset xlabel "
    << quoted(chart.x_label) << "\nset yrange [" << count << ".6:0.4]\nset xrange [" << low - 0.06 * room
    << ":" << high + 0.14 * room << "]\nset ytics (";
  for (std::size_t i = 0; i < count; ++i)
    s << (i > 0 ? ", " : "") << quoted(chart.rows[i].label) << " " << i + 1;
  s << ")\nset ytics scale 0\n";
  for (std::size_t i = 0; i < count; ++i) {
    const RangeChart::Row& row = chart.rows[i];
    s << "$d" << i << " << EOD\n"
      << row.value << " " << i + 1 << " " << row.low << " " << row.high << " " << fixed(row.value, 3)
      << "\nEOD\n";
  }
  s << "plot ";
  for (std::size_t i = 0; i < count; ++i) {
    const std::string color = " linecolor rgb " + quoted(chart.rows[i].color);
    s << (i > 0 ? ", " : "") << "$d" << i
      << " using 1:2:3:4 with xerrorbars linewidth 2.4 pointtype 7 pointsize 0.9" << color << ", $d" << i
      << " using 4:2:5 with labels left offset 1,0 textcolor rgb '#1c2733'";
  }
  s << "\n";
  return s.str();
}

}  // namespace

std::string draw(const Chart& chart) { return run_gnuplot(line_script(chart)); }

std::string draw(const RangeChart& chart) { return run_gnuplot(range_script(chart)); }

void Page::chart(const Chart& chart, const std::string& caption) { figure(draw(chart), caption); }

void Page::chart(const RangeChart& chart, const std::string& caption) {
  if (!chart.rows.empty()) figure(draw(chart), caption);
}

}  // namespace report
