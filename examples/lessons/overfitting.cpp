// Lesson: overfitting on a small part of a data set, and which dropout helps.
#include <algorithm>
#include <numeric>

#include "../series.h"
#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr double kPart = 0.05;  // of the training windows
constexpr std::int64_t kUnits = 64, kLayers = 2, kRows = 32;
constexpr double kRate = 3e-3, kClip = 1, kDropout = 0.5;

struct Scheme {
  const char* name;
  const char* color;
  double layer_dropout;
  rondo::LayerMasks masks;
  double recurrent_dropout;
};
constexpr Scheme kSchemes[] = {
    {"no dropout", palette::kRed, 0, rondo::LayerMasks::kPerStep, 0},
    {"a fresh mask each step", palette::kOrange, kDropout, rondo::LayerMasks::kPerStep, 0},
    {"one mask a sequence", palette::kBlue, kDropout, rondo::LayerMasks::kPerSequence, 0},
    {"one mask, also recurrent", palette::kGreen, kDropout, rondo::LayerMasks::kPerSequence, kDropout}};

// The windows of the daily temperatures that end before the given days, and those days.
Batch gather(const Series1d& series, const Features& features, std::span<const std::int64_t> days) {
  Batch batch;
  const std::int64_t rows = std::int64_t(days.size()), inputs = features.per_step();
  batch.x = rondo::Tensor(rondo::DType::kF32, {kWindow, rows, inputs});
  const auto x = batch.x.span<float>();
  for (std::int64_t n = 0; n < rows; ++n) {
    std::vector<float> window;  // [30, inputs]
    features.append(days[std::size_t(n)], &window);
    for (std::int64_t t = 0; t < kWindow; ++t) {
      std::copy_n(window.begin() + t * inputs, inputs, x.begin() + (t * rows + n) * inputs);
    }
    batch.values.push_back(features.scaled(series.values[std::size_t(days[std::size_t(n)])]));
  }
  return batch;
}

void shuffle(std::vector<std::int64_t>* values, std::mt19937_64& random) {
  for (std::size_t i = values->size(); i > 1; --i) {
    std::swap((*values)[i - 1], (*values)[std::size_t(below(random, std::int64_t(i)))]);
  }
}

std::vector<std::int64_t> days(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(end - begin));
  std::iota(all.begin(), all.end(), begin);
  return all;
}

struct Trained {
  std::vector<double> epochs, training, validation;  // squared errors, without dropout
  double gap() const { return validation.back() - training.back(); }
};

Trained train(const Scheme& scheme, const Series1d& series, int epochs, std::uint64_t seed, LessonRun* run) {
  const Split split = split_series(series, 1);
  const Features features(series, split);
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> part = days(split.first, split.validation);
  shuffle(&part, random);
  part.resize(std::size_t(kPart * double(part.size())));
  rondo::RnnConfig config;
  config.cell = rondo::Cell::kLstm;
  config.input_size = features.per_step();
  config.hidden_size = kUnits;
  config.num_layers = kLayers;
  config.outputs = rondo::Outputs::kLast;
  config.layer_dropout = scheme.layer_dropout;
  config.layer_masks = scheme.masks;
  config.recurrent_dropout = scheme.recurrent_dropout;
  SequenceModel model(config, 1, seed);
  model.open_forget_gates(1);
  const Batch seen = gather(series, features, part);
  const Batch unseen = gather(series, features, days(split.validation, split.test));
  Trained trained;
  for (int e = 1; e <= epochs; ++e) {
    shuffle(&part, random);
    for (std::size_t at = 0; at < part.size(); at += std::size_t(kRows)) {
      const std::size_t count = std::min(std::size_t(kRows), part.size() - at);
      model.train(gather(series, features, std::span(part).subspan(at, count)), kRate, kClip);
    }
    if (!run->advance(scheme.name)) return {};
    if (e % std::max(1, epochs / 20) != 0) continue;
    trained.epochs.push_back(e);
    trained.training.push_back(model.loss(seen));
    trained.validation.push_back(model.loss(unseen));
  }
  return trained;
}

using Runs = std::vector<std::vector<Trained>>;  // by scheme, by seed

template <class Value>
std::vector<double> of_seeds(const std::vector<Trained>& runs, const Value& value) {
  std::vector<double> values;
  for (const Trained& run : runs) values.push_back(value(run));
  return values;
}

std::vector<double> gaps(const std::vector<Trained>& runs) {
  return of_seeds(runs, [](const Trained& run) { return run.gap(); });
}

