// A report as one self-contained HTML page: key figures, tables, samples, and charts drawn by gnuplot.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace report {

// A mistake in what the user gave (a flag, a file, a folder). The programs print it and exit with 2.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Mark { kLine, kThinLine, kDashedLine, kPoints, kDots, kLinePoints };

struct Series {
  std::string label;
  std::string color;  // "#2563eb"
  Mark mark = Mark::kLine;
  std::vector<double> x, y;
};

using Legend = std::vector<std::pair<std::string, std::string>>;  // label, color
using Ticks = std::vector<std::pair<double, std::string>>;

struct Chart {
  std::string x_label, y_label;
  std::vector<Series> series;
  Ticks x_ticks;  // empty: chosen by gnuplot
  bool log_y = false;
  std::optional<double> low_y, high_y;  // the ends of the axis; else chosen by gnuplot
  int height = 340;                     // in pixels
  int width = 860;
  std::string title = "";
  Ticks y_ticks = {};
  bool log_x = false;
  double x_room = 0;  // at both ends, a share of the axis; of a logarithmic one a factor less one
};

// Horizontal ranges around a value, one a row, on a common axis.
struct RangeChart {
  struct Row {
    std::string label;
    std::string color;
    double value = 0, low = 0, high = 0;
  };
  std::string x_label;
  std::vector<Row> rows;
};

// Horizontal bars, one a row, from a value at which a line stands.
struct BarChart {
  struct Row {
    std::string label, color;
    double value = 0;
    std::string text;  // behind the bar
  };
  std::string title, x_label;
  std::vector<Row> rows;
  double start = 0;
  int width = 860;
};

// Values in the cells of a table, as colours from -limit over 0, which is white, to limit.
struct HeatMap {
  struct Cell {
    std::size_t column = 0, row = 0;  // the first row is at the bottom
    double value = 0;
    std::string text;
  };
  std::string title, x_label, y_label;
  std::vector<std::string> columns, rows;
  std::vector<Cell> cells;
  double limit = 1;
  Ticks scale;                        // of the colours
  std::string low_color, high_color;  // at -limit and limit
  bool hatched = false;               // not measured
};

// The colours of every page: ink, muted ink, and one for each series.
namespace palette {
inline constexpr const char* kInk = "#1c2733";
inline constexpr const char* kMuted = "#8a97a5";
inline constexpr const char* kBlue = "#2563eb";
inline constexpr const char* kOrange = "#e8710a";
inline constexpr const char* kGreen = "#0f9d6e";
inline constexpr const char* kPurple = "#8b3fd9";
inline constexpr const char* kRed = "#d6336c";
inline constexpr const char* kTeal = "#0b8fa8";
inline constexpr const char* kBrown = "#8a5a2b";
}  // namespace palette

std::string escape_html(const std::string& text);
std::string fixed(double value, int digits);

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // plain text; the first column is the row's name
  std::vector<bool> highlighted;               // empty, or one a row
};

class Page {
 public:
  Page(std::string title, std::string subtitle);
  void facts(const std::vector<std::pair<std::string, std::string>>& figures);  // name, value
  void heading(const std::string& text);
  void paragraph(const std::string& text);
  void table(const Table& table);
  void chart(const Chart& chart, const std::string& caption);
  void chart(const RangeChart& chart, const std::string& caption);
  void sample(const std::string& label, const std::string& text);  // in monospace, lines kept
  // A claim with a coloured label, and lines below it.
  void verdict(const std::string& label, const std::string& color, const std::string& claim,
               const std::vector<std::string>& lines);
  void words(const std::vector<std::string>& words);  // as a cloud of labels
  void warning(const std::string& text);
  void details(const std::string& summary, const Table& table);  // closed until it is clicked on
  void wide();                                                   // more of a wide screen, for panels
  // Side by side where they fit.
  void panels(const std::vector<std::string>& svgs, const Legend& legend, const std::string& caption);
  std::string html() const;

 private:
  void figure(const std::string& svg, const std::string& caption);

  std::string title_, subtitle_, body_;
  bool wide_ = false;
};

// A picture as SVG; empty when gnuplot is missing.
std::string draw(const Chart& chart);
std::string draw(const RangeChart& chart);
std::string draw(const BarChart& chart);
std::string draw(const HeatMap& map);
// Pictures as one, in rows of so many columns; with its XML declaration, for a file of its own.
std::string side_by_side(const std::vector<std::string>& svgs, const Legend& legend, int columns);

// Where values between the middles of cells would be 0, as lines from (x, y) to (x, y) in columns and rows.
std::vector<std::array<double, 4>> zero_lines(const HeatMap& map);

// Runs gnuplot on a script whose SVG goes to its output. Empty when gnuplot is missing.
std::string run_gnuplot(const std::string& script);

// Creates the folder when it is missing. InputError when it cannot be written to.
void prepare_folder(const std::filesystem::path& folder);
// Whole or not at all: writes beside the target, then renames. std::runtime_error when it fails.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace report
