// A coordinate search over the logarithms of the coefficients.
#include "tuning/fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>

namespace tuning {
namespace {

constexpr double kFarthest = 50;  // from the start, as a factor

double predicted(const Sample& sample, const rondo::Calibration& c) {
  return sample.threads == 0 ? rondo::predict_us(sample.work, c.cuda)
                             : rondo::predict_us(sample.work, c.cpu, sample.threads);
}

// Of an error in a logarithm: as its square where it is small, and ever flatter beyond a fifth (Cauchy's
// loss).
double loss(double error) {
  const double scaled = error / 0.2;
  return std::log1p(scaled * scaled);
}

// Whether two samples are of one work, as consecutive samples of a grid are.
bool same_work(const rondo::Work& a, const rondo::Work& b) {
  const rondo::RnnConfig &x = a.config, &y = b.config;
  return a.phase == b.phase && a.t == b.t && a.n == b.n && a.from_zeros == b.from_zeros && x.cell == y.cell &&
         x.input_size == y.input_size && x.hidden_size == y.hidden_size && x.num_layers == y.num_layers &&
         x.direction == y.direction && x.dtype == y.dtype;
}

// One thread and all of them, one after the other, of one work.
bool is_pair(const std::vector<Sample>& samples, std::size_t i) {
  return i > 0 && samples[i].threads > 1 && samples[i - 1].threads == 1 &&
         same_work(samples[i].work, samples[i - 1].work);
}

double total_loss(const std::vector<Sample>& samples, const rondo::Calibration& c) {
  double sum = 0;
  for (const Sample& sample : samples) sum += loss(std::log(predicted(sample, c) / sample.us));
  return sum;
}

// Steps along one coefficient at a time, ever smaller.
template <class Cost>
void search(std::span<const rondo::Coefficient<Cost>> coefficients, const Cost& start, Cost& cost,
            const std::function<double()>& loss_now) {
  double best = loss_now();
  for (double step = 0.7; step > 0.005;) {
    bool better = false;
    for (const auto& coefficient : coefficients) {
      double& value = cost.*coefficient.value;
      const double middle = start.*coefficient.value;
      for (const double direction : {step, -step}) {
        const double old = value;
        value = std::clamp(old * std::exp(direction), middle / kFarthest, middle * kFarthest);
        const double loss = loss_now();
        if (loss < best - 1e-9) {
          best = loss;
          better = true;
          break;
        }
        value = old;
      }
    }
    if (!better) step /= 2;
  }
}

// What wrong choices between one thread and all of them cost, each at most its own time.
double choice_loss(const std::vector<Sample>& samples, const rondo::CpuCost& cost) {
  double sum = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    if (!is_pair(samples, i)) continue;
    const Sample &one = samples[i - 1], &all = samples[i];
    const bool takes_all = rondo::choose_threads(all.work, cost, all.threads) > 1;
    const double taken = takes_all ? all.us : one.us;
    sum += std::min(1.0, taken / std::min(one.us, all.us) - 1);
  }
  return sum;
}

// Times are fitted; choices hang on what threads cost each other, which is a small part of most times. So
// these three coefficients are moved to where choices are best, and as little as that takes.
void settle_threads(const std::vector<Sample>& samples, rondo::CpuCost& cost) {
  constexpr int kSteps = 6;
  constexpr int kMostDown = 11;  // a fortieth: where threads spin, a meeting costs next to nothing
  constexpr double kNear = 0.1;  // what a step has to win, as a part of one choice's time
  const rondo::CpuCost fitted = cost;
  std::vector<Sample> inference, training;
  for (const Sample& sample : samples) {
    (sample.work.phase == rondo::Phase::kTraining ? training : inference).push_back(sample);
  }
  const auto moved = [&](int handover, int training_handover, int meeting) {
    constexpr double kStep = 1.4;
    rondo::CpuCost c = fitted;
    c.handover_us *= std::pow(kStep, handover);
    c.training_handover_us *= std::pow(kStep, training_handover);
    c.meeting_us *= std::pow(kStep, meeting);
    return c;
  };
  // The best handover of one phase for a given meeting.
  struct Best {
    double loss;
    int step;
  };
  const auto best_of = [&](const std::vector<Sample>& part, int meeting) {
    Best best{std::numeric_limits<double>::infinity(), 0};
    for (int step = -kSteps; step <= kSteps; ++step) {
      const double loss = choice_loss(part, moved(step, step, meeting)) + kNear * step * step;
      if (loss < best.loss) best = {loss, step};
    }
    return best;
  };
  double least = std::numeric_limits<double>::infinity();
  for (int meeting = -kMostDown; meeting <= kSteps; ++meeting) {
    const Best one = best_of(inference, meeting), other = best_of(training, meeting);
    const double loss = one.loss + other.loss + kNear * meeting * meeting;
    if (loss >= least) continue;
    least = loss;
    cost = moved(one.step, other.step, meeting);
  }
}

}  // namespace

rondo::Calibration fit(const std::vector<Sample>& samples, const rondo::Calibration& start) {
  if (samples.empty()) throw std::invalid_argument("fit: no sample was measured");
  for (const Sample& sample : samples) {
    if (!(sample.us > 0) || !std::isfinite(sample.us)) {
      throw std::invalid_argument("fit: a sample took " + std::to_string(sample.us) + " us");
    }
  }
  std::vector<Sample> cpu, one_thread, gpu;
  for (const Sample& sample : samples) {
    (sample.threads == 0 ? gpu : cpu).push_back(sample);
    if (sample.threads == 1) one_thread.push_back(sample);
  }
  rondo::Calibration fitted = start;
  if (!one_thread.empty()) {
    search<rondo::CpuCost>(rondo::kCpuCoefficients, start.cpu, fitted.cpu,
                           [&] { return total_loss(one_thread, fitted); });
  }
  if (!cpu.empty()) settle_threads(cpu, fitted.cpu);
  if (!gpu.empty()) {
    search<rondo::CudaCost>(rondo::kCudaCoefficients, start.cuda, fitted.cuda,
                            [&] { return total_loss(gpu, fitted); });
  }
  return fitted;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

FitError fit_error(const std::vector<Sample>& samples, int threads, const rondo::Calibration& calibration) {
  std::vector<double> errors;
  for (const Sample& sample : samples) {
    if (sample.threads == threads) errors.push_back(std::abs(predicted(sample, calibration) / sample.us - 1));
  }
  if (errors.empty()) return {};
  return {static_cast<int>(errors.size()), quantile(errors, 0.5), quantile(errors, 0.9)};
}

}  // namespace tuning
