// Two grids that share no shape.
#include "tuning/grid.h"

#include <algorithm>
#include <cstdint>
#include <random>

namespace tuning {
namespace {

constexpr rondo::Cell kCells[] = {rondo::Cell::kLstm, rondo::Cell::kGru, rondo::Cell::kSimpleRnn};
constexpr rondo::Phase kPhases[] = {rondo::Phase::kInference, rondo::Phase::kTraining};

rondo::Work work(rondo::Cell cell, rondo::Phase phase, std::int64_t t, std::int64_t n, std::int64_t h) {
  // Parameters as an Rnn has them; the CPU's time does not hang on that.
  return {.config = {.cell = cell, .input_size = h, .hidden_size = h},
          .phase = phase,
          .t = t,
          .n = n,
          .parameters_on_host = true,
          .from_zeros = true};
}

void drop_slow(std::vector<rondo::Work>& grid, const rondo::Calibration& calibration, double most_us) {
  std::erase_if(grid,
                [&](const rondo::Work& w) { return rondo::predict_us(w, calibration.cpu, 1) > most_us; });
}

}  // namespace

std::vector<rondo::Work> tuning_grid(const rondo::Calibration& calibration, double most_us) {
  std::vector<rondo::Work> grid;
  for (const std::int64_t h : {16, 32, 80, 128, 256, 512}) {
    for (const std::int64_t n : {1, 4, 10, 32, 64}) {
      for (const std::int64_t t : {1, 5, 30, 200}) {
        for (const rondo::Phase phase : kPhases) {
          for (const rondo::Cell cell : kCells) grid.push_back(work(cell, phase, t, n, h));
        }
      }
    }
  }
  drop_slow(grid, calibration, most_us);
  std::shuffle(grid.begin(), grid.end(), std::mt19937(1));
  return grid;
}

std::vector<rondo::Work> scoring_grid(const rondo::Calibration& calibration, double most_us) {
  std::vector<rondo::Work> grid;
  int index = 0;
  for (const std::int64_t h : {24, 64, 100, 192, 384}) {
    for (const std::int64_t n : {1, 2, 6, 8, 24, 48}) {
      for (const std::int64_t t : {1, 8, 50, 150}) {
        for (const rondo::Phase phase : kPhases) {
          rondo::Work w = work(kCells[index % 3], phase, t, n, h);
          if (index % 4 == 0) w.config.input_size = 20;
          if (index % 7 == 0) w.config.num_layers = 2;
          if (index % 11 == 0) w.config.direction = rondo::Direction::kBidirectional;
          grid.push_back(w);
          ++index;
        }
      }
    }
  }
  drop_slow(grid, calibration, most_us);
  std::shuffle(grid.begin(), grid.end(), std::mt19937(2));
  return grid;
}

}  // namespace tuning
