// Measuring a grid for a given time, and scoring decisions.
#include "tuning/tuning.h"

#include <algorithm>
#include <chrono>

#include "tuning/grid.h"

namespace tuning {

std::vector<Sample> collect(double seconds, const std::function<bool(double)>& progress) {
  // What an earlier run stored must not decide what this one measures.
  rondo::set_calibration(rondo::published_calibration());
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<Side> sides = cpu_sides();
  if (const auto gpu = gpu_side()) sides.push_back(*gpu);
  const std::vector<rondo::Work> grid = tuning_grid(rondo::published_calibration(), 4e4);
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < grid.size() && passed() < seconds; ++i) {
    const double part =
        std::max(passed() / seconds, static_cast<double>(i) / static_cast<double>(grid.size()));
    if (!progress(part)) break;
    // Below the median, since what other programs take makes passes longer, never shorter, and those on
    // several threads most.
    std::vector<std::vector<double>> of_sides;
    add_samples(grid[i], sides, {.samples = 7, .sample_us = 1000}, of_sides);
    const std::vector<double> us = quantiles(of_sides, 0.25);
    for (std::size_t s = 0; s < sides.size(); ++s) samples.push_back({grid[i], sides[s].threads, us[s]});
  }
  rondo::set_calibration(std::nullopt);
  return samples;
}

double Decision::regret() const { return us[chosen] / *std::min_element(us.begin(), us.end()) - 1; }

Decision decide(const rondo::Work& work, std::span<const Side> sides, const std::vector<double>& us,
                const rondo::Calibration& calibration) {
  Decision decision{work, us, {}, 0};
  // A device is chosen before it is known whether calls come with a state, the threads of a call when it
  // comes.
  const auto is_gpu = [](const Side& side) { return side.threads == 0; };
  rondo::Work known = work;
  if (std::any_of(sides.begin(), sides.end(), is_gpu)) known.from_zeros = false;
  for (const Side& side : sides) {
    if (is_gpu(side)) {
      decision.predicted_us.push_back(rondo::predict_us(known, calibration.cuda));
      continue;
    }
    const bool free = side.threads > 1 && !side.all_threads;
    const int threads = free ? rondo::choose_threads(known, calibration.cpu, side.threads) : side.threads;
    decision.predicted_us.push_back(rondo::predict_us(known, calibration.cpu, threads));
  }
  const auto& p = decision.predicted_us;
  decision.chosen = static_cast<std::size_t>(std::min_element(p.begin(), p.end()) - p.begin());
  return decision;
}

Score score(const std::vector<Decision>& decisions) {
  if (decisions.empty()) return {};
  std::vector<double> regrets;
  Score result;
  for (const Decision& decision : decisions) {
    regrets.push_back(decision.regret());
    result.mean += regrets.back();
    if (regrets.back() <= 0.25) result.within_25 += 1;
  }
  const auto count = static_cast<double>(regrets.size());
  result.mean /= count;
  result.within_25 /= count;
  result.p95 = quantile(regrets, 0.95);
  result.worst = *std::max_element(regrets.begin(), regrets.end());
  return result;
}

}  // namespace tuning
