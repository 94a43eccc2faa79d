// Lesson: time against the units H and the batch N.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
using namespace report;
namespace {

constexpr std::int64_t kSteps = 50;
const std::vector<std::int64_t> kUnits = {32, 64, 128, 256, 512}, kBatches = {1, 2, 4, 8, 16, 32, 64};
constexpr std::int64_t kUnitsAgainstN = 256, kBatchAgainstH = 32;

// A device, and the microseconds a step of a training pass, forward and backward, of an LSTM.
struct Measured {
  rondo::Device device;
  std::string name;
  std::vector<double> against_h, against_n;
};

// A training pass of one size, and the fastest that it has been.
class Pass {
 public:
  Pass(const rondo::Device& device, std::int64_t units, std::int64_t rows)
      : rnn_(configure(units), device),
        x_(rondo::DType::kF32, {kSteps, rows, units}),
        dy_(rondo::DType::kF32, {kSteps, rows, units}) {
    std::mt19937_64 random(1);
    for (float& v : x_.span<float>()) v = float(uniform(random));
    for (float& v : dy_.span<float>()) v = float(uniform(random)) / 100;
    run();  // plans, and warms up
    fastest_ = std::numeric_limits<double>::max();
  }
  void run() {
    const Stopwatch watch;
    rondo::ForwardOptions options;
    options.tape = &tape_;
    const rondo::ForwardResult out = rnn_.forward(x_, options);
    rondo::BackwardOptions upstream;
    upstream.dy = dy_;
    rnn_.backward(tape_, upstream);
    fastest_ = std::min(fastest_, watch.seconds());
  }
  double microseconds_a_step() const { return fastest_ * 1e6 / double(kSteps); }

 private:
  static rondo::RnnConfig configure(std::int64_t units) {
    rondo::RnnConfig config;
    config.cell = rondo::Cell::kLstm;
    config.input_size = units;
    config.hidden_size = units;
    return config;
  }

