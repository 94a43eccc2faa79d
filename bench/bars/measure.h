// The measuring of what the bars judge.
#pragma once

#include <set>
#include <string>

#include "bench/bars/record.h"
#include "bench/bars/sections.h"

namespace bench::bars {

struct MeasureOptions {
  std::set<std::string> sections, cells;  // empty: all
  std::string filter;                     // a part of a row's name; "": all
  bool quick = false;                     // fewer rows, rounds and samples
  int rounds = 5;
  double seconds = 0.02;  // of an engine's samples of a row in a round
  std::string json;       // written anew after each row; "": nowhere
  bool resume = false;    // keeps the rows that the file has
};

struct Measured {
  Record record;
  bool interrupted = false;  // by SIGINT or SIGTERM; the rows that were done are there
};
Measured measure(const Bars& bars, const MeasureOptions& options);

// The file: with the record, and the verdicts for who reads it without this program.
void write(const std::string& path, const Bars& bars, const Record& record);

}  // namespace bench::bars
