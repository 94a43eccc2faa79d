// Two files of results, row by row.
#include "bench/difference.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>

namespace bench {
namespace {

constexpr double kMargin = 1.05;    // of what counts as a change
constexpr double kInterval = 1.96;  // standard errors, for 95 % of a normal distribution
// A run as a whole is off by so much, whatever its own samples say: frequency, placement of pages.
constexpr double kFloor = 0.005;
// Without quartiles of at least so many repetitions nothing is known of the noise: taken as 10 %.
constexpr int kFewRepetitions = 3;
constexpr double kUnknownNoise = 0.1;

// Of the logarithm of the median. Of a normal distribution the median of R samples has 1.2533 of the mean's
// standard error, and the quartiles are 1.349 standard deviations apart.
double error_of(const Row& row) {
  if (row.repetitions < kFewRepetitions) return kUnknownNoise;
  const double deviation = (row.p75_us - row.p25_us) / 1.349;
  return std::hypot(1.2533 * deviation / std::sqrt(row.repetitions) / row.us, kFloor);
}

double above(double z) { return 0.5 * std::erfc(z / std::sqrt(2.0)); }

Verdict verdict_of(double low, double high) {
  if (low > kMargin) return Verdict::kSlower;
  if (high < 1 / kMargin) return Verdict::kFaster;
  if (low >= 1 / kMargin && high <= kMargin) return Verdict::kSame;
  return Verdict::kUnclear;
}

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSlower:
      return "SLOWER";
    case Verdict::kFaster:
      return "faster";
    case Verdict::kSame:
      return "same";
    case Verdict::kUnclear:
      return "unclear";
  }
  return "";
}

std::string shown(const std::string& value) { return value.empty() ? "nothing" : value; }

std::vector<std::string> warnings_of(const ResultFile& before, const ResultFile& after) {
  std::vector<std::string> warnings;
  for (const char* name : {"cpu", "isa", "threads", "blas", "gpu", "driver", "cuda", "cudnn"}) {
    const std::string was = before.context.text(name), is = after.context.text(name);
    if (was != is) warnings.push_back(std::string(name) + " was " + shown(was) + ", is " + shown(is));
  }
  for (const ResultFile* file : {&before, &after}) {
    if (!file->context.complete())
      warnings.push_back(file->path.string() + " is of a run that was interrupted");
  }
  return warnings;
}

// Of all rows together. Rows share the machine's mood, so their spread counts beside their own errors.
void sum_up(Difference& result) {
  if (result.rows.empty()) return;
  double sum = 0, squares = 0, errors = 0;
  for (const Ratio& row : result.rows) {
    const double value = std::log(row.ratio), half = std::log(row.high / row.low) / 2 / kInterval;
    sum += value;
    squares += value * value;
    errors += half * half;
    result.by_chance += row.by_chance;
  }
  const auto count = static_cast<double>(result.rows.size());
  const double mean = sum / count;
  const double spread = std::sqrt(std::max(0.0, squares / count - mean * mean) / count);
  const double error = std::max(std::sqrt(errors) / count, spread);
  result.mean = std::exp(mean);
  result.low = std::exp(mean - kInterval * error);
  result.high = std::exp(mean + kInterval * error);
}

void print_names(std::ostream& out, const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  out << title << " (" << names.size() << "):\n";
  for (const std::string& name : names) out << "  " << name << "\n";
}

void print_row(std::ostream& out, const Ratio& row, int width) {
  char line[512];
  std::snprintf(line, sizeof line, "%-*s %12.2f %12.2f  %6.3f  %6.3f to %6.3f  %s\n", width, row.name.c_str(),
                row.old_us, row.new_us, row.ratio, row.low, row.high, name_of(row.verdict));
  out << line;
}

std::string format(const char* pattern, double a, double b, double c) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, a, b, c);
  return line;
}

}  // namespace

int Difference::count(Verdict verdict) const {
  return static_cast<int>(
      std::count_if(rows.begin(), rows.end(), [&](const Ratio& row) { return row.verdict == verdict; }));
}

