// Verdicts over made-up times: what holds a bar, what saves a row, and what is not measured.
#include "bench/bars/judge.h"

#include <gtest/gtest.h>

#include "bench/bars/tables.h"
#include "rondo/error.h"

namespace bench::bars {
namespace {

Bars made_up_bars(const std::string& section) {
  return parse_bars(R"({"quick_h": [], "sets": [{"name": "s", "about": "a", "origin": "o", "rows": [
    {"cell": ["lstm", "gru"], "phase": ["inference"], "h": [16], "n": [1], "t": [10]}]}],
    "sections": [{"name": "x", "about": "a", "by": "peers", "sets": ["s"], )" +
                    section + "}]}");
}

using Rounds = std::map<std::string, std::vector<double>>;
Row row(const std::string& cell, Rounds rounds) {
  Row row{.set = "s", .name = cell + "_t10_n1_h16", .rounds = std::move(rounds)};
  row.shape.cell = cell;
  row.shape.t = 10, row.shape.n = 1, row.shape.i = row.shape.h = 16;
  return row;
}
// Its limits: an LSTM of that shape takes 10 us at least, by its activations alone (5 * 16 * 10 of them).
Record record(std::vector<Row> rows) {
  constexpr Limits kFast{.flops_per_us = 1e12,
                         .l1_bytes_per_us = 1e12,
                         .l2_bytes_per_us = 1e12,
                         .far_bytes_per_us = 1e12,
                         .l1_bytes = 1000,
                         .l2_bytes = 2000,
                         .activations_per_us = 80};
  Record record{.rows = std::move(rows)};
  record.context["sections"] = {"x"};
  record.context["engine"] = "rondo 0";
  record.context["peers"] = {{{"name", "peer"}, {"version", "7"}, {"note", ""}}};
  Json& limits = record.context["limits"];
  limits = {{"flops_per_us", kFast.flops_per_us},
            {"l1_bytes_per_us", kFast.l1_bytes_per_us},
            {"l2_bytes_per_us", kFast.l2_bytes_per_us},
            {"far_bytes_per_us", kFast.far_bytes_per_us},
            {"l1_bytes", kFast.l1_bytes},
            {"l2_bytes", kFast.l2_bytes},
            {"activations_per_us", kFast.activations_per_us}};
  return record;
}

// The one row of a section.
JudgedRow judged(const std::string& section, Rounds rounds) {
  static Record kept;
  static Bars bars;
  bars = made_up_bars(section);
  kept = record({row("lstm", std::move(rounds))});
  return judge(bars, kept).at(0).rows.at(0);
}

constexpr const char* kBar = R"("threads": 1, "row": 1.0)";

TEST(Judge, ARowIsLostOnlyWhenItsWholeIntervalIsUnderTheBar) {
  const std::vector<double> own = {100, 100, 100, 100, 100};
  EXPECT_EQ(judged(kBar, {{"rondo/1", own}, {"peer/1", {97, 98, 98, 99, 101}}}).verdict, Verdict::kHeld);
  EXPECT_EQ(judged(kBar, {{"rondo/1", own}, {"peer/1", {97, 98, 98, 99, 99.9}}}).verdict, Verdict::kLost);
  EXPECT_EQ(judged(kBar, {{"rondo/1", own}, {"peer/1", {120, 120, 120, 120, 90}}}).verdict, Verdict::kHeld);
}

TEST(Judge, ABarWithinTheIntervalLeavesARowUndecided) {
  const std::vector<double> own = {100, 100, 100};
  EXPECT_TRUE(judged(kBar, {{"rondo/1", own}, {"peer/1", {98, 99, 101}}}).undecided);
  EXPECT_FALSE(judged(kBar, {{"rondo/1", own}, {"peer/1", {97, 98, 99}}}).undecided);
  EXPECT_FALSE(judged(kBar, {{"rondo/1", own}, {"peer/1", {101, 102, 103}}}).undecided);
}

TEST(Judge, TheIntervalIsOfTheRoundsOwnRatios) {
  // The machine slows down for both: no round differs from another.
  const Interval same = ratio_of({200, 400, 100, 300, 500}, {100, 200, 50, 150, 250});
  EXPECT_DOUBLE_EQ(same.value, 2);
  EXPECT_DOUBLE_EQ(same.low, 2);
  EXPECT_DOUBLE_EQ(same.high, 2);
  const Interval wide = ratio_of({100, 110, 90}, {100, 100, 100});
  EXPECT_DOUBLE_EQ(wide.low, 0.9);
  EXPECT_DOUBLE_EQ(wide.high, 1.1);
  // Of eight rounds the outermost may be off.
  const Interval eight = ratio_of({1, 100, 101, 102, 103, 104, 105, 9000}, std::vector<double>(8, 100));
  EXPECT_DOUBLE_EQ(eight.low, 1);
  EXPECT_DOUBLE_EQ(eight.high, 1.05);
}

