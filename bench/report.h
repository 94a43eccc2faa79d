// The page of results: which is faster where, from files alone.
#pragma once

#include <string>
#include <vector>

namespace bench {

struct ReportOptions {
  std::vector<std::string> files;  // of results and of regret
  std::string out = "report.html";
  std::string gpu;   // a file of results whose GPU rows stand in; "published": figures; "": what is found
  std::string plot;  // one plot alone, as SVG: a name of plot_names(); "": the page
};

std::vector<std::string> plot_names();

// Writes the page, or the plot. 0; 2 for a file that cannot be used, which it names on stderr.
int run_report(const ReportOptions& options);

}  // namespace bench
