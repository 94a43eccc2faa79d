// The subcommands report and diff.
#pragma once

#include <optional>
#include <string>

#include "bench/report.h"

namespace CLI {
class App;
}

namespace bench {

class ReportCommands {
 public:
  explicit ReportCommands(CLI::App& app);
  std::optional<int> run() const;  // the exit status, if one of them was given

 private:
  const CLI::App* report_;
  const CLI::App* diff_;
  ReportOptions options_;
  std::string old_, new_;
};

}  // namespace bench
