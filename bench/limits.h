// What one thread of this machine can do at most, measured, and the time that a shape needs at least.
#pragma once

#include <cstdint>

#include "bench/shape_options.h"

namespace bench {

// Of one thread, in f32. Bandwidths are those of reading weights that a product uses once: from the first-
// and the second-level cache, and from beyond both.
struct Limits {
  double flops_per_us = 0;
  double l1_bytes_per_us = 0, l2_bytes_per_us = 0, far_bytes_per_us = 0;
  std::int64_t l1_bytes = 0, l2_bytes = 0;
  double activations_per_us = 0;  // sigmoids or tanhs, each an exponential and a division
};

// Takes less than a second.
Limits measure_limits();

// The least time of a run, in microseconds: the products over the whole sequence at the peak of
// multiply-adds, or the time of reading their weights once, whichever is longer; T steps, each the longer of
// its products at that peak and of reading the recurrent weights from the cache that holds them; and the
// activations. Inference starts from zeros, so its first step has no such product. Training steps twice and
// has the weight gradients as one more product; of its pointwise part only the forward's activations count.
// Several threads share all of it: each multiplies, reads and activates its part alone, from the cache that
// holds that part, and waiting for one another counts nothing. So this is a bound from below.
double limit_us(const ShapeOptions& shape, const Limits& limits, int threads = 1);

}  // namespace bench
