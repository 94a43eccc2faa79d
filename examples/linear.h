// Forecasts without a network, and the statistics that compare forecasts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "series.h"

namespace examples {

// Forecasts of the targets [split.test, split.end).
using Forecast = std::vector<double>;

Forecast persistence(const Series1d& series, const Split& split);
// Least squares on the last `lags` values up to t - horizon, a constant, and `annual_pairs` pairs of sine
// and cosine of the target's day of the year; fitted to every target before the test.
Forecast autoregression(const Series1d& series, const Split& split, int lags, int annual_pairs);

// Weights w that minimise |A w - b|^2; A [rows, columns] row-major. Columns that depend on others (as in a
// constant series) get a negligible ridge, so that there is always an answer.
std::vector<double> least_squares(const std::vector<double>& a, const std::vector<double>& b,
                                  std::size_t columns);

double rmse(const Series1d& series, const Split& split, const Forecast& forecast);

struct Interval {
  double mean = 0, low = 0, high = 0;
};
// The mean of a sample and its 95 % interval by Student's t; of one value the value itself.
Interval mean_interval(const std::vector<double>& sample);
// The mean of a - b over a year of daily values, with a 95 % interval that allows for neighbouring days
// being alike (Newey and West 1987, seven lags).
Interval difference_interval(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace examples
