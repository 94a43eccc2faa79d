// Lesson: reading in both directions, and reading in reverse.
#include <algorithm>
#include <cmath>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr std::int64_t kSteps = 31, kReach = 3, kUnits = 32, kRows = 64;
constexpr double kRate = 5e-3, kClip = 1;

// At each step: the sum of the inputs from three steps before to three steps after, divided by seven.
Batch centred_means(std::mt19937_64& random, std::int64_t rows) {
  Batch batch;
  batch.x = rondo::Tensor(rondo::DType::kF32, {kSteps, rows, 1});
  const auto x = batch.x.span<float>();
  for (float& v : x) v = float(uniform(random));
  for (std::int64_t t = 0; t < kSteps; ++t) {
    for (std::int64_t n = 0; n < rows; ++n) {
      float sum = 0;
      for (std::int64_t k = std::max<std::int64_t>(0, t - kReach); k <= std::min(kSteps - 1, t + kReach);
           ++k) {
        sum += x[std::size_t(k * rows + n)];
      }
      batch.values.push_back(sum / float(2 * kReach + 1));
    }
  }
  return batch;
}

// What no forward network can be below: the variance of the inputs that are still to come.
double unseen_variance() {
  double unseen = 0;
  for (std::int64_t t = 0; t < kSteps; ++t) unseen += double(std::min(kReach, kSteps - 1 - t));
  return unseen / double(kSteps) / 12 / double((2 * kReach + 1) * (2 * kReach + 1));
}

// After the whole sequence: which of two symbols there were more of. Their order says nothing.
Batch majorities(std::mt19937_64& random, std::int64_t rows) {
  Batch batch;
  batch.x = rondo::Tensor(rondo::DType::kF32, {kSteps, rows, 1});
  const auto x = batch.x.span<float>();
  for (std::int64_t n = 0; n < rows; ++n) {
    int sum = 0;
    for (std::int64_t t = 0; t < kSteps; ++t) {
      const int sign = below(random, 2) == 0 ? -1 : 1;
      x[std::size_t(t * rows + n)] = float(sign);
      sum += sign;
    }
    batch.classes.push_back(sum > 0 ? 1 : 0);
  }
  return batch;
}

struct Contestant {
  const char* name;
  const char* color;
  rondo::Direction direction;
  std::int64_t units;  // both directions of a bidirectional layer together have as many as the forward one
  bool future;         // the task that needs the future, or the one without an order
};
constexpr Contestant kContestants[] = {
    {"forward", palette::kBlue, rondo::Direction::kForward, kUnits, true},
    {"bidirectional", palette::kGreen, rondo::Direction::kBidirectional, kUnits / 2, true},
    {"forward", palette::kBlue, rondo::Direction::kForward, kUnits, false},
    {"reverse", palette::kRed, rondo::Direction::kReverse, kUnits, false}};

struct Trained {
  std::vector<double> updates, scores;  // along the training: error, or the share of right answers
};

Trained train(const Contestant& contestant, int updates, std::uint64_t seed, LessonRun* run) {
  rondo::RnnConfig config;
  config.cell = rondo::Cell::kGru;
  config.input_size = 1;
  config.hidden_size = contestant.units;
  config.direction = contestant.direction;
  config.outputs = contestant.future ? rondo::Outputs::kSequence : rondo::Outputs::kLast;
  SequenceModel model(config, contestant.future ? 1 : 2, seed);
  const auto make = contestant.future ? centred_means : majorities;
  std::mt19937_64 random(seed), test_random(1000);
  const Batch test = make(test_random, 1000);
  Trained trained;
  for (int u = 1; u <= updates; ++u) {
    model.train(make(random, kRows), cosine_rate(kRate, u - 1, updates), kClip);
    if (!run->advance(contestant.name)) return {};
    if (u % std::max(1, updates / 20) != 0) continue;
    trained.updates.push_back(u);
    trained.scores.push_back(contestant.future ? model.loss(test) : model.accuracy(test));
  }
  return trained;
}

using Runs = std::vector<std::vector<Trained>>;  // by contestant, by seed

std::vector<double> last_scores(const std::vector<Trained>& runs) {
  std::vector<double> values;
  for (const Trained& run : runs) values.push_back(run.scores.back());
  return values;
}