TEST(Judge, IntervalsHoldNinetyPercentFromFiveRoundsOn) {
  EXPECT_DOUBLE_EQ(coverage(3), 0.75);
  EXPECT_DOUBLE_EQ(coverage(5), 1 - 2.0 / 32);
  EXPECT_DOUBLE_EQ(coverage(8), 1 - 2 * 9.0 / 256);
  for (std::size_t rounds = 5; rounds < 30; ++rounds) EXPECT_GE(coverage(rounds), 0.9) << rounds;
}

TEST(Judge, ALimitThatIsNearSavesARow) {
  const std::string bars = R"("threads": 1, "row": 1.0, "share": 0.85)";
  const JudgedRow near = judged(bars, {{"rondo/1", {11, 11, 11}}, {"peer/1", {9, 9, 9}}});
  EXPECT_EQ(near.verdict, Verdict::kHeldByShare);
  EXPECT_NEAR(near.limit_us, 10, 1e-6);
  EXPECT_NEAR(near.share, 10.0 / 11, 1e-6);
  EXPECT_EQ(judged(bars, {{"rondo/1", {12, 12, 12}}, {"peer/1", {9, 9, 9}}}).verdict, Verdict::kLost);
  EXPECT_EQ(judged(kBar, {{"rondo/1", {11, 11, 11}}, {"peer/1", {9, 9, 9}}}).verdict, Verdict::kLost);
}

TEST(Judge, ThePeerIsTheFastestOfAsManyThreads) {
  const Rounds rounds = {{"rondo/1", {10, 10, 10}}, {"rondo/2", {8, 8, 8}}, {"slow/1", {30, 30, 30}},
                         {"peer/1", {20, 20, 20}},  {"peer/2", {4, 4, 4}},  {"slow/2", {24, 24, 24}}};
  const JudgedRow one = judged(kBar, rounds);
  EXPECT_EQ(one.other_name, "peer/1");
  EXPECT_DOUBLE_EQ(one.ratio->value, 2);
  const JudgedRow two = judged(R"("threads": 2, "row": 1.0)", rounds);
  EXPECT_EQ(two.other_name, "peer/2");
  EXPECT_DOUBLE_EQ(two.ratio->value, 0.5);
  EXPECT_NEAR(two.limit_us, 5, 1e-6);  // two threads share the work
  const Rounds better_on_one = {{"rondo/2", {8, 8, 8}}, {"peer/1", {6, 6, 6}}, {"peer/2", {9, 9, 9}}};
  EXPECT_EQ(judged(R"("threads": 2, "better_threads": true, "row": 1.0)", better_on_one).other_name,
            "peer/1");
}

TEST(Judge, TwoThreadsMustNotBeSlowerThanOne) {
  const std::string bars = R"("threads": 2, "better_threads": true, "own": 1.05)";
  Rounds rounds = {{"rondo/1", {100, 100, 100}}, {"rondo/2", {106, 107, 104}}, {"peer/1", {50, 50, 50}}};
  EXPECT_EQ(judged(bars, rounds).verdict, Verdict::kHeld);  // the interval reaches down to 1.04
  rounds["rondo/2"] = {106, 107, 105.5};
  EXPECT_EQ(judged(bars, rounds).verdict, Verdict::kLost);
}

TEST(Judge, ACostIsAtMostSoMuchOfWhatItIsHeldAgainst) {
  const auto section = [](const std::string& more) {
    return parse_bars(R"({"quick_h": [], "sets": [{"name": "s", "about": "a", "origin": "o", "rows": [
      {"cell": ["lstm"], "phase": ["inference"], "h": [16], "n": [1], "t": [10]}]}],
      "sections": [{"name": "x", "about": "a", "by": "options", "sets": ["s"], "what": "option", )" +
                      more + "}]}");
  };
  const Bars ratio = section(R"("over": "plain", "most": 1.25)"), alone = section(R"("most": 40)");
  Record made = record({row("lstm", {{"option", {51, 52, 51}}, {"plain", {40, 41, 40.5}}})});
  EXPECT_EQ(judge(ratio, made).at(0).rows.at(0).verdict, Verdict::kLost);
  EXPECT_EQ(judge(alone, made).at(0).rows.at(0).verdict, Verdict::kLost);
  made.rows[0].rounds["plain"][0] = 42;  // one round of 1.19
  EXPECT_EQ(judge(ratio, made).at(0).rows.at(0).verdict, Verdict::kHeld);
  made.rows[0].rounds["option"][1] = 39;
  EXPECT_EQ(judge(alone, made).at(0).rows.at(0).verdict, Verdict::kHeld);
  made.rows[0].rounds.erase("plain");
  made.rows[0].errors["plain"] = "no such thing";
  EXPECT_EQ(judge(ratio, made).at(0).rows.at(0).verdict, Verdict::kNotMeasured);
  EXPECT_EQ(judge(ratio, made).at(0).rows.at(0).note, "no such thing");
}

