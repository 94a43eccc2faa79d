// Charts of a report: gnuplot scripts, and gnuplot as a child process.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "report.h"

extern char** environ;  // NOLINT: POSIX declares no header for it

namespace examples {
namespace {

// A file of its own name, removed at the end of the scope.
class ScratchFile {
 public:
  ScratchFile() {
    std::string name = (std::filesystem::temp_directory_path() / "rondo-plot-XXXXXX").string();
    const int fd = mkstemp(name.data());
    if (fd < 0) throw std::runtime_error("cannot make a temporary file like " + name);
    close(fd);
    path_ = name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string read_all(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// As a gnuplot string: single quotes, in which a quote is doubled.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

std::string preamble(int height) {
  std::ostringstream s;
  s << "set terminal svg size 860," << height
    << " dynamic noenhanced font 'system-ui,DejaVu Sans,14' linewidth 1\n"
    << "set border 3 linecolor rgb '#b8c2cc'\nset tics nomirror out scale 0.5 textcolor rgb '#5d6b7a'\n"
    << "set grid ytics linecolor rgb '#e9edf2' linetype 1\n"
    << "set key outside top left horizontal Left reverse samplen 2 width 2 textcolor rgb '#1c2733'\n"
    << "set xlabel textcolor rgb '#5d6b7a'\nset ylabel textcolor rgb '#5d6b7a'\n";
  return s.str();
}

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
    case Mark::kLinePoints:
      return "with linespoints linewidth 2.2 pointtype 7 pointsize 0.6";
  }
  return "";
}

std::string line_script(const Chart& chart) {
  std::ostringstream s;
  s.precision(9);
  s << preamble(chart.height) << "set xlabel " << quoted(chart.x_label) << "\nset ylabel "
    << quoted(chart.y_label) << "\n";
  if (chart.log_y) s << "set logscale y\nset format y '%g'\n";
  if (chart.low_y) s << "set yrange [" << *chart.low_y << ":]\n";
  if (chart.high_y) s << "set yrange [:" << *chart.high_y << "]\n";
  if (!chart.x_ticks.empty()) {
    s << "set xtics (";
    for (std::size_t i = 0; i < chart.x_ticks.size(); ++i) {
      s << (i > 0 ? ", " : "") << quoted(chart.x_ticks[i].second) << " " << chart.x_ticks[i].first;
    }
    s << ")\n";
  }
  // No room above and below on a logarithmic axis, which ends at whole powers anyway.
  s << "set autoscale xfix\nset offsets graph 0, graph 0.02, graph "
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
  s << preamble(90 + 34 * int(count)) << "unset key\nset grid noytics xtics\nset xlabel "
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

std::string run_gnuplot(const std::string& script) {
  const ScratchFile input, output, messages;
  std::ofstream(input.path()) << script;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.path().c_str(), O_WRONLY | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages.path().c_str(), O_WRONLY | O_TRUNC,
                                   0600);
  std::string program = "gnuplot", argument = input.path();
  char* arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return "";
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) return "";
  if (WEXITSTATUS(status) != 0) throw std::runtime_error("gnuplot failed: " + read_all(messages.path()));
  const std::string svg = read_all(output.path());
  const std::size_t start = svg.find("<svg");  // inside HTML there is no XML declaration
  if (start == std::string::npos)
    throw std::runtime_error("gnuplot drew nothing: " + read_all(messages.path()));
  return svg.substr(start);
}

void Page::chart(const Chart& chart, const std::string& caption) {
  figure(run_gnuplot(line_script(chart)), caption);
}

void Page::chart(const RangeChart& chart, const std::string& caption) {
  if (!chart.rows.empty()) figure(run_gnuplot(range_script(chart)), caption);
}

}  // namespace examples
