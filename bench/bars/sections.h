// What Rondo is held to on the CPU: sections of rows with their bars, read from bench/bars/bars.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/sets.h"

namespace bench::bars {

// kPeers: rows are timed beside other engines.
enum class Kind { kPeers };

struct Section {
  std::string name, about;
  Kind kind = Kind::kPeers;
  std::vector<std::string> sets;  // whose rows it judges

  // kPeers. Ratios are the peer's time over Rondo's.
  int threads = 1;
  bool better_threads = false;       // the peer takes one thread where that is faster for it
  std::optional<double> mean;        // at least, of the geometric mean of all rows
  std::optional<double> row, share;  // at least: of the ratio of each row, or instead of its limit's share
  std::optional<double> own;         // at most, of Rondo's own time on one thread
};

struct Bars {
  std::vector<std::int64_t> quick_h;  // the rows of a quick look
  std::vector<ShapeSet> sets;
  std::vector<Section> sections;

  const ShapeSet& set(const std::string& name) const;  // one of them
};

// rondo::InvalidArgument names the place and what is wrong there.
Bars parse_bars(const std::string& json);
const Bars& bars();  // those of the file, which the program carries

}  // namespace bench::bars
