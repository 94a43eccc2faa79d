// Two files of results: what counts as slower, and what cannot be told.
#include "bench/difference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "bench/made_up_results.h"

namespace bench {
namespace {

std::string test_file(const char* which) {
  return std::string("diff-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + which +
         ".json";
}

struct Outcome {
  int status = 0;
  std::string text, error;
};
Outcome run(const std::filesystem::path& before, const std::filesystem::path& after) {
  std::ostringstream out;
  ::testing::internal::CaptureStderr();
  const int status = run_difference(before.string(), after.string(), out);
  return {status, out.str(), ::testing::internal::GetCapturedStderr()};
}
Outcome run(const json& before, const json& after) {
  return run(written(test_file("-old"), before), written(test_file("-new"), after));
}

json rows_with(double us, double spread) {
  json rows = json::array();
  for (std::int64_t h : {16, 32, 64, 128}) rows.push_back(made_up_row({.h = h, .us = us, .spread = spread}));
  return rows;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Difference, OfAFileAndItselfIsNone) {
  const Outcome result = run(made_up_file(rows_with(100, 0.01)), made_up_file(rows_with(100, 0.01)));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(has(result.text, "4 rows compared: 0 slower, 0 faster, 4 the same, 0 unclear")) << result.text;
  EXPECT_TRUE(has(result.text, "Geometric mean of new over old: 1.000")) << result.text;
  EXPECT_FALSE(has(result.text, "WARNING")) << result.text;
}

TEST(Difference, FindsOneSlowRowAmongMany) {
  json after = rows_with(100, 0.01);
  after[2] = made_up_row({.h = 64, .us = 120, .spread = 0.01});
  const Outcome result = run(made_up_file(rows_with(100, 0.01)), made_up_file(after));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_TRUE(has(result.text, "1 slower, 0 faster, 3 the same")) << result.text;
  EXPECT_TRUE(has(result.text, "SLOWER\n")) << result.text;
  EXPECT_TRUE(has(result.text, "\nREGRESSION.\n")) << result.text;
}

TEST(Difference, CallsNoiseUnclear) {
  // The same 20 %, but within quartiles that are 80 % apart.
  json after = rows_with(100, 0.4);
  after[2] = made_up_row({.h = 64, .us = 120, .spread = 0.4});
  const Outcome result = run(made_up_file(rows_with(100, 0.4)), made_up_file(after));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(has(result.text, "0 slower, 0 faster, 0 the same, 4 unclear")) << result.text;
  EXPECT_TRUE(has(result.text, "slower expected by chance")) << result.text;
}

TEST(Difference, TrustsTheMedianAndTheMinimumOnlyTogether) {
  json after = rows_with(100, 0.01);
  after[1] = made_up_row({.h = 32, .us = 120, .spread = 0.01});
  after[1]["min_time"] = 98.5;  // as fast as before, at its best
  const Outcome result = run(made_up_file(rows_with(100, 0.01)), made_up_file(after));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(has(result.text, "3 the same, 1 unclear")) << result.text;
}

TEST(Difference, KnowsLittleOfFewRepetitions) {
  json before = rows_with(100, 0), after = rows_with(112, 0);
  EXPECT_EQ(run(made_up_file(before), made_up_file(after)).status, 1);
  for (json& row : before) row["repetitions"] = 1;
  for (json& row : after) row["repetitions"] = 1;
  const Outcome result = run(made_up_file(json::array({before[0]})), made_up_file(json::array({after[0]})));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(has(result.text, "1 unclear")) << result.text;
}

TEST(Difference, HasAnIntervalThatGrowsWithTheSpreadAndShrinksWithRepetitions) {
  const auto width = [](double spread, int repetitions) {
    Row row{.name = "a", .repetitions = repetitions, .us = 100};
    row.p25_us = 100 * (1 - spread);
    row.p75_us = 100 * (1 + spread);
    row.min_us = row.p25_us;
    const Ratio ratio = ratio_of(row, row);
    return ratio.high - ratio.low;
  };
  EXPECT_GT(width(0.1, 20), 1.5 * width(0.05, 20));
  EXPECT_GT(width(0.1, 20), 1.5 * width(0.1, 80));
  // 1.96 standard errors of two medians of 25, whose samples have a deviation of 0.1483.
  EXPECT_NEAR(width(0.1, 25), 2 * 1.96 * std::sqrt(2.0) * 1.2533 * 0.14826 / 5, 0.01);
}

TEST(Difference, SaysWhatBecameFaster) {
  const Outcome result = run(made_up_file(rows_with(100, 0.01)), made_up_file(rows_with(70, 0.01)));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(has(result.text, "0 slower, 4 faster")) << result.text;
  EXPECT_TRUE(has(result.text, "new over old: 0.700")) << result.text;
}

TEST(Difference, SeesManySmallSlowdownsTogether) {
  // Each row alone is unclear: 8 % within noise of about 6 %. Sixty of them are not.
  json before = json::array(), after = json::array();
  for (std::int64_t h = 1; h <= 60; ++h) {
    before.push_back(made_up_row({.h = h, .us = 100, .spread = 0.06}));
    after.push_back(made_up_row({.h = h, .us = 108, .spread = 0.06}));
  }
  const Outcome result = run(made_up_file(before), made_up_file(after));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_TRUE(has(result.text, " 0 slower, 0 faster, 0 the same, 60 unclear")) << result.text;
}

TEST(Difference, ListsRowsOfOneFileOnlyAndThoseThatFailNow) {
  json before = rows_with(100, 0.01), after = rows_with(100, 0.01);
  before.push_back(made_up_row({.runner = "gone"}));
  after.push_back(made_up_row({.runner = "new"}));
  before.push_back(made_up_failure({.runner = "mended"}, "broken"));
  after.push_back(made_up_row({.runner = "mended"}));
  const Outcome same = run(made_up_file(before), made_up_file(after));
  EXPECT_EQ(same.status, 0) << same.text;
  EXPECT_TRUE(has(same.text, "only in the old file (1):\n  t10_n1_h32/lstm/inference/f32/gone\n"))
      << same.text;
  EXPECT_TRUE(has(same.text, "only in the new file (1):\n  t10_n1_h32/lstm/inference/f32/new\n"))
      << same.text;
  EXPECT_TRUE(has(same.text, "ran in the new one (1):\n  t10_n1_h32/lstm/inference/f32/mended\n"))
      << same.text;
  after[0] = made_up_failure({.h = 16}, "no memory");
  const Outcome failed = run(made_up_file(before), made_up_file(after));
  EXPECT_EQ(failed.status, 1) << failed.text;
  EXPECT_TRUE(
      has(failed.text, "FAILED in the new one (1):\n  t10_n1_h16/lstm/inference/f32/cpu/1: no memory"))
      << failed.text;
  after[0]["skipped"] = true;
  EXPECT_EQ(run(made_up_file(before), made_up_file(after)).status, 0);
}

TEST(Difference, WarnsOfAnotherMachine) {
  json after = made_up_file(rows_with(100, 0.01));
  after["context"]["cpu"] = "Another Processor";
  after["context"]["threads"] = 8;
  after["context"]["isa"] = "avx512";
  after["context"]["complete"] = false;
  const Outcome result = run(made_up_file(rows_with(100, 0.01)), after);
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(has(result.text, "WARNING: NOT ALIKE: cpu was A Processor, is Another Processor\n"))
      << result.text;
  EXPECT_TRUE(has(result.text, "WARNING: NOT ALIKE: threads was 2, is 8\n")) << result.text;
  EXPECT_TRUE(has(result.text, "WARNING: NOT ALIKE: isa was avx2, is avx512\n")) << result.text;
  EXPECT_TRUE(has(result.text, "was interrupted")) << result.text;
  EXPECT_TRUE(has(result.text, "see the warnings above")) << result.text;
}

TEST(Difference, IsNoneOfFilesWithoutACommonRow) {
  const Outcome result = run(made_up_file(json::array({made_up_row({.h = 16})})),
                             made_up_file(json::array({made_up_row({.h = 32})})));
  EXPECT_EQ(result.status, 2) << result.text;
  EXPECT_TRUE(has(result.text, "nothing is compared")) << result.text;
}

// Each is refused by name, and stays as it is.
TEST(Difference, RefusesDamagedFiles) {
  const json good = made_up_file(rows_with(100, 0.01));
  const auto with = [&](const char* field, const json& value) {
    json file = good;
    if (value.is_null()) {
      file["benchmarks"][1].erase(field);
    } else {
      file["benchmarks"][1][field] = value;
    }
    return file.dump();
  };
  json other = good, twice = good, no_rows = good;
  other["context"]["format"] = "rondo-bench 2";
  twice["benchmarks"].push_back(good["benchmarks"][0]);
  no_rows.erase("benchmarks");
  const std::pair<std::string, std::string> damaged[] = {
      {"", "is damaged, or no JSON"},
      {good.dump().substr(0, 500), "is damaged, or no JSON"},
      {"[1]", "no object"},
      {no_rows.dump(), "benchmarks, the list of rows, is missing"},
      {other.dump(), "its format is \"rondo-bench 2\", expected \"rondo-bench 1\""},
      {twice.dump(), "benchmarks[4]: a second row named"},
      {with("real_time", -1), "benchmarks[1]: real_time is -1, expected a time above 0"},
      {with("real_time", "fast"), "real_time is \"fast\", expected a number"},
      {with("real_time", nullptr), "benchmarks[1]: real_time is missing"},
      {with("p75_time", 50), "not in order"},
      {with("h", 0), "h is 0, expected an integer from 1"},
      {with("phase", "sleep"), "phase is \"sleep\", expected inference, training or step"},
      {with("time_unit", "weeks"), "time_unit is \"weeks\", expected ns, us, ms or s"}};
  const auto intact = written(test_file("-intact"), good);
  for (const auto& [text, expected] : damaged) {
    const auto path = written(test_file("-damaged"), text);
    for (const Outcome& result : {run(intact, path), run(path, intact)}) {
      EXPECT_EQ(result.status, 2) << expected;
      EXPECT_TRUE(has(result.error, path.string() + ": ") && has(result.error, expected)) << result.error;
      EXPECT_EQ(result.text, "");
    }
    std::ifstream stream(path);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), text);
  }
  const Outcome missing = run(intact, "/no/such/file.json");
  EXPECT_EQ(missing.status, 2);
  EXPECT_TRUE(has(missing.error, "/no/such/file.json: cannot be read")) << missing.error;
}

}  // namespace
}  // namespace bench
