// A daily series from a CSV file, and the windows that every forecast sees.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace examples {

struct Series1d {
  std::string column;
  std::vector<double> values;
  std::vector<std::string> dates;  // empty when the file has no column of dates
  std::vector<double> year_phase;  // 2 pi * (day of the year) / 365.25; empty likewise
  bool has_dates() const { return !dates.empty(); }
};

// The column of a CSV file with a header. Dates (YYYY-MM-DD or YYYY-MM) are taken from the first column in
// which every row has one. InputError: for an unknown column with the list of columns, for a malformed row
// with its line number.
Series1d read_csv(const std::string& path, const std::string& column);

inline constexpr std::int64_t kWindow = 30;

// How a series is split: the last `test` values are the test, the `validation` before them choose the
// epoch, and the rest trains.
struct Split {
  std::int64_t horizon = 1;
  std::int64_t first = 0;       // the first target that has a whole window before it
  std::int64_t validation = 0;  // its first target
  std::int64_t test = 0;
  std::int64_t end = 0;
};
// InputError when the series is too short.
Split split_series(const Series1d& series, std::int64_t horizon);

// What a network reads for target t: the values t - horizon - 29 ... t - horizon, scaled, each with sine
// and cosine of its day of the year when there are dates.
class Features {
 public:
  Features(const Series1d& series, const Split& split);
  std::int64_t per_step() const { return per_step_; }  // I
  // Appends the window of target t, [30, I].
  void append(std::int64_t t, std::vector<float>* x) const;
  float scaled(double value) const { return float((value - mean_) / deviation_); }
  double unscaled(double value) const { return value * deviation_ + mean_; }

 private:
  const Series1d& series_;
  std::int64_t horizon_, per_step_;
  double mean_ = 0, deviation_ = 1;  // of the values before the test
};

}  // namespace examples
