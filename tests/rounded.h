// Arithmetic in a type of 16 bits: an operation is done in float and its result rounded to the type.
#pragma once

#include <cmath>

#include "rondo/half.h"

namespace rondo::reference {

// A float has more than twice the digits, and two more, of either type: rounding a sum, product or quotient
// twice, to float and to Half, is as good as once (Figueroa 1995).
template <class Half>
class Rounded {
 public:
  Rounded() = default;
  Rounded(double value) : value_(static_cast<float>(Half(value))) {}  // NOLINT: numbers are used as these
  explicit operator float() const { return value_; }
  explicit operator double() const { return value_; }
  explicit operator Half() const { return Half(value_); }

  friend Rounded operator+(Rounded a, Rounded b) { return Rounded(a.value_ + b.value_); }
  friend Rounded operator-(Rounded a, Rounded b) { return Rounded(a.value_ - b.value_); }
  friend Rounded operator*(Rounded a, Rounded b) { return Rounded(a.value_ * b.value_); }
  friend Rounded operator/(Rounded a, Rounded b) { return Rounded(a.value_ / b.value_); }
  friend Rounded operator-(Rounded a) { return Rounded(-a.value_); }
  Rounded& operator+=(Rounded b) { return *this = *this + b; }
  Rounded& operator*=(Rounded b) { return *this = *this * b; }
  friend bool operator<(Rounded a, Rounded b) { return a.value_ < b.value_; }
  friend bool operator>(Rounded a, Rounded b) { return a.value_ > b.value_; }
  friend Rounded exp(Rounded a) { return Rounded(std::exp(a.value_)); }
  friend Rounded tanh(Rounded a) { return Rounded(std::tanh(a.value_)); }
  friend Rounded abs(Rounded a) { return Rounded(std::abs(a.value_)); }
  friend Rounded sqrt(Rounded a) { return Rounded(std::sqrt(a.value_)); }
  friend Rounded expm1(Rounded a) { return Rounded(std::expm1(a.value_)); }
  friend Rounded log1p(Rounded a) { return Rounded(std::log1p(a.value_)); }

 private:
  float value_ = 0;  // one that Half holds
};

// What products with the weights are summed in: float for the types of 16 bits, as devices do that multiply
// them.
template <class Real>
struct SumType {
  using Type = Real;
};
template <class Half>
struct SumType<Rounded<Half>> {
  using Type = float;
};
template <class Real>
using SumOf = typename SumType<Real>::Type;

}  // namespace rondo::reference
