// Charts of a report with axes of names: bars, and maps of colours; and pictures side by side.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <sstream>

#include "tools/report/script.h"

namespace report {
namespace {

std::string bar_script(const BarChart& chart) {
  std::ostringstream s;
  s.precision(9);
  double low = chart.start, high = chart.start;
  for (const BarChart::Row& row : chart.rows) {
    low = std::min(low, row.value);
    high = std::max(high, row.value);
  }
  const double room = high > low ? high - low : 1;
  s << preamble(chart.width, 80 + 24 * static_cast<int>(chart.rows.size())) << title_line(chart.title)
    << "unset key\nset grid noytics xtics\nset xlabel " << quoted(chart.x_label) << "\nset yrange ["
    << chart.rows.size() - 0.4 << ":-0.6]\nset xrange [" << (low < chart.start ? low - 0.16 * room : low)
    << ":" << high + 0.16 * room << "]\n";
  Ticks names;
  for (std::size_t i = 0; i < chart.rows.size(); ++i) names.emplace_back(i, chart.rows[i].label);
  s << "set ytics (" << ticks(names) << ") scale 0\nset arrow from " << chart.start << ", graph 0 to "
    << chart.start << ", graph 1 nohead linecolor rgb '#5d6b7a' linewidth 1.4 front\n$d << EOD\n";
  for (std::size_t i = 0; i < chart.rows.size(); ++i) {
    const BarChart::Row& row = chart.rows[i];
    s << row.value << " " << i << " " << std::min(row.value, chart.start) << " "
      << std::max(row.value, chart.start) << " " << i - 0.34 << " " << i + 0.34 << " 0x"
      << row.color.substr(1) << " \"" << row.text << "\"\n";
  }
  s << "EOD\nplot $d using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder linecolor rgb variable, "
    << "$d using (column(4)):2:8 with labels left offset 0.6,0 font ',12' textcolor rgb '#1c2733'\n";
  return s.str();
}

constexpr int kCellWidth = 36, kCellHeight = 28;  // in pixels

std::string map_preamble(const HeatMap& map) {
  const int height = 128 + kCellHeight * static_cast<int>(std::max<std::size_t>(map.rows.size(), 4));
  const int width = 84 + kCellWidth * static_cast<int>(std::max<std::size_t>(map.columns.size(), 6));
  Ticks columns, rows;
  for (std::size_t i = 0; i < map.columns.size(); ++i) columns.emplace_back(i, map.columns[i]);
  for (std::size_t i = 0; i < map.rows.size(); ++i) rows.emplace_back(i, map.rows[i]);
  std::ostringstream s;
  s.precision(9);
  s << preamble(width, height) << title_line(map.title)
    << "set title offset 0,-0.4\nunset key\nunset grid\nset border 0\nset tics scale 0\n"
    << "set xlabel " << quoted(map.x_label) << " offset 0,0.5\nset ylabel " << quoted(map.y_label)
    << " offset 1,0\nset xrange [-0.5:" << map.columns.size() - 0.5
    << "]\nset yrange [-0.5:" << map.rows.size() - 0.5 << "]\nset xtics (" << ticks(columns)
    << ") offset 0,0.3\nset ytics (" << ticks(rows) << ")\nset lmargin at screen " << 62.0 / width
    << "\nset rmargin at screen " << 1 - 14.0 / width << "\nset tmargin at screen " << 1 - 34.0 / height
    << "\nset bmargin at screen " << 92.0 / height << "\nset palette defined (0 " << quoted(map.low_color)
    << ", 1 '#ffffff', 2 " << quoted(map.high_color) << ")\nset cbrange [" << -map.limit << ":" << map.limit
    << "]\nset colorbox horizontal user origin screen " << 92.0 / width << ", screen " << 30.0 / height
    << " size screen " << 1 - 136.0 / width << ", screen " << 9.0 / height << " noborder\nset cbtics ("
    << ticks(map.scale) << ") offset 0,0.6 font ',12'\n";
  return s.str();
}

std::string map_script(const HeatMap& map) {
  std::ostringstream s;
  s.precision(9);
  s << map_preamble(map) << "$cells << EOD\n";
  for (const HeatMap::Cell& cell : map.cells) {
    // Dark text where the colour is pale.
    const bool pale = std::abs(cell.value) < 0.55 * map.limit;
    s << cell.column << " " << cell.row << " " << cell.column - 0.48 << " " << cell.column + 0.48 << " "
      << cell.row - 0.47 << " " << cell.row + 0.47 << " " << std::clamp(cell.value, -map.limit, map.limit)
      << " \"" << cell.text << "\" " << (pale ? "0x1c2733" : "0xffffff") << "\n";
  }
  s << "EOD\n$line << EOD\n";
  const auto lines = zero_lines(map);
  for (const auto& [x0, y0, x1, y1] : lines) s << x0 << " " << y0 << "\n" << x1 << " " << y1 << "\n\n";
  s << "EOD\nplot $cells using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder linecolor palette z";
  if (map.hatched) {
    s << ", $cells using 1:2:3:4:5:6 with boxxyerror fillstyle transparent pattern 4 noborder linecolor rgb "
      << "'#d3dae1'";
  }
  if (!lines.empty()) s << ", $line using 1:2 with lines linewidth 2.6 linecolor rgb '#1c2733'";
  s << ", $cells using 1:2:8:9 with labels font ',12' textcolor rgb variable";
  s << "\n";
  return s.str();
}

// The number of that name in a viewBox, of which gnuplot's begins at 0, 0.
std::pair<int, int> size_of(const std::string& svg) {
  int width = 0, height = 0;
  const std::size_t at = svg.find("viewBox=\"0 0 ");
  if (at == std::string::npos || std::sscanf(svg.c_str() + at, "viewBox=\"0 0 %d %d", &width, &height) != 2) {
    throw std::runtime_error("gnuplot's picture has no size");
  }
  return {width, height};
}

constexpr int kLegendHeight = 32, kLetterWidth = 8;  // in pixels; letters differ, their mean is less

struct DrawnLegend {
  std::string text;
  int height = 0;
};
DrawnLegend drawn(const Legend& legend, int width) {
  DrawnLegend drawn;
  int x = 16;
  for (const auto& [label, color] : legend) {
    const int room = 46 + kLetterWidth * static_cast<int>(label.size());
    if (drawn.height == 0 || x + room > width) {
      drawn.height += kLegendHeight;
      x = 16;
    }
    const int y = drawn.height - kLegendHeight;
    drawn.text += "<rect x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y + 14) +
                  "\" width=\"16\" height=\"4\" fill=\"" + color + "\"/><text x=\"" + std::to_string(x + 22) +
                  "\" y=\"" + std::to_string(y + 21) +
                  "\" font-family=\"system-ui,DejaVu Sans\" font-size=\"14\" fill=\"#1c2733\">" +
                  escape_html(label) + "</text>\n";
    x += room;
  }
  return drawn;
}

// Of the widest row.
int width_of(const std::vector<std::string>& svgs, int columns) {
  int widest = 0, width = 0, placed = 0;
  for (const std::string& svg : svgs) {
    if (placed++ % columns == 0) width = 0;
    width += size_of(svg).first;
    widest = std::max(widest, width);
  }
  return widest;
}

}  // namespace

std::vector<std::array<double, 4>> zero_lines(const HeatMap& map) {
  std::vector<std::vector<std::optional<double>>> value(map.columns.size(),
                                                        std::vector<std::optional<double>>(map.rows.size()));
  for (const HeatMap::Cell& cell : map.cells) value[cell.column][cell.row] = cell.value;
  std::vector<std::array<double, 4>> lines;
  for (std::size_t c = 0; c + 1 < map.columns.size(); ++c) {
    for (std::size_t r = 0; r + 1 < map.rows.size(); ++r) {
      // Around a square of four middles; a change of sign on a side is a point of the line.
      const std::array<std::array<std::size_t, 2>, 5> corners{
          {{c, r}, {c + 1, r}, {c + 1, r + 1}, {c, r + 1}, {c, r}}};
      bool known = true;
      for (const auto& [x, y] : corners) known = known && value[x][y].has_value();
      std::vector<std::array<double, 2>> points;
      for (std::size_t k = 0; known && k < 4; ++k) {
        const auto [x0, y0] = corners[k];
        const auto [x1, y1] = corners[k + 1];
        const double a = *value[x0][y0], b = *value[x1][y1];
        if ((a < 0) == (b < 0)) continue;
        const double share = a / (a - b), x = static_cast<double>(x0), y = static_cast<double>(y0);
        points.push_back(
            {x + share * (static_cast<double>(x1) - x), y + share * (static_cast<double>(y1) - y)});
      }
      for (std::size_t k = 0; k + 1 < points.size(); k += 2) {
        lines.push_back({points[k][0], points[k][1], points[k + 1][0], points[k + 1][1]});
      }
    }
  }
  return lines;
}

std::string draw(const BarChart& chart) { return run_gnuplot(bar_script(chart)); }

std::string draw(const HeatMap& map) { return run_gnuplot(map_script(map)); }

std::string side_by_side(const std::vector<std::string>& svgs, const Legend& legend, int columns) {
  const int width = width_of(svgs, columns);
  const DrawnLegend above = drawn(legend, width);
  int x = 0, y = above.height, row_height = 0, placed = 0;
  std::string inner = above.text;
  for (const std::string& svg : svgs) {
    const auto [w, h] = size_of(svg);
    if (placed > 0 && placed % columns == 0) {
      y += row_height;
      x = row_height = 0;
    }
    inner += "<svg x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" +
             std::to_string(w) + "\" height=\"" + std::to_string(h) + "\" " + svg.substr(4);
    x += w;
    row_height = std::max(row_height, h);
    ++placed;
  }
  const std::string height = std::to_string(y + row_height);
  return "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 "
         "0 " +
         std::to_string(width) + " " + height + "\" width=\"" + std::to_string(width) + "\" height=\"" +
         height + "\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" + inner + "</svg>\n";
}

}  // namespace report
