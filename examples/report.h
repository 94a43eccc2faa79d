// A report as one self-contained HTML page: key figures, tables, samples, and charts drawn by gnuplot.
#pragma once

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace examples {

// A mistake in what the user gave (a flag, a file, a folder). The programs print it and exit with 2.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Mark { kLine, kThinLine, kDashedLine, kPoints, kLinePoints };

struct Series {
  std::string label;
  std::string color;  // "#2563eb"
  Mark mark = Mark::kLine;
  std::vector<double> x, y;
};

struct Chart {
  std::string x_label, y_label;
  std::vector<Series> series;
  std::vector<std::pair<double, std::string>> x_ticks;  // empty: chosen by gnuplot
  bool log_y = false;
  std::optional<double> low_y, high_y;  // the ends of the axis; else chosen by gnuplot
  int height = 340;                     // in pixels, at a width of 860
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

// The colours of every page: ink, muted ink, and one for each series.
namespace palette {
inline constexpr const char* kInk = "#1c2733";
inline constexpr const char* kMuted = "#8a97a5";
inline constexpr const char* kBlue = "#2563eb";
inline constexpr const char* kOrange = "#e8710a";
inline constexpr const char* kGreen = "#0f9d6e";
inline constexpr const char* kPurple = "#8b3fd9";
inline constexpr const char* kRed = "#d6336c";
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
  std::string html() const;

 private:
  void figure(const std::string& svg, const std::string& caption);

  std::string title_, subtitle_, body_;
};

// Runs gnuplot on a script whose SVG goes to its output. Empty when gnuplot is missing.
std::string run_gnuplot(const std::string& script);

// Creates the folder when it is missing. InputError when it cannot be written to.
void prepare_folder(const std::filesystem::path& folder);
// Whole or not at all: writes beside the target, then renames. std::runtime_error when it fails.
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace examples
