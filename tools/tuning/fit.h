// The coefficients of the cost model from measured times.
#pragma once

#include <string>
#include <vector>

#include "rondo/calibration.h"

namespace tuning {

struct Sample {
  rondo::Work work;
  int threads = 1;  // of the CPU; 0: a GPU
  double us = 0;
};

// The coefficients under which predictions come closest to the samples of one thread and of a GPU, outliers
// weighing little; then what threads cost each other is moved to where choices between one and all of them lose
// least. Each stays within a factor of 50 of `start`; one that no sample depends on stays as it is, and so does
// the part of a device without samples.
// std::invalid_argument when there is no sample, or one whose time is not positive and finite.
rondo::Calibration fit(const std::vector<Sample>& samples, const rondo::Calibration& start);

// |predicted / measured - 1| over the samples of so many threads (0: a GPU).
struct FitError {
  int samples = 0;
  double median = 0, p90 = 0;
};
FitError fit_error(const std::vector<Sample>& samples, int threads, const rondo::Calibration& calibration);

double quantile(std::vector<double> values, double q);  // linear between two values; values must not be empty

}  // namespace tuning
