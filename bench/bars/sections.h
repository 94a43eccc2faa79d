// What Rondo is held to on the CPU: sections of rows with their bars, read from bench/bars/bars.json.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/sets.h"

namespace bench::bars {

// How a section's rows are measured.
enum class By {
  kPeers,    // beside other engines: runners "rondo/1", "onednn/2"
  kOptions,  // an option beside the plain cell: "option", "plain"
  kRagged,   // rows of different lengths beside the full batch: "ragged", "full batch, valid share"
  kSteps,    // one step a call beside a bare loop of kernels: "rondo/1", "bare/1"
  kCalls,    // each step of many by itself: "p99.9", "median"
  kStart,    // a network in a process of its own: "plan", "first call"
  kMemory,   // training in a process of its own: "rondo MB", "pytorch MB"
};

struct Section {
  std::string name, about;
  By by = By::kPeers;
  std::vector<std::string> sets;  // whose rows it judges

  // kPeers. Ratios are the peer's time over Rondo's.
  int threads = 1;
  bool better_threads = false;       // the peer takes one thread where that is faster for it
  std::optional<double> mean;        // at least, of the geometric mean of all rows
  std::optional<double> row, share;  // at least: of the ratio of each row, or instead of its limit's share
  std::optional<double> own;         // at most, of Rondo's own time on one thread

  // The others: what a runner takes, over what another does, or, where `over` is "", by itself.
  std::string what, over;
  std::optional<double> most;
};

// Figures of others that are printed beside a row.
struct Published {
  std::string origin;
  std::map<std::string, double> us;  // by the row's name
};

struct Bars {
  std::vector<std::int64_t> quick_h;  // the rows of a quick look
  std::vector<ShapeSet> sets;         // rows with options are multiplied out
  std::vector<Section> sections;
  Published published;

  const ShapeSet& set(const std::string& name) const;  // one of them
};

// rondo::InvalidArgument names the place and what is wrong there.
Bars parse_bars(const std::string& json);
const Bars& bars();  // those of the file, which the program carries

}  // namespace bench::bars
