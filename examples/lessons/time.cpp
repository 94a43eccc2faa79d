// Lesson: time against the units H and the batch N.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lesson.h"
#include "sequence_model.h"

namespace examples {
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

double microseconds_a_step(const rondo::Device& device, std::int64_t units, std::int64_t rows, int repeats) {
  rondo::RnnConfig config;
  config.cell = rondo::Cell::kLstm;
  config.input_size = units;
  config.hidden_size = units;
  rondo::Rnn rnn(config, device);
  rondo::Tensor x(rondo::DType::kF32, {kSteps, rows, units}), dy(rondo::DType::kF32, {kSteps, rows, units});
  std::mt19937_64 random(1);
  for (float& v : x.span<float>()) v = float(uniform(random));
  for (float& v : dy.span<float>()) v = float(uniform(random)) / 100;
  rondo::Tape tape;
  rondo::BackwardOptions upstream;
  upstream.dy = dy;
  double fastest = std::numeric_limits<double>::max();
  for (int r = -2; r < repeats; ++r) {  // two to warm up
    const Stopwatch watch;
    rondo::ForwardOptions options;
    options.tape = &tape;
    const rondo::ForwardResult out = rnn.forward(x, options);
    rnn.backward(tape, upstream);
    if (r >= 0) fastest = std::min(fastest, watch.seconds());
  }
  return fastest * 1e6 / double(kSteps);
}

bool measure(Measured* m, int repeats, LessonRun* run) {
  for (std::int64_t units : kUnits) {
    m->against_h.push_back(microseconds_a_step(m->device, units, kBatchAgainstH, repeats));
    if (!run->advance(m->name + ", H " + std::to_string(units))) return false;
  }
  for (std::int64_t rows : kBatches) {
    m->against_n.push_back(microseconds_a_step(m->device, kUnitsAgainstN, rows, repeats));
    if (!run->advance(m->name + ", N " + std::to_string(rows))) return false;
  }
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
                             "An LSTM, I = H, 50 steps, forward and backward in f32. Both axes double or "
                             "grow tenfold by equal lengths."});
  result->figures.push_back(
      {chart_of(kBatches, "sequences N, at H = 256", all, &Measured::against_n, 1),
       "The same against the batch: a line below the dashed one's slope is work saved."});
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
  run.expect(double(all.size() * (kUnits.size() + kBatches.size())));
  for (Measured& m : all) {
    if (!measure(&m, run.quick() ? 1 : 25, &run)) return;
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
      "gradients): "
      "against H at 32 sequences, against N at 256 units. The fastest of 25 passes, since other programs "
      "only add to the time, with "
      "all threads that the library takes by itself, and nothing else of this program running.";
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