  rondo::Rnn rnn_;
  rondo::Tape tape_;
  rondo::Tensor x_, dy_;
  double fastest_ = std::numeric_limits<double>::max();
};

// All sizes in turn, round after round: what else the machine does then meets all of them alike.
bool measure(Measured* m, int rounds, LessonRun* run) {
  std::vector<std::unique_ptr<Pass>> against_h, against_n;
  for (std::int64_t units : kUnits) {
    against_h.push_back(std::make_unique<Pass>(m->device, units, kBatchAgainstH));
  }
  for (std::int64_t rows : kBatches) {
    against_n.push_back(std::make_unique<Pass>(m->device, kUnitsAgainstN, rows));
  }
  for (int r = 0; r < rounds; ++r) {
    for (const auto& pass : against_h) pass->run();
    for (const auto& pass : against_n) pass->run();
    if (!run->advance(m->name)) return false;
  }
  for (const auto& pass : against_h) m->against_h.push_back(pass->microseconds_a_step());
  for (const auto& pass : against_n) m->against_n.push_back(pass->microseconds_a_step());
  return true;
}

Chart chart_of(const std::vector<std::int64_t>& sizes, const std::string& label,
               const std::vector<Measured>& all, std::vector<double> Measured::*times, int power) {
  const char* colors[] = {palette::kBlue, palette::kGreen, palette::kOrange, palette::kPurple};
  Chart chart;
  chart.x_label = label;
  chart.y_label = "microseconds a step";
  chart.log_y = true;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    chart.x_ticks.emplace_back(double(i), std::to_string(sizes[i]));
  for (std::size_t d = 0; d < all.size(); ++d) {
    Series series{all[d].name, colors[d % std::size(colors)], Mark::kLinePoints, {}, all[d].*times};
    for (std::size_t i = 0; i < sizes.size(); ++i) series.x.push_back(double(i));
    chart.series.push_back(std::move(series));
  }
  // Through the CPU's last point: what exact proportion would be.
  Series slope{power == 2 ? "in proportion to H squared" : "in proportion to N",
               palette::kMuted,
               Mark::kDashedLine,
               chart.series[0].x,
               {}};
  for (std::int64_t size : sizes) {
    const double share = double(size) / double(sizes.back());
    slope.y.push_back((all[0].*times).back() * std::pow(share, power));
  }
  chart.series.push_back(std::move(slope));
  return chart;
}

void show(const std::vector<Measured>& all, LessonResult* result) {
  result->figures.push_back({chart_of(kUnits, "units H, at N = 32", all, &Measured::against_h, 2),
                             "An LSTM, I = H, 50 steps, forward and backward in f32. The axis of H doubles "
                             "from tick to tick, that of "
                             "the time grows tenfold."});
  result->figures.push_back(
      {chart_of(kBatches, "sequences N, at H = 256", all, &Measured::against_n, 1),
       "The same against the batch. Where the line is flatter than the dashed one, a batch saves work."});
  result->table.header = {"Device", "H", "N", "Microseconds a step", "Microseconds a step and sequence"};
  const auto add = [&](const Measured& m, std::int64_t units, std::int64_t rows, double time) {
    result->table.rows.push_back(
        {m.name, std::to_string(units), std::to_string(rows), fixed(time, 1), fixed(time / double(rows), 2)});
  };
  for (const Measured& m : all) {
    for (std::size_t i = 0; i < kUnits.size(); ++i) add(m, kUnits[i], kBatchAgainstH, m.against_h[i]);
    for (std::size_t i = 0; i < kBatches.size(); ++i) add(m, kUnitsAgainstN, kBatches[i], m.against_n[i]);
  }
}

void run_time(LessonRun& run, LessonResult* result) {
  std::vector<Measured> all = {{{}, "CPU", {}, {}}};
  std::string missing;
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (info.device.kind == rondo::Device::Kind::kCpu) {
      result->note = "CPU: " + info.name + ".";
    } else if (info.usable) {
      all.push_back({info.device, rondo::to_string(info.device), {}, {}});
      missing +=
          " " + all.back().name + ": " + info.name + ", by level one of the interface, so with the copies.";
    } else {
      missing += " " + rondo::to_string(info.device) + " is left out: " + info.reason + ".";
    }
  }
  if (missing.empty()) missing = " No GPU is listed by this build, so GPU times are left out.";
  result->note += missing;
  const int rounds = run.quick() ? 1 : 40;
  run.expect(double(rounds) * double(all.size()));
  for (Measured& m : all) {
    if (!measure(&m, rounds, &run)) return;
  }
  show(all, result);
  const std::vector<double>&h = all[0].against_h, &n = all[0].against_n;
  const double growth = h[4] / h[3], small = h[1] / h[0];
  result->judge(0, growth >= 3 && growth <= 5, run.quick(),
                "256 to 512 units: " + brief(growth) + " times (32 to 64: " + brief(small) + ").");
  const double batch = n[5] / n[0];
  result->judge(1, batch <= 16, run.quick(), "32 sequences take " + brief(batch) + " times the time of one.");
}

}  // namespace

Lesson time_lesson() {
  Lesson lesson;
  lesson.name = "time";
  lesson.title = "Time";
  lesson.setup =
      "An LSTM with as many inputs as units, 50 steps, a training pass (forward and backward, all "
      "gradients): against H at 32 sequences, against N at 256 units. All sizes in turn, 40 rounds, and of "
      "each the fastest pass, since other programs only add to the time; with all threads that the library "
      "takes by itself, and nothing else "
      "of this program running.";
  lesson.claims = {
      {"The time of a step grows as the square of the units, once they are many.",
       "On the CPU 512 units take 3 to 5 times as long as 256 (the square would be 4), at 32 sequences."},
      {"A batch costs much less than its sequences one by one.",
       "On the CPU 32 sequences together take at most 16 times as long as one, at 256 units."}};
  lesson.seeded = false;
  lesson.expected_seconds = 10;
  lesson.run = run_time;
  return lesson;
}

}  // namespace examples
