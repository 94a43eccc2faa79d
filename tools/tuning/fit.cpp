// A coordinate search over the logarithms of the coefficients.
#include "tuning/fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
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
  return a.phase == b.phase && a.t == b.t && a.n == b.n && x.cell == y.cell && x.input_size == y.input_size &&
         x.hidden_size == y.hidden_size && x.num_layers == y.num_layers && x.direction == y.direction &&
         x.dtype == y.dtype;
}

double total_loss(const std::vector<Sample>& samples, const rondo::Calibration& c) {
  double sum = 0, before = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double error = std::log(predicted(samples[i], c) / samples[i].us);
    sum += loss(error);
    const bool pair = i > 0 && samples[i].threads > 1 && samples[i - 1].threads == 1 &&
                      same_work(samples[i].work, samples[i - 1].work);
    // What decides is the ratio.
    if (pair) sum += 2 * loss(error - before);
    before = error;
  }
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

}  // namespace

rondo::Calibration fit(const std::vector<Sample>& samples, const rondo::Calibration& start) {
  if (samples.empty()) throw std::invalid_argument("fit: no sample was measured");
  for (const Sample& sample : samples) {
    if (!(sample.us > 0) || !std::isfinite(sample.us)) {
      throw std::invalid_argument("fit: a sample took " + std::to_string(sample.us) + " us");
    }
  }
  std::vector<Sample> cpu, gpu;
  for (const Sample& sample : samples) (sample.threads == 0 ? gpu : cpu).push_back(sample);
  rondo::Calibration fitted = start;
  if (!cpu.empty()) {
    search<rondo::CpuCost>(rondo::kCpuCoefficients, start.cpu, fitted.cpu,
                           [&] { return total_loss(cpu, fitted); });
  }
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
