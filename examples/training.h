// What a training loop needs besides the recurrent network: Adam, gradient clipping, a dense layer and
// two losses. Shared by the examples; not a part of the library.
#pragma once

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

namespace training {

// A block of parameters and its gradient, of equal lengths.
template <class T>
struct Slot {
  std::span<T> parameters;
  std::span<T> gradients;
};

// Adam (Kingma and Ba 2015, arXiv:1412.6980), with bias correction. One object follows the same slots,
// in the same order, through the whole training.
template <class T>
class Adam {
 public:
  explicit Adam(double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
      : beta1_(beta1), beta2_(beta2), epsilon_(epsilon) {}

  void step(std::span<const Slot<T>> slots, double rate) {
    std::size_t total = 0;
    for (const Slot<T>& slot : slots) total += slot.parameters.size();
    if (steps_ == 0) {
      mean_.assign(total, T(0));
      square_.assign(total, T(0));
    }
    if (total != mean_.size()) throw std::logic_error("Adam::step: other slots than at the first step");
    ++steps_;
    const double correction1 = 1 - std::pow(beta1_, steps_);
    const double correction2 = 1 - std::pow(beta2_, steps_);
    const T scale = T(rate / correction1), root = T(1 / std::sqrt(correction2)), epsilon = T(epsilon_);
    std::size_t offset = 0;
    for (const Slot<T>& slot : slots) {
      update(slot, mean_.data() + offset, square_.data() + offset, scale, root, epsilon);
      offset += slot.parameters.size();
    }
  }

 private:
  void update(const Slot<T>& slot, T* mean, T* square, T scale, T root, T epsilon) const {
    const T keep1 = T(beta1_), keep2 = T(beta2_);
    const T* gradient = slot.gradients.data();
    T* parameter = slot.parameters.data();
    for (std::size_t i = 0; i < slot.parameters.size(); ++i) {
      mean[i] = keep1 * mean[i] + (1 - keep1) * gradient[i];
      square[i] = keep2 * square[i] + (1 - keep2) * gradient[i] * gradient[i];
      parameter[i] -= scale * mean[i] / (std::sqrt(square[i]) * root + epsilon);
    }
  }

  double beta1_, beta2_, epsilon_;
  std::int64_t steps_ = 0;
  std::vector<T> mean_, square_;
};

// Scales all gradients by one factor so that their joint Euclidean norm is at most max_norm
// (Pascanu et al. 2013, arXiv:1211.5063). Returns the norm before scaling.
template <class T>
double clip_global_norm(std::span<const Slot<T>> slots, double max_norm) {
  double sum = 0;
  for (const Slot<T>& slot : slots) {
    for (T g : slot.gradients) sum += double(g) * double(g);
  }
  const double norm = std::sqrt(sum);
  if (norm > max_norm) {
    for (const Slot<T>& slot : slots) {
      for (T& g : slot.gradients) g = T(g * (max_norm / norm));
    }
  }
  return norm;
}

// C [m, n] = A [m, k] * B [k, n] + beta * C, row-major, where A and B are stored transposed if asked.
inline void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a,
                     const float* b, float beta, float* c) {
  const int lda = ta == CblasTrans ? m : k, ldb = tb == CblasTrans ? k : n;
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, n);
}
inline void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a,
                     const double* b, double beta, double* c) {
  const int lda = ta == CblasTrans ? m : k, ldb = tb == CblasTrans ? k : n;
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, n);
}

// y = x W^T + b. W [out, in] and b [out] lie one after the other in parameters().
template <class T>
class Dense {
 public:
  Dense(int in, int out, std::uint64_t seed)
      : in_(in),
        out_(out),
        parameters_(std::size_t(out) * std::size_t(in + 1)),
        gradients_(parameters_.size()) {
    std::mt19937_64 random(seed);
    const double bound = 1 / std::sqrt(double(in));
    // 53 random bits by hand: std::uniform_real_distribution differs between standard libraries.
    for (T& p : parameters_) p = T(bound * (2 * double(random() >> 11) * 0x1p-53 - 1));
  }

  int in() const { return in_; }
  int out() const { return out_; }
  std::span<T> parameters() { return parameters_; }
  std::span<T> gradients() { return gradients_; }
  Slot<T> slot() { return {parameters_, gradients_}; }
  void zero_gradients() { std::fill(gradients_.begin(), gradients_.end(), T(0)); }

  // x [rows, in] -> y [rows, out].
  void forward(std::span<const T> x, std::span<T> y) const {
    const std::size_t rows = x.size() / std::size_t(in_);
    const T* bias = parameters_.data() + weight_count();
    for (std::size_t r = 0; r < rows; ++r) std::copy_n(bias, out_, y.data() + r * std::size_t(out_));
    const T* weight = parameters_.data();
    multiply(CblasNoTrans, CblasTrans, int(rows), out_, in_, x.data(), weight, T(1), y.data());
  }

  // Adds to the gradients; overwrites dx [rows, in], which may be empty when it is not wanted.
  void backward(std::span<const T> x, std::span<const T> dy, std::span<T> dx) {
    const std::size_t rows = x.size() / std::size_t(in_);
    multiply(CblasTrans, CblasNoTrans, out_, in_, int(rows), dy.data(), x.data(), T(1), gradients_.data());
    T* dbias = gradients_.data() + weight_count();
    for (std::size_t r = 0; r < rows; ++r) {
      for (int o = 0; o < out_; ++o) dbias[o] += dy[r * std::size_t(out_) + std::size_t(o)];
    }
    if (!dx.empty()) {
      const T* weight = parameters_.data();
      multiply(CblasNoTrans, CblasNoTrans, int(rows), in_, out_, dy.data(), weight, T(0), dx.data());
    }
  }

 private:
  std::size_t weight_count() const { return std::size_t(out_) * std::size_t(in_); }

  int in_, out_;
  std::vector<T> parameters_, gradients_;
};

// Turns one row of logits into probabilities, in place. Returns the logarithm of the sum of exponentials.
template <class T>
T softmax(std::span<T> row) {
  const T largest = *std::max_element(row.begin(), row.end());
  T sum = 0;
  for (T& v : row) sum += v = std::exp(v - largest);
  for (T& v : row) v /= sum;
  return largest + std::log(sum);
}

// Mean of -log softmax(logits)[target] over the rows, in nats. logits [rows, classes] are overwritten with
// the gradient of that mean.
template <class T>
double softmax_cross_entropy(std::span<T> logits, std::span<const std::int32_t> targets) {
  const std::size_t rows = targets.size(), classes = logits.size() / rows;
  const T scale = T(1) / T(rows);
  double loss = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::span<T> row = logits.subspan(r * classes, classes);
    T& target = row[std::size_t(targets[r])];
    const T target_logit = target;
    loss += double(softmax(row) - target_logit);
    target -= 1;
    for (T& v : row) v *= scale;
  }
  return loss / double(rows);
}

// Mean of (y - target)^2. gradient, of the same length, is overwritten.
template <class T>
double mean_squared_error(std::span<const T> y, std::span<const T> targets, std::span<T> gradient) {
  double loss = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const T difference = y[i] - targets[i];
    loss += double(difference) * double(difference);
    gradient[i] = 2 * difference / T(y.size());
  }
  return loss / double(y.size());
}

}  // namespace training
