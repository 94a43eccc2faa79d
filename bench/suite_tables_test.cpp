// A made-up file, in words and as a table.
#include "bench/suite_tables.h"

#include <gtest/gtest.h>

namespace bench {
namespace {

Json entry(const std::string& row, const std::string& runner, double us) {
  Json e{{"name", row + "/" + runner}, {"runner", runner}};
  if (us > 0) e["real_time"] = us;
  return e;
}

Json results() {
  return {{"context",
           {{"set", "small"},
            {"engine", "rondo 0"},
            {"cpu", "A Processor"},
            {"isa", "avx2"},
            {"threads", 2},
            {"date", "2026-01-02"},
            {"complete", false}}},
          {"benchmarks",
           {entry("a", "cpu/1", 10), entry("a", "cpu", 20), entry("a", "cuda:0", 40), entry("a", "auto", 20),
            entry("a", "onednn/1", 40), entry("a", "onednn", 10), entry("a", "pytorch-graph", 80),
            entry("b", "cpu/1", 40), entry("b", "cpu", 20), entry("b", "cuda:0", 5), entry("b", "auto", 10),
            entry("b", "onednn/1", 0)}}};
}

TEST(Summary, ComparesEachWithItsCounterpart) {
  const std::string text = summary(results());
  EXPECT_NE(text.find("auto takes 2 of the time"), std::string::npos) << text;  // 20 over 10, 10 over 5
  EXPECT_NE(text.find("the GPU takes 1 of the CPU's time and is faster in 1 (geometric mean, rows: 2)"),
            std::string::npos)
      << text;  // 4 and 1/4
  EXPECT_NE(text.find("onednn/1 takes 4 times as long as cpu/1 (geometric mean, rows: 1)"), std::string::npos)
      << text;
  EXPECT_NE(text.find("onednn takes 0.5 times as long as cpu "), std::string::npos) << text;
  EXPECT_NE(text.find("pytorch-graph takes 2 times as long as cuda:0"), std::string::npos) << text;
}

TEST(MarkdownTable, HasAColumnForEachRunnerAndADashWhereItDidNotRun) {
  const std::string text = markdown_table(results());
  EXPECT_NE(text.find("2026-01-02, interrupted"), std::string::npos) << text;
  EXPECT_NE(text.find("| row | cpu/1 | cpu | cuda:0 | auto | onednn/1 | onednn | pytorch-graph |"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n| b | 40 | 20 | 5 | 10 | - | - | - |"), std::string::npos) << text;
}

}  // namespace
}  // namespace bench
