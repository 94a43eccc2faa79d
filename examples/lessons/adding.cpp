// Lesson: the adding problem, and the gradient that vanishes on the way back.
#include <algorithm>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr std::int64_t kSteps = 100, kUnits = 64, kRows = 64;
constexpr double kRate = 2e-3, kClip = 1;
constexpr double kVariance = 1.0 / 6;  // of the sum of two uniform numbers: what the constant 1 would lose
constexpr double kSolved = 0.01, kStuck = 0.15;
constexpr int kCheckEvery = 100;

// Two inputs a step: a number in [0, 1), and 1 where it counts: once in each half. The answer is the sum of
// the two marked numbers.
Batch make_batch(std::mt19937_64& random, std::int64_t rows) {
  Batch batch;
  batch.x = rondo::Tensor(rondo::DType::kF32, {kSteps, rows, 2});
  const auto x = batch.x.span<float>();
  for (std::int64_t n = 0; n < rows; ++n) {
    const std::int64_t first = below(random, kSteps / 2), second = kSteps / 2 + below(random, kSteps / 2);
    float sum = 0;
    for (std::int64_t t = 0; t < kSteps; ++t) {
      float* step = x.data() + (t * rows + n) * 2;
      step[0] = float(uniform(random));
      if (t != first && t != second) continue;
      step[1] = 1;
      sum += step[0];
    }
    batch.values.push_back(sum);
  }
  return batch;
}

struct Trained {
  std::vector<double> gradients;  // |dL/dx_t| before the first update
  std::vector<double> updates, errors;
  bool solved() const { return !errors.empty() && errors.back() <= kSolved; }
};

// Until the error on the test set is small enough, or `updates` are done.
Trained train(const CellStyle& style, int updates, std::uint64_t seed, LessonRun* run) {
  rondo::RnnConfig config;
  config.cell = style.cell;
  config.input_size = 2;
  config.hidden_size = kUnits;
  config.outputs = rondo::Outputs::kLast;
  SequenceModel model(config, 1, seed);
  if (config.cell == rondo::Cell::kLstm) model.open_forget_gates(1);
  std::mt19937_64 random(seed), test_random(1000);
  const Batch test = make_batch(test_random, 1000);
  Trained trained;
  trained.gradients = model.input_gradients(test);
  for (int u = 0; u <= updates; ++u) {
    if (u % kCheckEvery == 0 || u == updates) {
      trained.updates.push_back(u);
      trained.errors.push_back(model.loss(test));
      if (trained.solved()) return trained;
    }
    if (u == updates) break;
    model.train(make_batch(random, kRows), kRate, kClip);
    // In units of the SimpleRNN's work a step: an LSTM has four products, a GRU three.
    if (!run->advance(std::string(style.name) + ", error " + fixed(trained.errors.back(), 3),
                      rondo::num_gates(style.cell))) {
      return {};
    }
  }
  return trained;
}

using Runs = std::vector<std::vector<Trained>>;  // by cell, by seed

// The gradient at step 1 over that at step 100, one a seed: how much arrives.
std::vector<double> arriving(const std::vector<Trained>& runs) {
  std::vector<double> shares;
  for (const Trained& run : runs) shares.push_back(run.gradients.front() / run.gradients.back());
  return shares;
}

std::vector<double> errors(const std::vector<Trained>& runs) {
  std::vector<double> values;
  for (const Trained& run : runs) values.push_back(run.errors.back());
  return values;
}

void show_errors(const Runs& runs, LessonResult* result) {
  Chart chart;
  chart.x_label = "updates";
  chart.y_label = "squared error on 1000 new sequences";
  chart.log_y = true;
  double longest = 0;
  for (std::size_t c = 0; c < runs.size(); ++c) {
    for (std::size_t s = 0; s < runs[c].size(); ++s) {
      const Trained& run = runs[c][s];
      longest = std::max(longest, run.updates.back());
      const CellStyle& style = cell_styles()[c];
      chart.series.push_back({s == 0 ? style.name : "", style.color, Mark::kLine, run.updates, run.errors});
    }
  }
  chart.series.push_back({"variance of the answer, 0.167",
                          palette::kMuted,
                          Mark::kDashedLine,
                          {0, longest},
                          {kVariance, kVariance}});
  chart.series.push_back(
      {"solved, 0.01", palette::kInk, Mark::kDashedLine, {0, longest}, {kSolved, kSolved}});
  result->figures.push_back({std::move(chart),
                             "The adding problem over 100 steps, a line a seed. A training ends when its "
                             "error is at most 0.01."});
}

