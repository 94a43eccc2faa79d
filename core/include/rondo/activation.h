// The nonlinearities of gates and candidates.
#pragma once

#include <cstdint>
#include <string>

// Visible outside the shared library, which hides everything else.
#define RONDO_API __attribute__((visibility("default")))

namespace rondo {

// Nonlinearities, those of ONNX's recurrent operators, with a = alpha and b = beta; in brackets the values
// that they have by default.
enum class Activation : std::uint8_t {
  kTanh,
  kRelu,             // max(x, 0)
  kSigmoid,          // 1 / (1 + e^-x)
  kHardSigmoid,      // a x + b, clamped to [0, 1]; (0.2, 0.5), as Keras 2 and TensorFlow.js; Keras 3: a = 1/6
  kAffine,           // a x + b (1, 0)
  kSoftsign,         // x / (1 + |x|)
  kSoftplus,         // ln(1 + e^x)
  kElu,              // x, below 0: a (e^x - 1) (1)
  kLeakyRelu,        // x, below 0: a x (0.01)
  kScaledTanh,       // a tanh(b x) (1, 1)
  kThresholdedRelu,  // x where x > a, else 0 (1)
};
// One of them with its numbers. a >= 0 for kElu, kLeakyRelu and kThresholdedRelu, a != 0 for kScaledTanh.
struct ActivationFunction {
  constexpr ActivationFunction(Activation which)  // NOLINT: an enumerator stands for its default numbers
      : kind(which), alpha(default_alpha(which)), beta(default_beta(which)) {}
  // Numbers that it does not have are ignored.
  constexpr ActivationFunction(Activation which, double a, double b = 0)
      : kind(which),
        alpha(has_alpha(which) ? a : default_alpha(which)),
        beta(has_beta(which) ? b : default_beta(which)) {}
  static constexpr bool has_alpha(Activation which) {
    return has_beta(which) || which == Activation::kElu || which == Activation::kLeakyRelu ||
           which == Activation::kThresholdedRelu;
  }
  static constexpr bool has_beta(Activation which) {
    return which == Activation::kHardSigmoid || which == Activation::kAffine ||
           which == Activation::kScaledTanh;
  }
  static constexpr double default_alpha(Activation which) {
    return which == Activation::kHardSigmoid ? 0.2 : which == Activation::kLeakyRelu ? 0.01 : 1;
  }
  static constexpr double default_beta(Activation which) {
    return which == Activation::kHardSigmoid ? 0.5 : which == Activation::kScaledTanh ? 1 : 0;
  }
  bool operator==(const ActivationFunction&) const = default;

  Activation kind;
  double alpha, beta;
};

RONDO_API std::string to_string(Activation);
RONDO_API std::string to_string(const ActivationFunction&);  // "leaky_relu(0.01)"

}  // namespace rondo
