// The least time of a shape as a pure function of made-up limits, and the order of those that are measured.
#include "bench/limits.h"

#include <gtest/gtest.h>

namespace bench {
namespace {

// A flop takes a nanosecond; a byte one, two or four.
constexpr Limits kPlain{.flops_per_us = 1000,
                        .l1_bytes_per_us = 1000,
                        .l2_bytes_per_us = 500,
                        .far_bytes_per_us = 250,
                        .l1_bytes = 2000,
                        .l2_bytes = 40000,
                        .activations_per_us = 1e15};  // nothing, but where a test is about them

ShapeOptions shape(std::int64_t t, std::int64_t n, std::int64_t i, std::int64_t h) {
  ShapeOptions s;
  s.cell = "lstm";
  s.t = t, s.n = n, s.i = i, s.h = h;
  return s;
}

TEST(Limits, OneRowIsBoundByReadingWeightsFromTheCacheThatHoldsThem) {
  // Weights: 4 * h * h * 4 bytes.
  EXPECT_NEAR(limit_us(shape(5, 1, 3, 10), kPlain), 5 * 0.24 + 4 * 1.6, 1e-9);  // 1600 bytes
  EXPECT_NEAR(limit_us(shape(5, 1, 3, 20), kPlain), 5 * 0.48 + 4 * 6.4 * 2, 1e-9);  // 6400
  EXPECT_NEAR(limit_us(shape(5, 1, 3, 100), kPlain), 5 * 2.4 + 4 * 160 * 4, 1e-9);  // 160000
}

TEST(Limits, AStreamHasAStateFromItsFirstStepOn) {
  ShapeOptions s = shape(5, 1, 3, 10);
  s.phase = "step";
  EXPECT_NEAR(limit_us(s, kPlain), 5 * (0.24 + 1.6), 1e-9);
}

TEST(Limits, ManyRowsAreBoundByArithmetic) {
  EXPECT_NEAR(limit_us(shape(5, 64, 10, 10), kPlain), 64 * (5 * 0.8 + 4 * 0.8), 1e-9);
  ShapeOptions doubles = shape(5, 64, 10, 10);
  doubles.dtype = "f64";
  EXPECT_NEAR(limit_us(doubles, kPlain), 2 * 64 * (5 * 0.8 + 4 * 0.8), 1e-9);
}

TEST(Limits, TrainingStepsTwiceAndMultipliesThreeTimes) {
  ShapeOptions s = shape(5, 64, 10, 10);
  s.phase = "training";
  EXPECT_NEAR(limit_us(s, kPlain), 3 * 5 * 64 * 1.6, 1e-9);
  s.n = 1;  // each of both loops reads the weights
  EXPECT_NEAR(limit_us(s, kPlain), 5 * (3 * 0.8 + 2 * 1.6 + 0.8), 1e-9);
}

TEST(Limits, LaterLayersReadBothDirections) {
  ShapeOptions s = shape(1, 64, 3, 10);
  s.layers = 2;
  s.bidirectional = true;
  EXPECT_NEAR(limit_us(s, kPlain), 64 * 2 * (0.24 + 1.6), 1e-9);
}

// Nothing of R: the state is zeros.
TEST(Limits, AShortCallReadsItsInputWeightsOnceAtLeast) {
  EXPECT_NEAR(limit_us(shape(1, 1, 10, 10), kPlain), 1.6, 1e-9);
}

TEST(Limits, ActivationsComeOnTop) {
  Limits slow = kPlain;
  slow.activations_per_us = 10;
  ShapeOptions s = shape(5, 64, 10, 10);
  const double gates = 5 * 64 * 10 / 10.0;  // microseconds for one a unit
  EXPECT_NEAR(limit_us(s, slow) - limit_us(s, kPlain), 5 * gates, 1e-6);
  s.cell = "gru";
  EXPECT_NEAR(limit_us(s, slow) - limit_us(s, kPlain), 3 * gates, 1e-6);
  s.cell = "rnn";
  EXPECT_NEAR(limit_us(s, slow) - limit_us(s, kPlain), gates, 1e-6);
  s.phase = "training";  // backward has none
  EXPECT_NEAR(limit_us(s, slow) - limit_us(s, kPlain), gates, 1e-6);
}

TEST(Limits, TwoThreadsHalveTheWorkAndReadHalvesFromNearerCaches) {
  EXPECT_NEAR(limit_us(shape(5, 64, 10, 10), kPlain, 2), 64 * (5 * 0.8 + 4 * 0.8) / 2, 1e-9);
  // 6400 bytes are beyond the first level, their quarters are in it.
  EXPECT_NEAR(limit_us(shape(5, 1, 3, 20), kPlain, 4), 5 * 0.48 / 4 + 4 * 1.6, 1e-9);
}

// Their order is not asked for: beside other programs a cache may seem slower than memory.
TEST(Limits, WhatIsMeasuredCanBeDividedBy) {
  const Limits limits = measure_limits();
  for (const double rate : {limits.flops_per_us, limits.l1_bytes_per_us, limits.l2_bytes_per_us,
                            limits.far_bytes_per_us, limits.activations_per_us}) {
    EXPECT_GT(rate, 0);
    EXPECT_LT(rate, 1e12);
  }
  EXPECT_GT(limits.l2_bytes, limits.l1_bytes);
  std::printf(
      "%.0f GFLOP/s, %.0f, %.0f and %.0f GB/s from %.0f KiB, %.0f KiB and beyond, %.2f activations a ns\n",
      limits.flops_per_us / 1e3, limits.l1_bytes_per_us / 1e3, limits.l2_bytes_per_us / 1e3,
      limits.far_bytes_per_us / 1e3, limits.l1_bytes / 1024.0, limits.l2_bytes / 1024.0,
      limits.activations_per_us / 1e3);
}

}  // namespace
}  // namespace bench
