// A recurrent network with a dense layer on its outputs, trained on batches by Adam.
#pragma once

#include <rondo/rondo.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../training.h"

namespace examples {

// Inputs with what the network should answer, one a row of its outputs: numbers, or else classes.
struct Batch {
  rondo::Tensor x;  // [T, N, I]
  std::vector<float> values;
  std::vector<std::int32_t> classes;
};

// 53 random bits, in [0, 1): std::uniform_real_distribution differs between standard libraries.
inline double uniform(std::mt19937_64& random) { return double(random() >> 11) * 0x1p-53; }
// A whole number in [0, n).
inline std::int64_t below(std::mt19937_64& random, std::int64_t n) {
  return std::int64_t(random() % std::uint64_t(n));
}

// Half a cosine from the rate to zero over the training.
double cosine_rate(double rate, int update, int updates);

// On the CPU: its jobs run side by side, and their numbers are the same on every run.
class SequenceModel {
 public:
  SequenceModel(const rondo::RnnConfig& config, int outputs, std::uint64_t seed);
  // An LSTM's forget gates start open (Gers et al. 2000): the gate's bias of every layer becomes `bias`.
  void open_forget_gates(float bias);

  // One update; returns the loss before it: mean squared error, or cross-entropy in nats.
  double train(const Batch& batch, double rate, double clip);
  double loss(const Batch& batch);
  double accuracy(const Batch& batch);  // of classes
  // |dL/dx_t| for each t: the norm over inputs, the mean over rows.
  std::vector<double> input_gradients(const Batch& batch);

 private:
  std::vector<float> answers(const rondo::ForwardResult& out);
  // Turns answers into the gradient of the loss, and returns the loss.
  static double differentiate(const Batch& batch, std::vector<float>* answers);
  // Everything of an update but the step: gradients in rnn_ and head_.
  double gradients(const Batch& batch, bool want_dx, rondo::BackwardResult* back);

  std::uint64_t seed_, batches_ = 0;
  rondo::Rnn rnn_;
  rondo::Tape tape_;
  training::Dense<float> head_;
  training::Adam<float> adam_;
};

// Of the cells that most lessons compare.
struct CellStyle {
  rondo::Cell cell;
  const char* name;
  const char* color;
};
const std::vector<CellStyle>& cell_styles();

}  // namespace examples
