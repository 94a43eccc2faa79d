// The nonlinearities by their equations: values, derivatives, and where these are not continuous.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rondo/activation.h"
#include "rounded.h"

namespace rondo::reference {

template <class Real>
Real sigmoid(Real x) {
  using std::exp;
  return 1 / (1 + exp(-x));
}

template <class Real>
Real activate(const ActivationFunction& f, Real x) {
  using std::abs, std::exp, std::expm1, std::log1p, std::tanh;
  const Real alpha(f.alpha), beta(f.beta), zero(0), one(1);
  switch (f.kind) {
    case Activation::kTanh:
      return tanh(x);
    case Activation::kRelu:
      return std::max(x, zero);
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kHardSigmoid:
      return std::min(std::max(alpha * x + beta, zero), one);
    case Activation::kAffine:
      return alpha * x + beta;
    case Activation::kSoftsign:
      return x / (one + abs(x));
    case Activation::kSoftplus:  // ln(1 + e^x), which must not overflow
      return std::max(x, zero) + log1p(exp(-abs(x)));
    case Activation::kElu:
      return x > zero ? x : alpha * expm1(x);
    case Activation::kLeakyRelu:
      return x > zero ? x : alpha * x;
    case Activation::kScaledTanh:
      return alpha * tanh(beta * x);
    case Activation::kThresholdedRelu:
      return x > alpha ? x : zero;
  }
  return x;
}

template <class Real>
Real slope(const ActivationFunction& f, Real x) {
  using std::abs, std::exp, std::tanh;
  const Real alpha(f.alpha), beta(f.beta), zero(0), one(1);
  switch (f.kind) {
    case Activation::kTanh:
      return one - tanh(x) * tanh(x);
    case Activation::kRelu:
      return x > zero ? one : zero;
    case Activation::kSigmoid:
      return sigmoid(x) * (one - sigmoid(x));
    case Activation::kHardSigmoid: {
      const Real line = alpha * x + beta;
      return line > zero && line < one ? alpha : zero;
    }
    case Activation::kAffine:
      return alpha;
    case Activation::kSoftsign:
      return one / ((one + abs(x)) * (one + abs(x)));
    case Activation::kSoftplus:
      return sigmoid(x);
    case Activation::kElu:
      return x > zero ? one : alpha * exp(x);
    case Activation::kLeakyRelu:
      return x > zero ? one : alpha;
    case Activation::kScaledTanh:
      return alpha * beta * (one - tanh(beta * x) * tanh(beta * x));
    case Activation::kThresholdedRelu:
      return x > alpha ? one : zero;
  }
  return zero;
}

// Where the derivative, or the value itself, jumps.
inline std::vector<double> kinks(const ActivationFunction& f) {
  switch (f.kind) {
    case Activation::kRelu:
    case Activation::kLeakyRelu:
      return {0};
    case Activation::kElu:
      return f.alpha == 1 ? std::vector<double>{} : std::vector<double>{0};
    case Activation::kHardSigmoid:
      if (f.alpha == 0) return {};
      return {-f.beta / f.alpha, (1 - f.beta) / f.alpha};
    case Activation::kThresholdedRelu:
      return {f.alpha};
    default:
      return {};
  }
}

// How far data stay from kinks: as they are, and divided by the largest of the terms that make them, which is what
// their rounding goes by.
template <class Real>
struct KinkDistance {
  Real absolute = Real(std::numeric_limits<double>::infinity()), relative = absolute;

  void add(const KinkDistance& other) {
    absolute = std::min(absolute, other.absolute);
    relative = std::min(relative, other.relative);
  }
  // Of x, a sum of so large terms, from the kinks of f and of a clip to +-bound (0: none). What lies on a kink is
  // there since every term is 0, or since a clip has put it there: it stays when anything changes a little, and
  // every precision agrees.
  void add(const ActivationFunction& f, double bound, Real x, Real terms) {
    using std::abs;
    std::vector<double> all = kinks(f);
    if (bound > 0) all.insert(all.end(), {-bound, bound});
    for (const double kink : all) {
      const Real off = abs(x - Real(kink)), size = std::max(terms, Real(std::abs(kink)));
      if (off > Real(0)) add({off, off / size});
    }
  }
};

// Clipped to +-bound; 0: not at all.
template <class Real>
Real clipped(double bound, Real x) {
  return bound > 0 ? std::min(std::max(x, Real(-bound)), Real(bound)) : x;
}
template <class Real>
bool inside(double bound, Real x) {
  return !(bound > 0) || (x > Real(-bound) && x < Real(bound));
}

}  // namespace rondo::reference
