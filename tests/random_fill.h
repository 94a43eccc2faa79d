// Reproducible random numbers for tests: the same on every machine and standard library.
#pragma once

#include <cstdint>
#include <vector>

#include "element_types.h"

namespace rondo::testing {

// SplitMix64 (Steele, Lea and Flood 2014): one word of state, every seed usable.
class RandomFill {
 public:
  explicit RandomFill(std::uint64_t seed) : state_(seed) {}

  std::uint64_t word() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(word() >> 11) * 0x1p-53; }
  // Uniform in [-scale, scale).
  double signed_unit(double scale = 1) { return scale * (2 * unit() - 1); }
  // Uniform in low..high, both included.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(word() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool coin() { return (word() >> 63) != 0; }

  // Values that the type can hold, so that it and the reference compute from equal input.
  std::vector<double> values(std::int64_t count, double scale, DType dtype) {
    std::vector<double> v(static_cast<std::size_t>(count));
    for (double& e : v) e = rounded_to(dtype, signed_unit(scale));
    return v;
  }
  // Inverted dropout factors: 0 or 1 / (1 - rate).
  std::vector<double> mask(std::int64_t count, double rate, DType dtype) {
    const double kept = rounded_to(dtype, 1 / (1 - rate));
    std::vector<double> v(static_cast<std::size_t>(count));
    for (double& e : v) e = unit() < rate ? 0 : kept;
    return v;
  }

 private:
  std::uint64_t state_;
};

}  // namespace rondo::testing
