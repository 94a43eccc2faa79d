// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator, so that every device and any number of threads draw the same value at the same place. constexpr:
// nvcc then takes it in device code, by --expt-relaxed-constexpr.
#pragma once

#include <array>
#include <cstdint>

namespace rondo {

// Multipliers and Weyl increments of the paper, table 2 and section 3.
inline constexpr int kPhiloxRounds = 10;
inline constexpr std::uint32_t kPhiloxMultipliers[] = {0xD2511F53, 0xCD9E8D57};
inline constexpr std::uint32_t kPhiloxWeyl[] = {0x9E3779B9, 0xBB67AE85};

constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  // By value: device code reads no array of the host's.
  constexpr std::uint64_t kM0 = kPhiloxMultipliers[0], kM1 = kPhiloxMultipliers[1];
  constexpr std::uint32_t kW0 = kPhiloxWeyl[0], kW1 = kPhiloxWeyl[1];
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t p0 = kM0 * counter[0];
    const std::uint64_t p1 = kM1 * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += kW0;
    key[1] += kW1;
  }
  return counter;
}

// Uniform in [0, 1), 24 bits: exact in f32, so f32 and f64 networks draw the same mask.
constexpr double unit_uniform(std::uint32_t bits) { return (bits >> 8) * 0x1p-24; }

}  // namespace rondo
