// Lesson: what more layers and more units buy.
#include <algorithm>
#include <array>
#include <cmath>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr std::int64_t kLetters = 8, kContexts = kLetters * kLetters * kLetters;
constexpr double kLikely = 0.8;  // of a context's favourite next letter; the others share the rest
constexpr std::int64_t kSteps = 32, kRows = 32;
constexpr double kRate = 3e-3, kClip = 1;
constexpr std::array<std::int64_t, 3> kLayers = {1, 2, 3}, kUnits = {64, 128, 256};

// An artificial language: each three letters have a favourite next one, drawn once.
class Language {
 public:
  Language() {
    std::mt19937_64 random(7);
    for (std::int64_t& next : favourite_) next = below(random, kLetters);
  }
  // What a reader that knew everything would lose, in nats a letter.
  static double entropy() {
    const double rest = (1 - kLikely) / double(kLetters - 1);
    return -kLikely * std::log(kLikely) - (1 - kLikely) * std::log(rest);
  }
  // Letters, each with the one after it as its class.
  Batch write(std::mt19937_64& random, std::int64_t rows) const {
    Batch batch;
    batch.x = rondo::Tensor(rondo::DType::kF32, {kSteps, rows, kLetters});
    batch.classes.resize(std::size_t(kSteps * rows));
    const auto x = batch.x.span<float>();
    for (std::int64_t n = 0; n < rows; ++n) {
      std::int64_t context = below(random, kContexts);
      for (std::int64_t t = 0; t < kSteps; ++t) {
        x[std::size_t((t * rows + n) * kLetters + context % kLetters)] = 1;
        const std::int64_t next = after(context, random);
        batch.classes[std::size_t(t * rows + n)] = std::int32_t(next);
        context = (context * kLetters + next) % kContexts;
      }
    }
    return batch;
  }

 private:
  std::int64_t after(std::int64_t context, std::mt19937_64& random) const {
    const std::int64_t favourite = favourite_[std::size_t(context)];
    if (uniform(random) < kLikely) return favourite;
    return (favourite + 1 + below(random, kLetters - 1)) % kLetters;
  }
  std::array<std::int64_t, std::size_t(kContexts)> favourite_{};
};

// Excess over the entropy after training, by layers, units and seed.
using Losses = std::array<std::array<std::vector<double>, kUnits.size()>, kLayers.size()>;

double cost(std::int64_t layers, std::int64_t units) {
  return double(layers) * double(units * units) / 65536;
}

double train(std::int64_t layers, std::int64_t units, int updates, std::uint64_t seed, LessonRun* run) {
  const std::int64_t test_rows = run->quick() ? 20 : 500;
  const Language language;
  rondo::RnnConfig config;
  config.cell = rondo::Cell::kGru;
  config.input_size = kLetters;
  config.hidden_size = units;
  config.num_layers = layers;
  SequenceModel model(config, int(kLetters), seed);
  std::mt19937_64 random(seed), test_random(1000);
  for (int u = 0; u < updates; ++u) {
    model.train(language.write(random, kRows), cosine_rate(kRate, u, updates), kClip);
    if (!run->advance(std::to_string(layers) + " x " + std::to_string(units), cost(layers, units))) return 0;
  }
  return model.loss(language.write(test_random, test_rows)) - Language::entropy();
}

