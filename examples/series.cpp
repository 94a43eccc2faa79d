// Reading CSV files, dates, and the split of a series.
#include "series.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numbers>
#include <optional>

#include "tools/report/report.h"

namespace examples {
using namespace report;
namespace {

struct Row {
  std::int64_t line = 0;
  std::vector<std::string> cells;
};

// Splits a line at commas outside double quotes; "" within quotes is one quote.
std::vector<std::string> split_line(const std::string& line, const std::string& place) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (quoted) throw InputError(place + ": a double quote is not closed");
  return cells;
}

std::vector<Row> read_rows(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::vector<Row> rows;
  std::string line;
  for (std::int64_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // byte order mark
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const std::string place = path + ":" + std::to_string(number);
    rows.push_back({number, split_line(line, place)});
    if (rows.back().cells.size() != rows.front().cells.size()) {
      throw InputError(place + ": has " + std::to_string(rows.back().cells.size()) +
                       " cells, the header has " + std::to_string(rows.front().cells.size()));
    }
  }
  if (stream.bad() || !stream.eof()) throw InputError(path + ": cannot be read");
  if (rows.size() < 2) throw InputError(path + ": has no row below a header");
  return rows;
}

double parse_number(const std::string& text, const std::string& place) {
  const std::size_t start = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  const std::string cell = start == std::string::npos ? "" : text.substr(start, end - start + 1);
  double value = 0;
  const auto [rest, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || error != std::errc() || rest != cell.data() + cell.size() || !std::isfinite(value)) {
    throw InputError(place + ": '" + text + "' is not a number");
  }
  return value;
}

int digits(const std::string& text, std::size_t start, std::size_t count) {
  int value = -1;
  const char* begin = text.data() + start;
  const auto [rest, error] = std::from_chars(begin, begin + count, value);
  return error == std::errc() && rest == begin + count ? value : -1;
}

// Days since the year's start, from 1, of YYYY-MM-DD or YYYY-MM (which stands for its 15th).
std::optional<int> day_of_year(const std::string& text) {
  if ((text.size() != 7 && text.size() != 10) || text[4] != '-') return std::nullopt;
  const int year = digits(text, 0, 4), month = digits(text, 5, 2);
  const int day = text.size() == 7 ? 15 : text[7] == '-' ? digits(text, 8, 2) : -1;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  const int lengths[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1]) return std::nullopt;
  int sum = day;
  for (int m = 0; m < month - 1; ++m) sum += lengths[m];
  return sum;
}

// Takes the dates of one column; false when a row has none there.
bool take_dates(const std::vector<Row>& rows, std::size_t column, Series1d* series) {
  std::vector<std::string> dates;
  std::vector<double> phases;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const std::optional<int> day = day_of_year(rows[i].cells[column]);
    if (!day) return false;
    dates.push_back(rows[i].cells[column]);
    phases.push_back(2 * std::numbers::pi * *day / 365.25);
  }
  series->dates = std::move(dates);
  series->year_phase = std::move(phases);
  return true;
}

}  // namespace

Series1d read_csv(const std::string& path, const std::string& column) {
  const std::vector<Row> rows = read_rows(path);
  const std::vector<std::string>& header = rows[0].cells;
  const auto found = std::find(header.begin(), header.end(), column);
  if (found == header.end()) {
    std::string names;
    for (const std::string& name : header) names += (names.empty() ? "" : ", ") + name;
    throw InputError(path + ": has no column '" + column + "'; it has: " + names);
  }
  const std::size_t place = std::size_t(found - header.begin());
  Series1d series;
  series.column = column;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    series.values.push_back(
        parse_number(rows[i].cells[place], path + ":" + std::to_string(rows[i].line) + ": column " + column));
  }
  for (std::size_t c = 0; c < header.size() && !series.has_dates(); ++c) take_dates(rows, c, &series);
  return series;
}

Split split_series(const Series1d& series, std::int64_t horizon) {
  const std::int64_t count = std::int64_t(series.values.size());
  Split split;
  split.horizon = horizon;
  split.first = kWindow + horizon - 1;
  split.end = count;
  // A year each for test and validation; of a short series a fifth.
  const std::int64_t part = std::min<std::int64_t>(365, count / 5);
  split.test = count - part;
  split.validation = split.test - part;
  const std::int64_t training = split.validation - split.first;
  if (training < 2 * kWindow) {
    throw InputError("column " + series.column + " has " + std::to_string(count) + " rows; with --horizon " +
                     std::to_string(horizon) + " the forecast needs " +
                     std::to_string((split.first + 2 * kWindow) * 5 / 3 + 1) + " or more");
  }
  return split;
}

Features::Features(const Series1d& series, const Split& split)
    : series_(series), horizon_(split.horizon), per_step_(series.has_dates() ? 3 : 1) {
  double sum = 0, squares = 0;
  for (std::int64_t t = 0; t < split.test; ++t) sum += series.values[std::size_t(t)];
  mean_ = sum / double(split.test);
  for (std::int64_t t = 0; t < split.test; ++t) squares += std::pow(series.values[std::size_t(t)] - mean_, 2);
  deviation_ = std::sqrt(squares / double(split.test));
  if (deviation_ == 0) throw InputError("column " + series.column + " has the same value in every row");
}

void Features::append(std::int64_t t, std::vector<float>* x) const {
  for (std::int64_t k = t - horizon_ - kWindow + 1; k <= t - horizon_; ++k) {
    x->push_back(scaled(series_.values[std::size_t(k)]));
    if (per_step_ == 3) {
      x->push_back(float(std::sin(series_.year_phase[std::size_t(k)])));
      x->push_back(float(std::cos(series_.year_phase[std::size_t(k)])));
    }
  }
}

}  // namespace examples
