// Two files of results, row by row: what became slower or faster, as far as the noise lets one say.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "bench/result_file.h"

namespace bench {

enum class Verdict { kSlower, kFaster, kSame, kUnclear };

// Time of the new over time of the old.
struct Ratio {
  std::string name;
  double old_us = 0, new_us = 0;
  double ratio = 1, low = 1, high = 1;  // the whole interval counts, see ratio_of
  double by_chance = 0;                 // probability of the verdict "slower" where nothing has changed
  Verdict verdict = Verdict::kUnclear;
};

struct Difference {
  std::vector<std::string> warnings;  // of another machine, number of threads, ...
  std::vector<Ratio> rows;            // that both have
  std::vector<std::string> only_old, only_new, failed, recovered;  // names; failed: ran in the old one alone
  double mean = 1, low = 1, high = 1;                              // geometric, of the ratios
  double by_chance = 0;                                            // expected number of rows "slower"
  int count(Verdict verdict) const;
  bool regression() const;
};

// The interval holds 95 % of the medians' ratio, by the quartiles and the number of repetitions, and reaches
// to the ratio of the minima: what only the median shows, or only the minimum, is unclear. Slower: all of it
// is above 1.05; faster: all below 1/1.05; the same: all between.
Ratio ratio_of(const Row& before, const Row& after);
Difference difference(const ResultFile& before, const ResultFile& after);

// The table, and the verdict last.
void print(const Difference& difference, std::ostream& out);
// The subcommand: 0 no regression, 1 one, 2 a file that cannot be used.
int run_difference(const std::string& before, const std::string& after, std::ostream& out);

}  // namespace bench
