// The passes that are measured to fit the cost model, and others to score it.
#pragma once

#include <vector>

#include "rondo/calibration.h"

namespace tuning {

// Spread over cells, phases and sizes, in an order in which any first part is spread too; at most `most_us`
// each by the calibration given.
std::vector<rondo::Work> tuning_grid(const rondo::Calibration& calibration, double most_us);
// At least 200 others: sizes between those, some with two layers, both directions, or another input size.
std::vector<rondo::Work> scoring_grid(const rondo::Calibration& calibration, double most_us);

}  // namespace tuning