void show(const Runs& runs, LessonResult* result) {
  Chart future, order;
  future.x_label = order.x_label = "updates";
  future.y_label = "mean squared error, mean of the seeds";
  future.log_y = true;
  order.high_y = 1;
  order.y_label = "right answers, mean of the seeds";
  result->table.header = {"Network", "Task", "Score", "At the end, one a seed"};
  for (std::size_t c = 0; c < runs.size(); ++c) {
    const Contestant& contestant = kContestants[c];
    Series series{contestant.name, contestant.color, Mark::kLine, runs[c][0].updates, {}};
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      std::vector<double> values;
      for (const Trained& of_seed : runs[c]) values.push_back(of_seed.scores[i]);
      series.y.push_back(mean(values));
    }
    (contestant.future ? future : order).series.push_back(std::move(series));
    result->table.rows.push_back({contestant.name, contestant.future ? "centred mean" : "majority",
                                  contestant.future ? "squared error" : "right answers",
                                  join(last_scores(runs[c]))});
  }
  const std::vector<double> ends = {runs[0][0].updates.front(), runs[0][0].updates.back()};
  future.series.push_back({"variance of what is still to come",
                           palette::kMuted,
                           Mark::kDashedLine,
                           ends,
                           {unseen_variance(), unseen_variance()}});
  result->figures.push_back({std::move(future),
                             "The centred mean, on 1000 new sequences. The dashed line is what no network "
                             "that reads forward can be below."});
  result->figures.push_back({std::move(order), "The majority, on 1000 new sequences."});
}

void run_direction(LessonRun& run, LessonResult* result) {
  const int updates = run.quick() ? 20 : 1500;
  Runs runs(std::size(kContestants), std::vector<Trained>(std::size_t(run.seeds())));
  run.expect(double(updates) * run.seeds() * double(runs.size()));
  std::vector<std::function<void()>> jobs;
  for (int s = 0; s < run.seeds(); ++s) {
    for (std::size_t c = 0; c < runs.size(); ++c) {
      jobs.emplace_back([&, s, c] {
        runs[c][std::size_t(s)] = train(kContestants[c], updates, std::uint64_t(s + 1), &run);
      });
    }
  }
  run.side_by_side(jobs);
  if (run.stopped()) return;
  show(runs, result);
  const double floor = unseen_variance();
  const std::vector<double> forward = last_scores(runs[0]), both = last_scores(runs[1]);
  result->judge(0, lowest(forward) >= 0.9 * floor && highest(both) <= 0.1 * floor, run.quick(),
                "Variance of what is still to come " + brief(floor) + "; forward, one a seed, " +
                    join(forward) + "; bidirectional " + join(both) + ".");
  const double ahead = mean(last_scores(runs[2])), back = mean(last_scores(runs[3]));
  result->judge(1, std::min(ahead, back) >= 0.9 && std::abs(ahead - back) <= 0.02, run.quick(),
                "Right on average: forward " + fixed(ahead, 4) + ", reverse " + fixed(back, 4) + ".");
}

}  // namespace

Lesson direction_lesson() {
  Lesson lesson;
  lesson.name = "direction";
  lesson.title = "Both directions, and reverse";
  lesson.setup =
      "Two tasks on 31 steps. Centred mean: uniform inputs; at each step the sum of the seven inputs around "
      "it, divided by seven, three of which are still to come. Majority: after the whole sequence, which "
      "of two symbols came more often; their order says nothing. GRUs of 32 units (bidirectional: 16 a "
      "direction, equal outputs), 1500 updates of 64 sequences, Adam at 0.005 falling to zero.";
  lesson.claims = {
      {"Where the answer needs the future, a bidirectional network has it and a forward one does not.",
       "With every seed the forward network's error on the centred mean is at least 0.9 times the variance "
       "of the inputs still to come, and the bidirectional one's at most 0.1 times."},
      {"Where order does not matter, reading in reverse does as well.",
       "On the majority both are right in at least 90 % on average over the seeds, and differ by at most 2 "
       "percentage points."}};
  lesson.expected_seconds = 12;
  lesson.run = run_direction;
  return lesson;
}

}  // namespace examples