TEST(Judge, WithoutAPeerARowIsNotMeasuredAndNotAPass) {
  const Bars bars = made_up_bars(kBar);
  Row alone = row("lstm", {{"rondo/1", {10, 10, 10}}});
  alone.errors["peer/1"] = "gone";
  Record made = record({alone});
  auto sections = judge(bars, made);
  EXPECT_EQ(sections.at(0).rows.at(0).verdict, Verdict::kNotMeasured);
  EXPECT_EQ(sections.at(0).rows.at(0).note, "no peer answered: peer/1: gone");
  EXPECT_FALSE(all_held(sections));
  EXPECT_NE(terminal_text(sections, made).find("not measured: 1 rows"), std::string::npos);
  made = record({row("lstm", {{"peer/1", {10, 10, 10}}})});
  sections = judge(bars, made);
  EXPECT_EQ(sections.at(0).rows.at(0).verdict, Verdict::kNotMeasured);
}

TEST(Judge, TheMeanIsGeometricAndOfTheSectionsRowsAlone) {
  const Bars bars = made_up_bars(R"("threads": 1, "mean": 2.0, "row": 0.5)");
  Row other = row("gru", {{"rondo/1", {1, 1, 1}}, {"peer/1", {100, 100, 100}}});
  other.set = "another";
  Record made = record({row("lstm", {{"rondo/1", {10, 10, 10}}, {"peer/1", {10, 11, 10}}}),
                        row("gru", {{"rondo/1", {10, 10, 10}}, {"peer/1", {40, 40, 40}}}), other});
  auto sections = judge(bars, made);
  ASSERT_EQ(sections.at(0).rows.size(), 2U);
  EXPECT_NEAR(sections[0].mean->value.value, 2, 1e-12);
  EXPECT_NEAR(sections[0].mean->value.high, std::sqrt(4.4), 1e-12);
  EXPECT_EQ(sections[0].mean->verdict, Verdict::kHeld);
  EXPECT_TRUE(all_held(sections));
  made.rows[1].rounds["peer/1"] = {39, 39, 39};
  sections = judge(bars, made);
  EXPECT_EQ(sections[0].mean->verdict, Verdict::kLost);
  EXPECT_EQ(sections[0].count(Verdict::kLost), 0U);
  EXPECT_FALSE(all_held(sections));
}

TEST(Tables, ShowLostRowsFirstAndSayHowMany) {
  const Bars bars = made_up_bars(kBar);
  const Record made = record({row("lstm", {{"rondo/1", {10, 10, 10}}, {"peer/1", {20, 20, 20}}}),
                              row("gru", {{"rondo/1", {10, 10, 10}}, {"peer/1", {5, 5, 5}}})});
  const auto sections = judge(bars, made);
  const Sheet sheet = sheets(sections, made).at(0);
  EXPECT_EQ(sheet.rows.at(0).at(0), "gru_t10_n1_h16");
  EXPECT_TRUE(sheet.marked.at(0) && !sheet.marked.at(1));
  EXPECT_NE(markdown(sections, made).find("| gru_t10_n1_h16 | LOST | 10.0 | 5.00 | peer 7 | 0.50 |"),
            std::string::npos)
      << markdown(sections, made);
  EXPECT_EQ(conclusion(sections), "Under their bars: 1 rows, 0 geometric means; not measured: 0 rows.");
}

TEST(BarsFile, HasTheSectionsOfTheTable) {
  const std::map<std::string, std::size_t> rows = {{"n1", 72}, {"batch", 36}, {"training", 36}};
  for (const auto& [set, count] : rows) EXPECT_EQ(bars().set(set).rows.size(), count) << set;
}

std::string refusal(const std::string& section) {
  try {
    (void)made_up_bars(section);
  } catch (const rondo::InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BarsFile, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal(kBar), "accepted");
  for (const auto& [section, part] : std::vector<std::pair<std::string, std::string>>{
           {R"("row": 0)", "bars, x: row: expected a number above 0"},
           {R"("row": "1")", "bars, x: row"},
           {R"("rows": 1)", "unknown key \"rows\""},
           {R"("threads": 3)", "threads: expected 1 or 2"},
           {R"("threads": 1, "own": 1.05)", "own: expected with threads 2"},
           {R"("share": 0.8)", "share: expected with row"}}) {
    EXPECT_NE(refusal(section).find(part), std::string::npos) << refusal(section);
  }
  EXPECT_THROW((void)parse_bars("{"), rondo::InvalidArgument);
}

}  // namespace
}  // namespace bench::bars
