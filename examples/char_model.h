// A character-level language model: one-hot characters, a recurrent stack, a softmax layer.
#pragma once

#include <rondo/rondo.h>

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "training.h"

namespace examples {

struct CharModelConfig {
  rondo::Cell cell = rondo::Cell::kGru;
  std::int64_t vocabulary = 0;
  std::int64_t layers = 1;
  std::int64_t hidden = 128;
  double dropout = 0;  // on the output of every layer, in training
  double clip = 5;     // largest norm of a step's gradient
  std::uint64_t seed = 1;
};

class CharModel {
 public:
  CharModel(const CharModelConfig& config, std::int64_t rows, std::int64_t steps, rondo::DeviceChoice device);

  // One step of training on a window [steps, rows]; returns its loss in nats a character. The state is
  // carried from window to window, and the gradient ends at the window's start.
  double train(std::span<const std::int32_t> inputs, std::span<const std::int32_t> targets, double rate);
  double evaluate(std::span<const std::int32_t> inputs, std::span<const std::int32_t> targets);
  void reset_states();
  // `count` symbols drawn one after another through Rnn::step, after it has read `prime` (not empty).
  std::vector<std::int32_t> sample(std::span<const std::int32_t> prime, std::int64_t count,
                                   double temperature, std::uint64_t seed);

  std::int64_t parameter_count();
  const rondo::Rnn& rnn() const { return rnn_; }
  // Which device and why, in the words of the latest training step (before any: of the plan for samples).
  const std::string& reason() const { return reason_; }

 private:
  void fill_one_hot(std::span<const std::int32_t> inputs);
  void drop_outputs(std::span<float> y);

  CharModelConfig config_;
  rondo::Rnn rnn_;
  rondo::Tape tape_;
  std::string reason_;
  training::Dense<float> softmax_layer_;
  training::Adam<float> adam_;
  rondo::State train_state_, evaluate_state_, sample_state_;
  rondo::Tensor x_;   // [steps, rows, vocabulary]
  rondo::Tensor dy_;  // [steps, rows, hidden]
  std::vector<float> logits_, mask_;
  std::mt19937_64 random_;
  std::uint64_t batches_ = 0;
};

}  // namespace examples
