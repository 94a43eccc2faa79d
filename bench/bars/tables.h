// Verdicts in words: on a terminal, in Markdown, in the file of what was measured.
#pragma once

#include <string>
#include <vector>

#include "bench/bars/judge.h"

namespace bench::bars {

// A section as a table, the rows that are lost or not measured first.
struct Sheet {
  std::string title;
  std::vector<std::string> summary;  // its bars, means and counts
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> marked;  // lost or not measured
};
std::vector<Sheet> sheets(const std::vector<JudgedSection>& sections, const Record& record);

std::string terminal_text(const std::vector<JudgedSection>& sections, const Record& record);
std::string markdown(const std::vector<JudgedSection>& sections, const Record& record);
Json verdicts(const std::vector<JudgedSection>& sections);

std::string facts_line(const Record& record);  // machine, instruction set, peers
// "all bars are held", or how many rows and means are not.
std::string conclusion(const std::vector<JudgedSection>& sections);

}  // namespace bench::bars
