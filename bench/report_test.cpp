// The page of results: what it has for which data.
#include "bench/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/made_up_results.h"
#include "bench/report_parts.h"

namespace bench {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string file_name(const std::string& which) {
  return std::string("report-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + which;
}

struct Made {
  int status = 0;
  std::string page, error;
};
// GPU times by prediction where the files have none, whatever lies under bench/results.
Made page_of(const std::vector<std::filesystem::path>& files, const std::string& plot = "") {
  ReportOptions options{.out = written(file_name("-out"), std::string("not written")).string(),
                        .gpu = "published",
                        .plot = plot};
  for (const auto& file : files) options.files.push_back(file.string());
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const int status = run_report(options);
  ::testing::internal::GetCapturedStdout();
  std::ifstream stream(options.out);
  return {status, {std::istreambuf_iterator<char>(stream), {}}, ::testing::internal::GetCapturedStderr()};
}
Made make(const json& rows, const std::string& plot = "") {
  return page_of({written(file_name(".json"), made_up_file(rows))}, plot);
}

// One thread wins where the work is little, all threads where it is much; H by N.
json grid() {
  json rows = json::array();
  for (std::int64_t n : {1, 8, 64}) {
    for (std::int64_t h : {16, 64, 256}) {
      const double one = 0.001 * static_cast<double>(n * h * h), all = 30 + one / 2;
      rows.push_back(made_up_row({.n = n, .h = h, .us = one}));
      rows.push_back(made_up_row({.runner = "cpu", .n = n, .h = h, .us = all, .threads = 2}));
    }
  }
  return rows;
}

TEST(Report, OfOneRowHasNoPlotAndTheRow) {
  const Made made = make(json::array({made_up_row({.runner = "cpu", .us = 1234})}));
  EXPECT_EQ(made.status, 0) << made.error;
  EXPECT_FALSE(has(made.page, "<figure>"));
  EXPECT_TRUE(has(made.page, "t10_n1_h32/lstm/inference/f32/cpu")) << made.page;
  EXPECT_TRUE(has(made.page, "1.23 ms"));
  EXPECT_TRUE(has(made.page, "No GPU was timed. no driver"));
  EXPECT_FALSE(has(made.page, "Incomplete"));
  EXPECT_TRUE(has(made.page, "A Processor"));
  EXPECT_TRUE(has(made.page, "onednn 9.9"));
}

TEST(Report, OfAGridHasMapsAndLines) {
  const Made made = make(grid());
  EXPECT_EQ(made.status, 0) << made.error;
  for (const char* part :
       {"One thread or all 2?", "CPU or GPU? (GPU predicted, not measured)", "Time against the size",
        "Time against the batch", "predicted from published figures, not measured",
        "All 2 threads are faster than one in 4 of 9 cases", "How near to the machine"}) {
    EXPECT_TRUE(has(made.page, part)) << part;
  }
  for (const char* part : {"Time against the length", "Streaming", "Beside other engines",
                           "What options cost", "How well the choice"}) {
    EXPECT_FALSE(has(made.page, part)) << part;
  }
  EXPECT_TRUE(has(made.page,
                  "All 2 threads are faster by size, LSTM inference, T 10: from H = 256 at N = 1, from "
                  "H = 64 at N = 64."));
  EXPECT_TRUE(has(made.page, "url(#gpPat"));  // hatched
}

TEST(Report, TakesTheGpuOfTheRunBeforeAnyPrediction) {
  json rows = grid();
  for (std::int64_t n : {1, 8, 64}) {
    for (std::int64_t h : {16, 64, 256})
      rows.push_back(made_up_row({.runner = "cuda:0", .n = n, .h = h, .us = 1}));
  }
  json file = made_up_file(rows);
  file["context"]["gpu"] = "A GPU";
  ReportOptions options{.files = {written(file_name(".json"), file).string()},
                        .out = written(file_name("-out"), std::string()).string()};
  Results results = read_all(options.files);
  results.gpu = find_gpu_half(results, "");
  EXPECT_EQ(results.gpu.from, GpuHalf::From::kSameRun);
  EXPECT_EQ(gpu_us(results, results.cases.begin()->first), 1);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_report(options), 0);
  ::testing::internal::GetCapturedStdout();
  std::ifstream stream(options.out);
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_TRUE(has(page, "the GPU is A GPU"));
  EXPECT_FALSE(has(page, "predicted from published figures"));
  EXPECT_FALSE(has(page, "url(#gpPat"));  // nothing is hatched
  // As the GPU of another machine's page it is named, and hatched.
  options.gpu = options.files[0];
  options.files = {written(file_name("-cpu.json"), made_up_file(grid())).string()};
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_report(options), 0);
  ::testing::internal::GetCapturedStdout();
  std::ifstream again(options.out);
  const std::string other{std::istreambuf_iterator<char>(again), {}};
  EXPECT_TRUE(has(other, "the GPU&#39;s times are from another machine, A GPU") ||
              has(other, "from another machine, A GPU"));
  EXPECT_FALSE(has(other, "predicted from published figures"));
}