bool Difference::regression() const {
  return count(Verdict::kSlower) > 0 || !failed.empty() || low > kMargin;
}

Ratio ratio_of(const Row& before, const Row& after) {
  Ratio row{.name = after.name, .old_us = before.us, .new_us = after.us, .ratio = after.us / before.us};
  const double error = std::hypot(error_of(before), error_of(after));
  const double minima = after.min_us / before.min_us;
  row.low = std::min(row.ratio * std::exp(-kInterval * error), minima);
  row.high = std::max(row.ratio * std::exp(kInterval * error), minima);
  row.by_chance = above(kInterval + std::log(kMargin) / error);
  row.verdict = verdict_of(row.low, row.high);
  return row;
}

Difference difference(const ResultFile& before, const ResultFile& after) {
  Difference result{.warnings = warnings_of(before, after)};
  std::map<std::string, const Row*> old_rows;
  for (const Row& row : before.rows) old_rows[row.name] = &row;
  for (const Row& row : after.rows) {
    const auto found = old_rows.find(row.name);
    if (found == old_rows.end()) {
      result.only_new.push_back(row.name);
      continue;
    }
    const Row& was = *found->second;
    old_rows.erase(found);
    if (was.ran() && row.ran()) {
      result.rows.push_back(ratio_of(was, row));
      if (was.threads != row.threads) {
        result.warnings.push_back(row.name + " had " + std::to_string(was.threads) + " threads, has " +
                                  std::to_string(row.threads));
      }
    } else if (was.ran()) {
      // A row that was left out for its estimate has not failed.
      (row.skipped ? result.only_old : result.failed).push_back(row.name + ": " + row.error);
    } else if (row.ran()) {
      result.recovered.push_back(row.name);
    }
  }
  for (const Row& row : before.rows) {
    if (old_rows.contains(row.name)) result.only_old.push_back(row.name);
  }
  sum_up(result);
  return result;
}

void print(const Difference& d, std::ostream& out) {
  for (const std::string& warning : d.warnings) out << "WARNING: NOT ALIKE: " << warning << "\n";
  int width = 4;
  for (const Ratio& row : d.rows) width = std::max(width, static_cast<int>(row.name.size()));
  char line[512];
  std::snprintf(line, sizeof line, "%-*s %12s %12s  %6s  %-16s  %s\n", width, "row", "old us", "new us",
                "ratio", "its interval", "verdict");
  if (!d.rows.empty()) out << line;
  for (const Ratio& row : d.rows) print_row(out, row, width);
  print_names(out, "only in the old file", d.only_old);
  print_names(out, "only in the new file", d.only_new);
  print_names(out, "ran in the old file, FAILED in the new one", d.failed);
  print_names(out, "failed in the old file, ran in the new one", d.recovered);
  if (d.rows.empty()) {
    out << "No row ran in both files: nothing is compared.\n";
  } else {
    out << d.rows.size() << " rows compared: " << d.count(Verdict::kSlower) << " slower, "
        << d.count(Verdict::kFaster) << " faster, " << d.count(Verdict::kSame) << " the same, "
        << d.count(Verdict::kUnclear) << " unclear"
        << format(" (%.2g slower expected by chance).\n", d.by_chance, 0, 0)
        << format("Geometric mean of new over old: %.3f, 95 %% between %.3f and %.3f.\n", d.mean, d.low,
                  d.high);
  }
  out << (d.regression() ? "REGRESSION" : "No regression")
      << (d.warnings.empty() ? ".\n" : ", but the two runs are not alike: see the warnings above.\n");
}

int run_difference(const std::string& before, const std::string& after, std::ostream& out) {
  try {
    const Difference result = difference(read_results(before), read_results(after));
    print(result, out);
    if (result.rows.empty() && !result.regression()) return 2;
    return result.regression() ? 1 : 0;
  } catch (const FileError& error) {
    std::cerr << "rondo-bench: " << error.what() << "\n";
    return 2;
  }
}

}  // namespace bench
