// Lesson: a feed-forward net on a window has no memory, a recurrent network has.
#include <algorithm>
#include <array>
#include <cmath>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr std::int64_t kKeys = 4, kSymbols = 8;  // the first symbol is a key, all others are not
constexpr std::int64_t kLongest = 20;            // in training, and the window
constexpr std::int64_t kUnits = 32;
constexpr double kRate = 3e-3, kClip = 1;
const std::vector<std::int64_t> kLengths = {10, 20, 40, 80, 160, 320};
constexpr std::size_t kJudged = 3;  // 80 steps, four times the longest in training

Batch make_batch(std::mt19937_64& random, std::int64_t length, std::int64_t rows) {
  Batch batch;
  batch.x = rondo::Tensor(rondo::DType::kF32, {length, rows, kSymbols});
  const auto x = batch.x.span<float>();
  for (std::int64_t n = 0; n < rows; ++n) {
    batch.classes.push_back(std::int32_t(below(random, kKeys)));
    for (std::int64_t t = 0; t < length; ++t) {
      const std::int64_t symbol = t == 0 ? batch.classes.back() : kKeys + below(random, kSymbols - kKeys);
      x[std::size_t((t * rows + n) * kSymbols + symbol)] = 1;
    }
  }
  return batch;
}

// One hidden layer of tanh units on the last 20 steps; a shorter sequence has zeros before it.
class WindowNet {
 public:
  explicit WindowNet(std::uint64_t seed)
      : hidden_(int(kLongest * kSymbols), 2 * kUnits, seed), head_(2 * kUnits, kKeys, seed + 1) {}

  void train(const Batch& batch, double rate) {
    const std::vector<float> x = window(batch.x);
    const std::vector<float> h = features(x);
    std::vector<float> dy = answers(h), dh(h.size());
    training::softmax_cross_entropy<float>(dy, batch.classes);
    hidden_.zero_gradients();
    head_.zero_gradients();
    head_.backward(h, dy, dh);
    for (std::size_t i = 0; i < dh.size(); ++i) dh[i] *= 1 - h[i] * h[i];
    hidden_.backward(x, dh, {});
    const std::array<training::Slot<float>, 2> slots = {{hidden_.slot(), head_.slot()}};
    training::clip_global_norm<float>(slots, kClip);
    adam_.step(slots, rate);
  }

  double accuracy(const Batch& batch) const {
    const std::vector<float> y = answers(features(window(batch.x)));
    std::size_t right = 0;
    for (std::size_t n = 0; n < batch.classes.size(); ++n) {
      const auto row = y.begin() + std::ptrdiff_t(n * kKeys);
      right += std::max_element(row, row + kKeys) - row == batch.classes[n];
    }
    return double(right) / double(batch.classes.size());
  }

 private:
  static std::vector<float> window(const rondo::Tensor& sequences) {
    const std::int64_t length = sequences.shape()[0], rows = sequences.shape()[1];
    const auto x = sequences.span<float>();
    std::vector<float> flat(std::size_t(rows * kLongest * kSymbols));
    for (std::int64_t t = std::max<std::int64_t>(0, length - kLongest); t < length; ++t) {
      for (std::int64_t n = 0; n < rows; ++n) {
        const std::int64_t place = (n * kLongest + kLongest - length + t) * kSymbols;
        std::copy_n(x.begin() + (t * rows + n) * kSymbols, kSymbols, flat.begin() + place);
      }
    }
    return flat;
  }
  std::vector<float> features(const std::vector<float>& x) const {
    std::vector<float> h(x.size() / std::size_t(hidden_.in()) * std::size_t(hidden_.out()));
    hidden_.forward(x, h);
    for (float& v : h) v = std::tanh(v);
    return h;
  }
  std::vector<float> answers(const std::vector<float>& h) const {
    std::vector<float> y(h.size() / std::size_t(head_.in()) * std::size_t(kKeys));
    head_.forward(h, y);
    return y;
  }

  training::Dense<float> hidden_, head_;
  training::Adam<float> adam_;
};

// The share of right answers at each of kLengths, after training.
template <class Model, class Train>
std::vector<double> accuracies(Model* model, const Train& train, std::uint64_t seed, int updates,
                               const std::string& label, LessonRun* run) {
  std::mt19937_64 random(seed), test(1000);
  for (int u = 0; u < updates; ++u) {
    const Batch batch = make_batch(random, 2 + below(random, kLongest - 1), 64);
    train(model, batch, cosine_rate(kRate, u, updates));
    if (!run->advance(label)) return {};
  }
  std::vector<double> right;
  for (std::int64_t length : kLengths) right.push_back(model->accuracy(make_batch(test, length, 500)));
  return right;
}

using Accuracies = std::vector<std::vector<double>>;  // one a seed, each one a length

std::vector<double> at(const Accuracies& accuracies, std::size_t length) {
  std::vector<double> values;
  for (const auto& of_seed : accuracies) values.push_back(of_seed[length]);
  return values;
}

