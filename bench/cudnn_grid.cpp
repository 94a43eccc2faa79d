// The map of what cuDNN runs: the grid, from coarse to fine.
#include <algorithm>

#include "bench/cudnn_jobs.h"

namespace bench {
namespace {

using rondo::cuda::CudnnAlgorithm;
using rondo::cuda::CudnnNetwork;

constexpr std::int64_t kSteps = 32;  // short: what a step takes, with a share of the input's product

struct Mode {
  rondo::DType dtype;
  rondo::MathMode math;
};
constexpr Mode kModes[] = {{rondo::DType::kF32, rondo::MathMode::kStrict},
                           {rondo::DType::kF32, rondo::MathMode::kTf32},
                           {rondo::DType::kBf16, rondo::MathMode::kStrict},
                           {rondo::DType::kF16, rondo::MathMode::kStrict}};

// 0: what a first look needs, 3: the rest.
int level(const CudnnNetwork& n, std::int64_t rows) {
  const bool few_sizes =
      (n.hidden_size == 128 || n.hidden_size == 256 || n.hidden_size == 1024) && (rows == 8 || rows == 32);
  const bool plain = n.num_layers == 1 && n.directions == 1;
  if (few_sizes) return plain ? 0 : 2;
  return plain ? 1 : 3;
}

Json ask(CudnnProbe& probe, const CudnnNetwork& network, std::int64_t rows) {
  const ProbeSequence sequence{kSteps, rows};
  Json answer;
  answer["inference"] = probe.pass(network, sequence, false);
  answer["training"] = probe.pass(network, sequence, true);
  return answer;
}

}  // namespace

std::vector<CudnnJob> cudnn_map() {
  struct Point {
    int level;
    CudnnNetwork network;
    std::int64_t rows;
  };
  std::vector<Point> points;
  const auto add = [&](const CudnnNetwork& network) {
    for (const std::int64_t rows : {1, 8, 12, 16, 32, 64, 128}) {
      points.push_back({level(network, rows), network, rows});
    }
  };
  using enum CudnnAlgorithm;
  for (const std::int64_t h : {64, 128, 192, 256, 512, 768, 1024, 1536, 2048})
    for (const Mode& mode : kModes)
      for (const rondo::Cell cell : {rondo::Cell::kLstm, rondo::Cell::kGru, rondo::Cell::kSimpleRnn})
        for (const std::int64_t layers : {1, 2})
          for (const int directions : {1, 2})
            for (const CudnnAlgorithm algorithm : {kPersistStatic, kPersistSmallH, kStandard})
              add({.cell = cell,
                   .dtype = mode.dtype,
                   .math_mode = mode.math,
                   .input_size = h,
                   .hidden_size = h,
                   .num_layers = layers,
                   .directions = directions,
                   .algorithm = algorithm});
  std::stable_sort(points.begin(), points.end(),
                   [](const Point& a, const Point& b) { return a.level < b.level; });
  std::vector<CudnnJob> jobs;
  for (const Point& point : points) {
    Json subject{{"map", point.level}};
    subject.update(json_of(point.network));
    subject["n"] = point.rows;
    subject["t"] = kSteps;
    jobs.push_back({subject, [point](CudnnProbe& probe) { return ask(probe, point.network, point.rows); }});
  }
  return jobs;
}

}  // namespace bench
