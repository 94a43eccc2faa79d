// The README's program, compiled and run, and its table against what supports() answers.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "cuda/choose_path.h"
#include "readme_options.h"
#include "rondo/rondo.h"

// The program as it stands in the README, less its last brace: a function other than main has to return.
#define main readme_program
#include "readme_example.inc"
return 0;
}
#undef main

namespace rondo::testing {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(std::string(RONDO_SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ReadmeProgram, IsTheOneThatIsCompiledHere) {
  const std::string readme = read("README.md"), start = "```cpp\n";
  const std::size_t begin = readme.find(start);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t code = begin + start.size();
  EXPECT_EQ(readme.substr(code, readme.find("```", code) - code), read("tests/readme_example.inc") + "}\n")
      << "after a change of the README, copy its program to tests/readme_example.inc, less the last brace";
}

TEST(ReadmeProgram, RunsAndExplains) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(readme_program(), 0);
  const std::string printed = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("I=12 H=32 L=2 bidirectional(concat)"), std::string::npos) << printed;
  EXPECT_NE(printed.find("cpu"), std::string::npos) << printed;
}

// The cells of a line "| a | b |", without the blanks around them.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> found;
  std::istringstream in(line);
  std::string cell;
  std::getline(in, cell, '|');
  while (std::getline(in, cell, '|')) {
    const std::size_t first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
    found.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return found;
}

TEST(ReadmeTable, SaysWhatSupportsAnswers) {
  std::istringstream readme(read("README.md"));
  std::string line;
  while (std::getline(readme, line) && line.rfind("| option |", 0) != 0) continue;
  const std::vector<std::string> columns = cells(line);
  ASSERT_EQ(columns, (std::vector<std::string>{"option", "cpu inference", "cpu training", "cuda inference",
                                               "cuda training"}));
  std::getline(readme, line);  // the rule below the header
  std::map<std::string, int> rows;
  while (std::getline(readme, line) && line.rfind("|", 0) == 0) {
    const std::vector<std::string> row = cells(line);
    ASSERT_EQ(row.size(), columns.size()) << line;
    ASSERT_TRUE(options().contains(row[0])) << "no such option: " << line;
    ++rows[row[0]];
    RnnConfig config{.cell = Cell::kLstm, .input_size = 3, .hidden_size = 4};
    options().at(row[0])(config);
    for (std::size_t i = 1; i < columns.size(); ++i) {
      const Device device = parse_device(columns[i].substr(0, columns[i].find(' '))).value();
      const Phase phase = columns[i].ends_with("training") ? Phase::kTraining : Phase::kInference;
      const Support support = supports(config, phase, device);
      const bool cpu = device.kind == Device::Kind::kCpu;
      // This program has no CUDA backend, but the choice of its paths; cuda_module_test asks the backend.
      const bool ok = cpu ? support.ok : !cuda::choose_path({config, phase}, {}).candidates.empty();
      EXPECT_EQ(row[i], !ok ? "no" : (cpu ? "verified" : "compiled, not yet run"))
          << row[0] << ", " << columns[i] << ". " << support.reason;
    }
  }
  for (const auto& [name, option] : options()) EXPECT_EQ(rows[name], 1) << "rows of " << name;
}

}  // namespace
}  // namespace rondo::testing