void show(const std::vector<Accuracies>& all, LessonResult* result) {
  Chart chart;
  chart.x_label = "steps between the first symbol and the answer (20 at most in training)";
  chart.y_label = "right answers, mean of the seeds";
  chart.low_y = 0;
  chart.high_y = 1;
  result->table.header = {"Network"};
  for (std::size_t l = 0; l < kLengths.size(); ++l) {
    chart.x_ticks.emplace_back(double(l), std::to_string(kLengths[l]));
    result->table.header.push_back(std::to_string(kLengths[l]) + " steps");
  }
  for (std::size_t m = 0; m < all.size(); ++m) {
    const bool recurrent = m > 0;
    Series series{recurrent ? cell_styles()[m - 1].name : "window net",
                  recurrent ? cell_styles()[m - 1].color : palette::kOrange,
                  Mark::kLinePoints,
                  {},
                  {}};
    std::vector<std::string> row = {series.label};
    for (std::size_t l = 0; l < kLengths.size(); ++l) {
      series.x.push_back(double(l));
      series.y.push_back(mean(at(all[m], l)));
      row.push_back(fixed(series.y.back(), 3));
    }
    chart.series.push_back(std::move(series));
    result->table.rows.push_back(std::move(row));
  }
  Series chance{"chance", palette::kMuted, Mark::kDashedLine, {0, double(kLengths.size() - 1)}, {0.25, 0.25}};
  chart.series.push_back(std::move(chance));
  result->figures.push_back(
      {std::move(chart),
       "Which of four keys came first, asked at the end of sequences of each length. 500 new sequences a "
       "length; the axis doubles from tick to tick. Equal lines hide each other."});
}

void run_memory(LessonRun& run, LessonResult* result) {
  const int updates = run.quick() ? 20 : 1500;
  std::vector<Accuracies> all(1 + cell_styles().size(), Accuracies(std::size_t(run.seeds())));
  run.expect(double(updates) * run.seeds() * double(all.size()));
  std::vector<std::function<void()>> jobs;
  for (int s = 0; s < run.seeds(); ++s) {
    for (std::size_t m = 0; m < all.size(); ++m) {
      jobs.emplace_back([&, s, m] {
        const std::uint64_t seed = std::uint64_t(s + 1);
        const std::string label = std::string(m > 0 ? cell_styles()[m - 1].name : "window net");
        if (m == 0) {
          WindowNet net(seed);
          const auto train = [](WindowNet* n, const Batch& b, double rate) { n->train(b, rate); };
          all[m][std::size_t(s)] = accuracies(&net, train, seed, updates, label, &run);
          return;
        }
        rondo::RnnConfig config;
        config.cell = cell_styles()[m - 1].cell;
        config.input_size = kSymbols;
        config.hidden_size = kUnits;
        config.outputs = rondo::Outputs::kLast;
        SequenceModel model(config, kKeys, seed);
        if (config.cell == rondo::Cell::kLstm) model.open_forget_gates(1);
        const auto train = [](SequenceModel* n, const Batch& b, double rate) { n->train(b, rate, kClip); };
        all[m][std::size_t(s)] = accuracies(&model, train, seed, updates, label, &run);
      });
    }
  }
  run.side_by_side(jobs);
  if (run.stopped()) return;
  show(all, result);
  const std::vector<double> window = at(all[0], kJudged), inside = at(all[0], 1);
  const std::vector<double> lstm = at(all[2], kJudged), gru = at(all[3], kJudged);
  result->judge(
      0, mean(inside) >= 0.95 && mean(window) <= 0.35, run.quick(),
      "Right on average: " + brief(mean(inside)) + " at 20 steps, " + brief(mean(window)) + " at 80.");
  result->judge(1, lowest(lstm) >= 0.95 && lowest(gru) >= 0.95, run.quick(),
                "Right at 80 steps, one a seed: LSTM " + join(lstm) + "; GRU " + join(gru) + ".");
}

}  // namespace

Lesson memory_lesson() {
  Lesson lesson;
  lesson.name = "memory";
  lesson.title = "Memory";
  lesson.setup =
      "A sequence begins with one of four keys; symbols that say nothing follow; which key was it? Training "
      "has 2 to 20 steps. The feed-forward net (64 tanh units) reads the last 20 steps, flattened, with "
      "zeros before a shorter sequence: in a longer one it slides along and answers from what its window "
      "then holds. The recurrent networks (32 units, so fewer numbers of state than the window has) read "
      "step by step. 1500 updates of 64 sequences, Adam at 0.003 falling to zero.";
  lesson.claims = {
      {"A feed-forward net on a window has no memory: what has left the window is lost.",
       "On average over the seeds the window net is right in at least 95 % of the sequences of 20 steps, "
       "which it was trained for, and in at most 35 % of those of 80 (chance: 25 %)."},
      {"A recurrent network remembers, also over sequences longer than any that it was trained on.",
       "LSTM and GRU, each with every seed, are right in at least 95 % of the sequences of 80 steps, four "
       "times the longest in training. SimpleRNN is shown and not judged."}};
  lesson.expected_seconds = 6;
  lesson.run = run_memory;
  return lesson;
}

}  // namespace examples