TEST(Report, HasTheRatiosToPeers) {
  json rows = json::array();
  for (std::int64_t h : {16, 64}) {
    rows.push_back(made_up_row({.h = h, .us = 100}));
    rows.push_back(made_up_row({.runner = "onednn/1", .h = h, .us = h == 16 ? 400.0 : 25.0 * 16}));
  }
  rows.push_back(
      made_up_row({.runner = "pytorch", .h = 16, .us = 90, .threads = 2}));  // nothing of two threads here
  const Made made = make(rows);
  EXPECT_TRUE(has(made.page,
                  "Rondo is 4.00 times as fast as onednn, 1 thread (geometric mean of 2 cases): faster in "
                  "2, even in 0, slower in 0."))
      << made.page.substr(0, 6000);
  EXPECT_FALSE(has(made.page, "as pytorch"));
}

TEST(Report, HasTheRegretOfTheRunAndOfAFile) {
  json rows = json::array();
  for (std::int64_t h : {16, 64}) {
    rows.push_back(made_up_row({.h = h, .us = 100}));
    rows.push_back(made_up_row({.runner = "cpu", .h = h, .us = 80, .threads = 2}));
    json chosen = made_up_row({.runner = "auto", .h = h, .us = 80});
    chosen["chosen"] = h == 16 ? "cpu" : "cpu/1";
    rows.push_back(chosen);
  }
  json regret = {{"format", "rondo-regret 1"},
                 {"context", made_up_context()},
                 {"devices", {"cpu/1", "cpu"}},
                 {"mean", 0.3},
                 {"p95", 0.6},
                 {"within_25", 0.5},
                 {"worst", 0.6},
                 {"passed", false},
                 {"rows", json::array()}};
  for (int chosen : {0, 1}) {
    regret["rows"].push_back({{"cell", "gru"},
                              {"phase", "training"},
                              {"t", 5},
                              {"n", 3},
                              {"i", 7},
                              {"h", 9},
                              {"layers", 1},
                              {"bidirectional", false},
                              {"times_us", {16, 10}},
                              {"predicted_us", {1, 2}},
                              {"chosen", chosen},
                              {"regret", chosen == 0 ? 0.6 : 0.0}});
  }
  const auto results = written(file_name(".json"), made_up_file(rows));
  const auto regrets = written(file_name("-regret.json"), regret);
  const Made both = page_of({results, regrets});
  EXPECT_EQ(both.status, 0) << both.error;
  EXPECT_TRUE(
      has(both.page, "(auto, this run) costs 12.5 % over the fastest on average of 2 cases, at worst 25 %"))
      << both.page.substr(0, 6000);
  EXPECT_TRUE(has(both.page, "costs 30.0 % over the fastest on average of 2 cases, at worst 60 %"));
  EXPECT_TRUE(has(both.page, "NOT passed"));
  EXPECT_TRUE(has(both.page, "GRU, training, T 5, N 3, I 7, H 9"));
  EXPECT_EQ(page_of({regrets}).status, 0);
  regret["rows"][0]["chosen"] = 2;
  const Made damaged = page_of({results, written(file_name("-regret.json"), regret)});
  EXPECT_EQ(damaged.status, 2);
  EXPECT_TRUE(has(damaged.error, "-regret.json: rows[0]: chosen is 2, expected the place of a device"))
      << damaged.error;
  EXPECT_EQ(damaged.page, "not written");
}

