// The subcommand bars.
#pragma once

#include <optional>
#include <string>

#include "bench/bars/measure.h"

namespace CLI {
class App;
}

namespace bench::bars {

class Command {
 public:
  explicit Command(CLI::App& app);
  // The exit status, if it was given: 0 all bars are held, 1 not all, 2 a file that cannot be used, 130
  // interrupted.
  std::optional<int> run() const;

 private:
  const CLI::App* command_;
  MeasureOptions options_;
  std::string markdown_, html_, from_;
  bool list_ = false;
};

}  // namespace bench::bars
