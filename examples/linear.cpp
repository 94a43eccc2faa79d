// Persistence, autoregression by least squares, and intervals.
#include "linear.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace examples {
namespace {

void append_row(const Series1d& series, std::int64_t horizon, std::int64_t t, int lags, int annual_pairs,
                std::vector<double>* row) {
  for (std::int64_t k = 0; k < lags; ++k) row->push_back(series.values[std::size_t(t - horizon - k)]);
  row->push_back(1);
  for (int p = 1; p <= annual_pairs; ++p) {
    row->push_back(std::sin(p * series.year_phase[std::size_t(t)]));
    row->push_back(std::cos(p * series.year_phase[std::size_t(t)]));
  }
}

// The 97.5 % quantile of Student's t for 1 to 30 degrees of freedom (printed tables), 1.96 beyond.
double student_quantile(std::size_t freedom) {
  constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                               2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                               2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  return freedom <= std::size(kTable) ? kTable[freedom - 1] : 1.96;
}

}  // namespace

std::vector<double> least_squares(const std::vector<double>& a, const std::vector<double>& b,
                                  std::size_t columns) {
  const std::size_t n = columns;
  std::vector<double> m(n * n), w(n);  // the normal equations: A^T A and A^T b
  for (std::size_t r = 0; r < b.size(); ++r) {
    const double* row = a.data() + r * n;
    for (std::size_t i = 0; i < n; ++i) {
      w[i] += row[i] * b[r];
      for (std::size_t j = 0; j <= i; ++j) m[i * n + j] += row[i] * row[j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) m[i * n + i] *= 1 + 1e-12;
  for (std::size_t i = 0; i < n; ++i) {  // Cholesky: m becomes L, the lower triangle
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = m[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= m[i * n + k] * m[j * n + k];
      m[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / m[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) w[i] -= m[i * n + k] * w[k];
    w[i] /= m[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) w[i] -= m[k * n + i] * w[k];
    w[i] /= m[i * n + i];
  }
  return w;
}

Forecast persistence(const Series1d& series, const Split& split) {
  Forecast forecast;
  for (std::int64_t t = split.test; t < split.end; ++t) {
    forecast.push_back(series.values[std::size_t(t - split.horizon)]);
  }
  return forecast;
}

Forecast autoregression(const Series1d& series, const Split& split, int lags, int annual_pairs) {
  std::vector<double> a, b;
  for (std::int64_t t = split.first; t < split.test; ++t) {
    append_row(series, split.horizon, t, lags, annual_pairs, &a);
    b.push_back(series.values[std::size_t(t)]);
  }
  const std::vector<double> w = least_squares(a, b, std::size_t(lags + 1 + 2 * annual_pairs));
  Forecast forecast;
  for (std::int64_t t = split.test; t < split.end; ++t) {
    std::vector<double> row;
    append_row(series, split.horizon, t, lags, annual_pairs, &row);
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) sum += w[i] * row[i];
    forecast.push_back(sum);
  }
  return forecast;
}

double rmse(const Series1d& series, const Split& split, const Forecast& forecast) {
  double sum = 0;
  for (std::size_t i = 0; i < forecast.size(); ++i) {
    sum += std::pow(forecast[i] - series.values[std::size_t(split.test) + i], 2);
  }
  return std::sqrt(sum / double(forecast.size()));
}

Interval mean_interval(const std::vector<double>& sample) {
  double mean = 0, squares = 0;
  for (double v : sample) mean += v / double(sample.size());
  if (sample.size() < 2) return {mean, mean, mean};
  for (double v : sample) squares += (v - mean) * (v - mean);
  const double error = std::sqrt(squares / double(sample.size() - 1) / double(sample.size()));
  const double half = student_quantile(sample.size() - 1) * error;
  return {mean, mean - half, mean + half};
}

Interval difference_interval(const std::vector<double>& a, const std::vector<double>& b) {
  constexpr std::size_t kLags = 7;
  const std::size_t n = a.size();
  std::vector<double> d(n);
  double mean = 0;
  for (std::size_t i = 0; i < n; ++i) mean += (d[i] = a[i] - b[i]) / double(n);
  double variance = 0;
  for (std::size_t lag = 0; lag <= std::min(kLags, n - 1); ++lag) {
    double covariance = 0;
    for (std::size_t i = lag; i < n; ++i) covariance += (d[i] - mean) * (d[i - lag] - mean) / double(n);
    variance += (lag == 0 ? 1 : 2 * (1 - double(lag) / double(kLags + 1))) * covariance;
  }
  const double half = 1.96 * std::sqrt(std::max(variance, 0.0) / double(n));
  return {mean, mean - half, mean + half};
}

}  // namespace examples
