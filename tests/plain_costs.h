// Work, and costs whose terms can be told apart by eye.
#pragma once

#include "core/dispatch.h"
#include "rondo/rondo.h"

namespace rondo::testing {

inline Request request(std::int64_t t, std::int64_t n, std::int64_t h, std::int64_t layers = 1) {
  Request r;
  r.config = {.cell = Cell::kLstm, .input_size = h, .hidden_size = h, .num_layers = layers};
  r.max_t = t;
  r.max_n = n;
  return r;
}

// Costs whose terms can be told apart by eye; what no test looks at costs next to nothing.
inline constexpr double kFree = 1e-12, kFast = 1e12;
inline const Calibration kPlain{.cpu = {.call_us = 1,
                                        .step_us = kFree,
                                        .flops_per_us = 1000,
                                        .l1_bytes_per_us = kFast,
                                        .l2_bytes_per_us = kFast,
                                        .far_bytes_per_us = kFast,
                                        .elements_per_us = kFast,
                                        .training_factor = 3,
                                        .handover_us = kFree,
                                        .training_handover_us = kFree,
                                        .meeting_us = kFree},
                                .cuda = {.call_us = 100,
                                         .step_us = 5,
                                         .flops_per_us = 1e6,
                                         .weight_bytes_per_us = 1e9,
                                         .training_factor = 3,
                                         .copy_us = 10,
                                         .copy_bytes_per_us = 1000},
                                .origin = "made-up figures"};

inline Work work(std::int64_t t, std::int64_t n, std::int64_t h, std::int64_t layers = 1) {
  return work_of(request(t, n, h, layers));
}
inline double cpu(const Work& w, int threads = 1) { return predict_us(w, kPlain.cpu, threads); }
inline double gpu_without_copies(Work w) {
  w.data_on_host = false;
  return predict_us(w, kPlain.cuda);
}

}  // namespace rondo::testing
