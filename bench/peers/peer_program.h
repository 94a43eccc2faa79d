// What every peer in C++ shares: the commands and options of rondo-bench, a line in and a line out.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "bench/result.h"
#include "bench/shape_options.h"

namespace bench {

// The caller's mistake: an option that the engine does not have.
class BadOption : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A shape that is ready to be run again and again.
struct ReadyShape {
  std::function<void()> run;
  Runner runner;
};

struct PeerProgram {
  std::string name;                      // "onednn"
  std::string title;                     // "oneDNN"
  std::function<std::string()> version;  // throws why it cannot run
  std::function<ReadyShape(const ShapeOptions&)> prepare;
};

// Answers `about`, `shape` and `rows`, as main does.
int run_peer(const PeerProgram& peer, int argc, char** argv);

}  // namespace bench