void show(const Losses& losses, LessonResult* result) {
  const char* colors[] = {palette::kBlue, palette::kGreen, palette::kOrange};
  Chart chart;
  chart.x_label = "units a layer";
  chart.y_label = "nats a letter above the entropy";
  chart.low_y = 0;
  result->table.header = {"Layers", "Units", "Parameters of the GRU", "Above the entropy, mean",
                          "One a seed"};
  for (std::size_t l = 0; l < kLayers.size(); ++l) {
    Series series{
        std::to_string(kLayers[l]) + (l == 0 ? " layer" : " layers"), colors[l], Mark::kLinePoints, {}, {}};
    for (std::size_t u = 0; u < kUnits.size(); ++u) {
      rondo::RnnConfig config;
      config.cell = rondo::Cell::kGru;
      config.input_size = kLetters;
      config.hidden_size = kUnits[u];
      config.num_layers = kLayers[l];
      if (l == 0) chart.x_ticks.emplace_back(double(u), std::to_string(kUnits[u]));
      series.x.push_back(double(u));
      series.y.push_back(mean(losses[l][u]));
      result->table.rows.push_back({std::to_string(kLayers[l]), std::to_string(kUnits[u]),
                                    std::to_string(rondo::parameter_count(config)), fixed(series.y.back(), 3),
                                    join(losses[l][u])});
    }
    chart.series.push_back(std::move(series));
  }
  result->figures.push_back({std::move(chart), "Loss on 16000 new letters less the language's entropy, " +
                                                   fixed(Language::entropy(), 3) +
                                                   " nats a letter, after equally many updates."});
}

void judge(const Losses& losses, bool quick, LessonResult* result) {
  bool wider = true, deeper = true;
  std::string by_units, by_layers;
  for (std::size_t l = 0; l < kLayers.size(); ++l) {
    std::vector<double> means;
    for (const auto& cell : losses[l]) means.push_back(mean(cell));
    wider = wider && means[0] > means[1] && means[1] > means[2];
    by_units +=
        (l > 0 ? "; " : "") + std::to_string(kLayers[l]) + (l > 0 ? " layers " : " layer ") + join(means);
  }
  for (std::size_t u = 0; u < kUnits.size(); ++u) {
    std::vector<double> means;
    for (const auto& layer : losses) means.push_back(mean(layer[u]));
    deeper = deeper && means[0] > means[1] && means[1] > means[2];
    by_layers += (u > 0 ? "; " : "") + std::to_string(kUnits[u]) + " units " + join(means);
  }
  result->judge(0, wider, quick, "64, 128 and 256 units: " + by_units + ".");
  result->judge(1, deeper, quick, "1, 2 and 3 layers: " + by_layers + ".");
}

void run_capacity(LessonRun& run, LessonResult* result) {
  const int updates = run.quick() ? 2 : 200;
  Losses losses;
  std::vector<std::function<void()>> jobs;
  double units = 0;
  // The largest first, so that no worker is left with it alone at the end.
  for (std::size_t i = kLayers.size() * kUnits.size(); i-- > 0;) {
    const std::size_t u = i / kLayers.size(), l = i % kLayers.size();
    losses[l][u].assign(std::size_t(run.seeds()), 0);
    for (int s = 0; s < run.seeds(); ++s) {
      units += updates * cost(kLayers[l], kUnits[u]);
      jobs.emplace_back([&, l, u, s] {
        losses[l][u][std::size_t(s)] = train(kLayers[l], kUnits[u], updates, std::uint64_t(s + 1), &run);
      });
    }
  }
  run.expect(units);
  run.side_by_side(jobs);
  if (run.stopped()) return;
  show(losses, result);
  judge(losses, run.quick(), result);
}

}  // namespace

Lesson capacity_lesson() {
  Lesson lesson;
  lesson.name = "capacity";
  lesson.title = "Capacity";
  lesson.setup =
      "An artificial language of eight letters: each of the 512 triples of letters has a favourite next "
      "one, which follows in 80 % of the cases. The network predicts the next letter at every step. GRUs of "
      "1, 2 and 3 layers by 64, 128 and 256 units, 200 updates each of 32 sequences of 32 letters, Adam at "
      "0.003 falling to zero. Every letter is new, so nothing can be learnt by heart but the language.";
  lesson.claims = {
      {"More units lower the error.",
       "With 1, with 2 and with 3 layers the loss above the entropy, mean of the seeds, falls from 64 to "
       "128 and from 128 to 256 units."},
      {"More layers lower the error.",
       "With 64, with 128 and with 256 units it falls from 1 to 2 and from 2 to 3 layers."}};
  lesson.expected_seconds = 110;
  lesson.run = run_capacity;
  return lesson;
}

}  // namespace examples
