// From what was measured to verdicts: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/bars/record.h"
#include "bench/bars/sections.h"

namespace bench::bars {

// kHeldByShare: under its ratio, but near enough to the machine's limit.
enum class Verdict { kHeld, kHeldByShare, kLost, kNotMeasured };
const char* to_string(Verdict verdict);

struct Interval {
  double value = 0, low = 0, high = 0;
};
// The ratio of the medians of two engines that were measured in the same rounds. Its interval is by order
// statistics of the rounds' own ratios: from the k-th least to the k-th greatest, k being the largest that
// leaves 90 % (5 to 7 rounds: 1; fewer rounds leave less, see coverage).
Interval ratio_of(const std::vector<double>& over, const std::vector<double>& under);
// How likely the interval of so many rounds holds the true median.
double coverage(std::size_t rounds);

struct JudgedRow {
  const Row* row = nullptr;
  Verdict verdict = Verdict::kNotMeasured;
  std::string note;                   // why it was not measured
  std::string other_name;             // the runner it is held against: the fastest peer
  double own = 0, other = 0;          // medians in microseconds, of memory in bytes; 0: none
  std::optional<Interval> ratio;      // the peer's time over Rondo's; elsewhere `what` over `over`
  std::optional<Interval> own_ratio;  // Rondo's time over its own on one thread, where a bar asks for it
  double limit_us = 0, share = 0;
  bool undecided = false;  // a bar lies within its interval, which more rounds may narrow
};

struct JudgedMean {
  Verdict verdict = Verdict::kNotMeasured;
  Interval value;
  std::size_t rows = 0;  // measured
};

struct JudgedSection {
  const Section* section = nullptr;
  std::vector<JudgedRow> rows;     // as the record has them
  std::optional<JudgedMean> mean;  // where a bar asks for it
  std::size_t all_rows = 0;        // of the section, measured or not
  std::size_t count(Verdict verdict) const;
};

// The sections that the record was asked for, as far as it has rows of them.
std::vector<JudgedSection> judge(const Bars& bars, const Record& record);
bool all_held(const std::vector<JudgedSection>& sections);

}  // namespace bench::bars
