// What rondo-cudnn-map asks, in the order in which it asks.
#pragma once

#include <functional>
#include <vector>

#include "bench/cudnn_probe.h"

namespace bench {

struct CudnnJob {
  Json subject;                             // the start of its line
  std::function<Json(CudnnProbe&)> answer;  // the rest
};

// Single questions about cuDNN on a GPU: rows of different lengths by persistent algorithms, equal bits on
// two streams, the standard algorithm in a graph, weight gradients that are set, batch-major rows.
std::vector<CudnnJob> cudnn_questions();

// The map: algorithms x element types x cells x H x N x layers x directions, a coarse grid first.
std::vector<CudnnJob> cudnn_map();

}  // namespace bench