void show_gradients(const Runs& runs, LessonResult* result) {
  Chart chart;
  chart.x_label = "step t (the loss is at step 100)";
  chart.y_label = "|dL/dx_t|, mean of rows and seeds";
  chart.log_y = true;
  for (std::size_t c = 0; c < runs.size(); ++c) {
    Series series{cell_styles()[c].name, cell_styles()[c].color, Mark::kLine, {}, {}};
    for (std::size_t t = 0; t < std::size_t(kSteps); ++t) {
      std::vector<double> values;
      for (const Trained& run : runs[c]) values.push_back(run.gradients[t]);
      if (mean(values) <= 0) continue;  // below what f32 holds
      series.x.push_back(double(t + 1));
      series.y.push_back(mean(values));
    }
    chart.series.push_back(std::move(series));
  }
  result->figures.push_back({std::move(chart),
                             "The gradient of the loss by the input at each step, before the first update: "
                             "what a marked number long ago can change."});
}

void run_adding(LessonRun& run, LessonResult* result) {
  const int updates = run.quick() ? 10 : 3000;
  Runs runs(cell_styles().size(), std::vector<Trained>(std::size_t(run.seeds())));
  std::vector<std::function<void()>> jobs;
  double units = 0;
  for (int s = 0; s < run.seeds(); ++s) {
    for (std::size_t c = 0; c < runs.size(); ++c) {
      units += double(updates) * rondo::num_gates(cell_styles()[c].cell);
      jobs.emplace_back([&, s, c] {
        runs[c][std::size_t(s)] = train(cell_styles()[c], updates, std::uint64_t(s + 1), &run);
      });
    }
  }
  run.expect(units);
  run.side_by_side(jobs);
  if (run.stopped()) return;
  show_errors(runs, result);
  show_gradients(runs, result);
  result->table.header = {"Cell", "Squared error at the end, one a seed", "Updates",
                          "Gradient at step 1 over that at step 100"};
  for (std::size_t c = 0; c < runs.size(); ++c) {
    std::vector<double> counts;
    for (const Trained& t : runs[c]) counts.push_back(t.updates.back());
    result->table.rows.push_back(
        {cell_styles()[c].name, join(errors(runs[c])), join(counts), join(arriving(runs[c]))});
  }
  const std::vector<double> simple = errors(runs[0]), lstm = errors(runs[1]), gru = errors(runs[2]);
  result->judge(0, lowest(simple) >= kStuck, run.quick(), "SimpleRNN, one a seed: " + join(simple) + ".");
  result->judge(1, highest(lstm) <= kSolved && highest(gru) <= kSolved, run.quick(),
                "LSTM, one a seed: " + join(lstm) + "; GRU: " + join(gru) + ".");
  const double most = highest(arriving(runs[0]));
  result->judge(
      2, most <= 1e-6 && lowest(arriving(runs[1])) >= 100 * most && lowest(arriving(runs[2])) >= 100 * most,
      false,
      "At step 1 over step 100, one a seed: SimpleRNN " + join(arriving(runs[0])) + "; LSTM " +
          join(arriving(runs[1])) + "; GRU " + join(arriving(runs[2])) + ".");
}

}  // namespace

Lesson adding_lesson() {
  Lesson lesson;
  lesson.name = "adding";
  lesson.title = "The adding problem";
  lesson.setup =
      "Hochreiter and Schmidhuber 1997: 100 steps of uniform numbers in [0, 1), one marked in each half; "
      "the answer, after the last step, is the sum of the two. Answering 1 always loses 0.167, the variance "
      "of the answer. 64 units, everything drawn uniformly from +-1/8, an LSTM's forget gates opened by a "
      "bias of 1; at most 3000 updates of 64 new sequences, Adam at 0.002, gradient norm at most 1.";
  lesson.claims = {
      {"A SimpleRNN does not learn the adding problem over 100 steps.",
       "With every seed its squared error after the last update is at least 0.15."},
      {"LSTM and GRU learn it.", "With every seed each reaches a squared error of at most 0.01."},
      {"The gradient vanishes on its way back through a SimpleRNN, and far less through LSTM and GRU.",
       "At the start of training |dL/dx| at step 1 over that at step 100 is, with every seed, at most 1e-6 "
       "for SimpleRNN, and at least 100 times SimpleRNN's largest for LSTM and for GRU."}};
  lesson.expected_seconds = 90;
  lesson.run = run_adding;
  return lesson;
}

}  // namespace examples
