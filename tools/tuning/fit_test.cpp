// Coefficients are found again from times that the model itself made, and decisions are scored as they are.
#include "tuning/fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <stdexcept>

#include "tuning/grid.h"
#include "tuning/tuning.h"

namespace tuning {
namespace {

// A machine unlike the published one.
rondo::Calibration other_machine() {
  rondo::Calibration c = rondo::published_calibration();
  c.cpu.flops_per_us *= 0.4;
  c.cpu.l2_bytes_per_us *= 2;
  c.cpu.elements_per_us *= 0.6;
  c.cpu.handover_us *= 6;
  c.cpu.training_handover_us *= 4;
  c.cpu.meeting_us *= 5;
  c.cuda.step_us *= 0.3;
  c.cuda.call_us *= 2;
  return c;
}

std::vector<Sample> made_samples(const rondo::Calibration& machine, double noise, bool gpu) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0, noise);
  std::vector<Sample> samples;
  for (const rondo::Work& work : tuning_grid(machine, 1e5)) {
    for (const int threads : {1, 2}) {
      samples.push_back(
          {work, threads, rondo::predict_us(work, machine.cpu, threads) * std::exp(normal(random))});
    }
    if (gpu) samples.push_back({work, 0, rondo::predict_us(work, machine.cuda) * std::exp(normal(random))});
  }
  return samples;
}

TEST(Fit, FindsTheMachineThatMadeTheTimes) {
  const rondo::Calibration machine = other_machine(), start = rondo::published_calibration();
  const std::vector<Sample> samples = made_samples(machine, 0.05, true);
  const rondo::Calibration fitted = fit(samples, start);
  for (const int threads : {0, 1, 2}) {
    const FitError exact = fit_error(samples, threads, machine), before = fit_error(samples, threads, start),
                   after = fit_error(samples, threads, fitted);
    EXPECT_GT(after.samples, 100);
    EXPECT_GT(before.median, 2 * after.median) << threads << " threads: nothing to find";
    // The noise itself, which no fit can explain, and little more.
    EXPECT_LT(after.median, 1.5 * exact.median + 0.01) << threads;
    EXPECT_LT(after.p90, 1.5 * exact.p90 + 0.02) << threads;
  }
  std::vector<Decision> right;
  const std::vector<Side> sides = {{"cpu/1", {}, 1, false}, {"cpu", {}, 2, true}};
  for (const rondo::Work& work : scoring_grid(machine, 1e6)) {
    const std::vector<double> us = {rondo::predict_us(work, machine.cpu, 1),
                                    rondo::predict_us(work, machine.cpu, 2)};
    right.push_back(decide(work, sides, us, fitted));
  }
  EXPECT_TRUE(score(right).passed()) << score(right).mean;
}

TEST(Fit, AFewWildTimesDoNotMoveIt) {
  const rondo::Calibration machine = other_machine();
  std::vector<Sample> samples = made_samples(machine, 0.02, false);
  for (std::size_t i = 0; i < samples.size(); i += 20) samples[i].us *= 30;
  const FitError error =
      fit_error(made_samples(machine, 0, false), 1, fit(samples, rondo::published_calibration()));
  EXPECT_LT(error.median, 0.1);
}

TEST(Fit, WhatNoSampleDependsOnStaysAsItIs) {
  const rondo::Calibration start = rondo::published_calibration();
  const Sample one{{.config = {.input_size = 16, .hidden_size = 16}, .t = 5}, 1, 3};
  const rondo::Calibration fitted = fit({one}, start);
  for (const auto& c : rondo::kCudaCoefficients)
    EXPECT_EQ(fitted.cuda.*c.value, start.cuda.*c.value) << c.name;
  EXPECT_EQ(fitted.cpu.handover_us, start.cpu.handover_us);
  EXPECT_EQ(fitted.cpu.meeting_us, start.cpu.meeting_us);
  EXPECT_EQ(fitted.cpu.training_factor, start.cpu.training_factor);
  EXPECT_NEAR(rondo::predict_us(one.work, fitted.cpu, 1), 3, 0.2);
  rondo::set_calibration(fitted);  // whatever it is, it can be used
  rondo::set_calibration(std::nullopt);
}

TEST(Fit, NothingToFitIsAnError) {
  EXPECT_THROW(fit({}, rondo::published_calibration()), std::invalid_argument);
  for (const double us : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(fit({{{}, 1, us}}, rondo::published_calibration()), std::invalid_argument) << us;
  }
}

TEST(Grid, TheScoredShapesAreOthersAndEnough) {
  const rondo::Calibration c = rondo::published_calibration();
  const auto key = [](const rondo::Work& w) { return std::tuple(w.t, w.n, w.config.hidden_size); };
  std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t>> tuned;
  for (const rondo::Work& w : tuning_grid(c, 1e6)) tuned.insert(key(w));
  const auto scored = scoring_grid(c, 3e5);
  EXPECT_GE(scored.size(), 200U);
  for (const rondo::Work& w : scored) EXPECT_FALSE(tuned.contains(key(w)));
}

TEST(Score, CountsWhatAWrongChoiceCosts) {
  const auto decision = [](double a, double b, std::size_t chosen) {
    return Decision{{}, {a, b}, {1, 2}, chosen};
  };
  EXPECT_NEAR(decision(10, 13, 1).regret(), 0.3, 1e-12);
  EXPECT_EQ(decision(10, 13, 0).regret(), 0);
  const Score s = score({decision(10, 13, 1), decision(10, 13, 0), decision(4, 2, 1), decision(4, 2, 0)});
  EXPECT_NEAR(s.mean, 1.3 / 4, 1e-12);
  EXPECT_NEAR(s.within_25, 0.5, 1e-12);
  EXPECT_NEAR(s.worst, 1, 1e-12);
  EXPECT_FALSE(s.passed());
  EXPECT_TRUE(score({decision(10, 13, 0)}).passed());
}

TEST(Decide, FollowsThePrediction) {
  const rondo::Calibration c = rondo::published_calibration();
  rondo::Work small{.config = {.input_size = 16, .hidden_size = 16}, .t = 1};
  rondo::Work large{.config = {.input_size = 256, .hidden_size = 256}, .t = 100, .n = 64};
  const std::vector<Side> sides = {{"cpu/1", {}, 1, false}, {"cpu", {}, 2, true}};
  EXPECT_EQ(decide(small, sides, {1, 2}, c).chosen, 0U);
  EXPECT_EQ(decide(large, sides, {1, 2}, c).chosen, 1U) << "whatever was measured";
  const std::vector<Side> devices = {{"cpu", {}, 2, false},
                                     {"cuda:0", {rondo::Device::Kind::kCuda, 0}, 0, false}};
  EXPECT_EQ(decide(small, devices, {1, 2}, c).chosen, 0U);
  large.n = 512;
  EXPECT_EQ(decide(large, devices, {1, 2}, c).chosen, 1U);
}

}  // namespace
}  // namespace tuning
