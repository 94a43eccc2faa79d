// How far a result may lie from the truth: computed from the sums that make it, never chosen by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "element_types.h"
#include "rounded.h"

namespace rondo::testing {

// The truth for each element type, and the arithmetic of that type itself, whose distance from the
// truth shows how much the problem amplifies rounding.
template <class T>
struct Precision {  // of 16 bits
  using Truth = double;
  using Own = reference::Rounded<T>;
};
template <>
struct Precision<float> {
  using Truth = double;
  using Own = float;
};
template <>
struct Precision<double> {
  using Truth = long double;
  using Own = double;
};

// The longest sum that makes one element.
struct LongestSums {
  std::int64_t forward = 1, backward = 1;
};
inline LongestSums longest_sums(const RnnConfig& config, std::int64_t t, std::int64_t n) {
  LongestSums k;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    k.forward = std::max(k.forward, layer_input_size(config, layer) + state_size(config));
  }
  const std::int64_t gates = num_gates(config.cell) * config.hidden_size;
  if (config.projection_size > 0) k.forward = std::max(k.forward, config.hidden_size);
  if (config.layer_norm) k.forward = std::max(k.forward, gates);
  const std::int64_t through_gates = num_directions(config) * gates;
  k.backward = std::max({k.forward, through_gates, t * n});
  return k;
}

// What the reference gives in T's arithmetic, and in the wider type of data moved by a rounding each: how
// much the problem magnifies rounding. The first alone may have been lucky where little is summed and much
// cancels.
template <class T>
struct Roundings {
  const std::vector<typename Precision<T>::Own>& same_type;
  const std::vector<typename Precision<T>::Truth>& moved;
};
struct SumLength {
  std::int64_t longest;
  bool backward;
};

// Collects the measured error as a fraction of what is allowed, and says which tensor came closest.
class Measured {
 public:
  // truth: of the reference in the wider type.
  template <class T>
  void expect_close(const std::string& name, std::span<const T> got,
                    const std::vector<typename Precision<T>::Truth>& truth, const Roundings<T>& roundings,
                    const SumLength& sum) {
    ASSERT_EQ(got.size(), truth.size()) << name;
    ASSERT_EQ(roundings.same_type.size(), truth.size()) << name;
    ASSERT_EQ(roundings.moved.size(), truth.size()) << name;
    // Below this a tensor counts as zero: products of two such numbers leave the type's range.
    long double largest = std::sqrt(static_cast<long double>(kSmallest<T>));
    long double own = 0, error = 0;
    std::size_t worst = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      const long double expected = truth[i];
      largest = std::max(largest, std::abs(expected));
      own = std::max({own, std::abs(expected - static_cast<double>(roundings.same_type[i])),
                      std::abs(expected - static_cast<long double>(roundings.moved[i]))});
      const long double off = std::abs(expected - static_cast<double>(got[i]));
      if (!(off <= error)) {  // a NaN wins and stays
        worst = i;
        error = std::isnan(off) ? std::numeric_limits<long double>::infinity() : off;
      }
    }
    const double depth = std::ceil(std::log2(static_cast<double>(std::max<std::int64_t>(sum.longest, 2))));
    const double rounding = 4 * (sum.backward ? 2 : 1) * depth * kEpsilon<T>;
    const double allowed = std::max(rounding, static_cast<double>(4 * own / largest));
    const double fraction = static_cast<double>(error / largest) / allowed;
    if (!(fraction <= worst_)) {
      worst_ = fraction;
      where_ = name;
    }
    EXPECT_LE(fraction, 1) << name << "[" << worst << "]: got "
                           << (got.empty() ? 0 : static_cast<double>(got[worst])) << ", expected "
                           << static_cast<double>(truth.empty() ? 0 : truth[worst]) << ", allowed "
                           << allowed * static_cast<double>(largest);
  }
  void print(const std::string& what) const {
    std::printf("%s: largest error %.3f of the tolerance (%s)\n", what.c_str(), worst_, where_.c_str());
  }
  double worst() const { return worst_; }

 private:
  double worst_ = 0;
  std::string where_ = "none";
};

}  // namespace rondo::testing