TEST(Report, HasOptionsBesideThePlainCell) {
  json rows = json::array({made_up_row({.us = 100}), made_up_row({.option = "peephole", .us = 150})});
  const Made made = make(rows, "options");
  EXPECT_EQ(made.status, 0) << made.error;
  EXPECT_TRUE(made.page.starts_with("<?xml"));
  EXPECT_TRUE(has(made.page, "peephole") && has(made.page, "1.50")) << made.page;
}

TEST(Report, ListsWhatDidNotRun) {
  json skipped = made_up_failure({.h = 64}, "too slow");
  skipped["skipped"] = true;
  skipped["estimate_us"] = 3e6;
  json file = made_up_file(
      json::array({made_up_row({}), made_up_failure({.runner = "cuda:0"}, "no <memory>"), skipped}));
  file["context"]["complete"] = false;
  const Made made = page_of({written(file_name(".json"), file)});
  EXPECT_EQ(made.status, 0) << made.error;
  EXPECT_TRUE(has(made.page, "no &lt;memory&gt;"));
  EXPECT_TRUE(has(made.page, "skipped: too slow</td><td>3.00 s"));
  EXPECT_TRUE(has(made.page, "(incomplete run)"));
  EXPECT_TRUE(has(made.page, "was interrupted"));
}

TEST(Report, RefusesFilesThatItCannotUse) {
  const auto good = written(file_name(".json"), made_up_file(grid()));
  const auto torn = written(file_name("-torn.json"), made_up_file(grid()).dump().substr(0, 999));
  json other = made_up_file(grid());
  other["context"]["cpu"] = "Another";
  for (const auto& [bad, why] : {std::pair(torn, "is damaged, or no JSON (at byte "),
                                 {written(file_name("-other.json"), other), "a page is of one machine"},
                                 {std::filesystem::path("/no/file.json"), "cannot be read"}}) {
    const Made made = page_of({good, bad});
    EXPECT_EQ(made.status, 2);
    EXPECT_TRUE(has(made.error, bad.string() + ": ") && has(made.error, why)) << made.error;
    EXPECT_EQ(made.page, "not written");
  }
  const Made none = page_of({good}, "options");
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(has(none.error, "--plot options: the files have no data for it")) << none.error;
}

TEST(ZeroLines, LieWhereValuesChangeSign) {
  report::HeatMap map{.columns = {"a", "b"}, .rows = {"1", "2"}};
  map.cells = {{0, 0, -1, ""}, {1, 0, -1, ""}, {0, 1, 3, ""}, {1, 1, 1, ""}};
  const auto lines = report::zero_lines(map);
  ASSERT_EQ(lines.size(), 1U);
  // From the right side, half way up, to the left side, at a quarter.
  EXPECT_EQ(lines[0], (std::array<double, 4>{1, 0.5, 0, 0.25}));
  map.cells.pop_back();  // not known: no line
  EXPECT_TRUE(report::zero_lines(map).empty());
}

TEST(BestCpu, IsTheFasterOfOneThreadAndAll) {
  Row one{.us = 3}, all{.us = 2}, peer{.us = 1};
  EXPECT_EQ(best_cpu_us({{"cpu/1", &one}, {"cpu", &all}, {"onednn", &peer}}), 2);
  EXPECT_EQ(best_cpu_us({{"cpu/1", &one}}), 3);
  EXPECT_EQ(best_cpu_us({{"onednn", &peer}}), std::nullopt);
}

TEST(Quantile, LiesBetweenNeighbours) {
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_NEAR(quantile({1, 2}, 0.95), 1.95, 1e-12);
  EXPECT_NEAR(geometric_mean({1, 4}), 2, 1e-12);
}

}  // namespace
}  // namespace bench