void show(const Runs& runs, LessonResult* result) {
  Chart chart;
  chart.x_label = "passes over the 5 %";
  chart.y_label = "squared error, mean of the seeds";
  chart.low_y = 0;
  result->table.header = {"Dropout", "Training error", "Validation error", "Gap, mean", "Gap, one a seed"};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    const Scheme& scheme = kSchemes[k];
    Series training{"", scheme.color, Mark::kDashedLine, runs[k][0].epochs, {}};
    Series validation{scheme.name, scheme.color, Mark::kLine, runs[k][0].epochs, {}};
    for (std::size_t i = 0; i < training.x.size(); ++i) {
      training.y.push_back(mean(of_seeds(runs[k], [i](const Trained& run) { return run.training[i]; })));
      validation.y.push_back(mean(of_seeds(runs[k], [i](const Trained& run) { return run.validation[i]; })));
    }
    result->table.rows.push_back({scheme.name, fixed(training.y.back(), 3), fixed(validation.y.back(), 3),
                                  fixed(mean(gaps(runs[k])), 3), join(gaps(runs[k]))});
    chart.series.push_back(std::move(training));
    chart.series.push_back(std::move(validation));
  }
  result->figures.push_back({std::move(chart),
                             "Validation errors as lines, training errors dashed, both without dropout; 1 "
                             "is the variance of the temperatures."});
}

void run_overfitting(LessonRun& run, LessonResult* result) {
  const int epochs = run.quick() ? 2 : 200;
  const Series1d series = read_csv(RONDO_EXAMPLE_DATA "/daily-min-temperatures.csv", "Temp");
  Runs runs(std::size(kSchemes), std::vector<Trained>(std::size_t(run.seeds())));
  run.expect(double(epochs) * run.seeds() * double(runs.size()));
  std::vector<std::function<void()>> jobs;
  for (int s = 0; s < run.seeds(); ++s) {
    for (std::size_t k = 0; k < runs.size(); ++k) {
      jobs.emplace_back([&, s, k] {
        runs[k][std::size_t(s)] = train(kSchemes[k], series, epochs, std::uint64_t(s + 1), &run);
      });
    }
  }
  run.side_by_side(jobs);
  if (run.stopped()) return;
  show(runs, result);
  const std::vector<double> without =
      of_seeds(runs[0], [](const Trained& r) { return r.validation.back() / r.training.back(); });
  result->judge(0, lowest(without) >= 2, run.quick(), "Ratio, one a seed: " + join(without) + ".");
  std::vector<double> means;
  for (const auto& of_scheme : runs) means.push_back(mean(gaps(of_scheme)));
  const std::string numbers = "Mean gaps: without " + brief(means[0]) + ", a fresh mask each step " +
                              brief(means[1]) + ", one a sequence " + brief(means[2]) +
                              ", with recurrent dropout " + brief(means[3]) + ".";
  result->judge(1, std::max({means[1], means[2], means[3]}) <= 0.8 * means[0], run.quick(), numbers);
  result->judge(2, means[2] < means[1] && means[3] < means[2], run.quick(), numbers);
}

}  // namespace

Lesson overfitting_lesson() {
  Lesson lesson;
  lesson.name = "overfitting";
  lesson.title = "Overfitting, and dropout";
  lesson.setup =
      "Tomorrow's minimum temperature in Melbourne from the last 30 days, learnt from 5 % of the training "
      "days (drawn anew for each seed) and judged on all days of the validation part. An LSTM of 2 layers "
      "by 64 units, 200 passes in batches of 32, Adam at 0.003, far more than the data bears. Dropout of "
      "0.5 on what the first layer hands to the second: a fresh mask each step, or one mask for the "
      "sequence, or that and 0.5 on the recurrent state (Gal and Ghahramani 2016). Gap: validation error "
      "less training error.";
  lesson.claims = {
      {"On little data a network without dropout overfits.",
       "With every seed its validation error at the end is at least twice its training error."},
      {"Each kind of dropout narrows the gap.",
       "The mean gap of each of the three is at most 0.8 times that without dropout."},
      {"One mask a sequence is better than a fresh one each step, and recurrent dropout adds to it.",
       "The mean gap is smaller with one mask a sequence than with a fresh one each step, and smaller again "
       "with recurrent dropout."}};
  lesson.expected_seconds = 55;
  lesson.run = run_overfitting;
  return lesson;
}

}  // namespace examples
