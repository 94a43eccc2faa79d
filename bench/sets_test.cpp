// The sets have what their names promise, and a damaged text is refused by name.
#include "bench/sets.h"

#include <gtest/gtest.h>

#include "rondo/rondo.h"

namespace bench {
namespace {

TEST(Sets, HaveTheProblemsOfDeepBench) {
  EXPECT_EQ(shape_set("deepbench-train").rows.size(), 53U);
  EXPECT_EQ(shape_set("deepbench-infer").rows.size(), 69U + 3U);
}

TEST(Sets, SmallCoversItsRange) {
  const ShapeSet& small = shape_set("small");
  EXPECT_GE(small.rows.size(), 90U);
  for (const SetRow& row : small.rows) {
    EXPECT_TRUE(16 <= row.shape.h && row.shape.h <= 256 && row.shape.n <= 64 && row.shape.t <= 1000)
        << row.name;
  }
}

TEST(Sets, MultiplyTheirListsOut) {
  const auto sets = parse_sets(R"({"sets": [{"name": "s", "about": "a", "origin": "o", "rows": [
    {"cell": ["lstm", "gru"], "phase": ["training"], "h": [8, 9], "n": [1], "t": [2], "i": 3, "layers": 2,
     "bidirectional": true, "why": "w"}]}]})");
  ASSERT_EQ(sets.size(), 1U);
  ASSERT_EQ(sets[0].rows.size(), 4U);
  const SetRow& last = sets[0].rows[3];
  EXPECT_EQ(last.name, "gru_t2_n1_h9_i3_l2_bi_training");
  EXPECT_EQ(last.why, "w");
  EXPECT_EQ(last.shape.i, 3);
  EXPECT_EQ(last.shape.layers, 2);
  EXPECT_TRUE(last.shape.bidirectional);
  EXPECT_EQ(last.shape.phase, "training");
}

std::string refusal(const std::string& text) {
  try {
    (void)parse_sets(text);
  } catch (const rondo::InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}
std::string with_row(const std::string& row) {
  return R"({"sets": [{"name": "s", "about": "a", "origin": "o", "rows": [)" + row + "]}]}";
}

TEST(Sets, WhatIsWrongIsNamed) {
  const std::string good = R"("cell": ["lstm"], "phase": ["step"], "h": [8], "n": [1], "t": [2])";
  EXPECT_EQ(refusal(with_row("{" + good + "}")), "accepted");
  EXPECT_NE(refusal("{").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("[]").find("not an object"), std::string::npos);
  for (const auto& [row, part] : std::vector<std::pair<std::string, std::string>>{
           {"{" + good + R"(, "hh": 3})", "s, row 1: unknown key \"hh\""},
           {R"({"cell": ["lstm"]})", "s, row 1: t"},
           {R"({"cell": ["peephole"], "phase": ["step"], "h": [8], "n": [1], "t": [2]})",
            "unknown \"peephole\""},
           {R"({"cell": ["lstm"], "phase": ["step"], "h": [0], "n": [1], "t": [2]})", "s, row 1: h"},
           {R"({"cell": ["lstm"], "phase": ["step"], "h": "8", "n": [1], "t": [2]})", "s, row 1: h"},
           {"{" + good + R"(, "layers": 0})", "layers"},
           {"{" + good + "}, {" + good + "}", "two rows are lstm_t2_n1_h8_step"}}) {
    EXPECT_NE(refusal(with_row(row)).find(part), std::string::npos) << refusal(with_row(row));
  }
}

TEST(Sets, OneThatIsNotThereListsThoseThatAre) {
  try {
    (void)shape_set("tiny");
    FAIL();
  } catch (const rondo::InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("\"tiny\", only small, streaming"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace bench
