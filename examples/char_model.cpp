// Training, evaluation and sampling of the character-level language model.
#include "char_model.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace examples {
namespace {

rondo::RnnConfig rnn_config(const CharModelConfig& config) {
  rondo::RnnConfig rnn;
  rnn.cell = config.cell;
  rnn.input_size = config.vocabulary;
  rnn.hidden_size = config.hidden;
  rnn.num_layers = config.layers;
  rnn.layer_dropout = config.dropout;
  return rnn;
}

}  // namespace

CharModel::CharModel(const CharModelConfig& config, std::int64_t rows, std::int64_t steps,
                     rondo::DeviceChoice device)
    : config_(config),
      rnn_(rnn_config(config), device),
      softmax_layer_(int(config.hidden), int(config.vocabulary), config.seed + 1),
      x_(rondo::DType::kF32, {steps, rows, config.vocabulary}),
      dy_(rondo::DType::kF32, {steps, rows, config.hidden}),
      logits_(std::size_t(steps * rows * config.vocabulary)),
      random_(config.seed) {
  rnn_.initialize(rondo::Initializer::kPyTorch, config.seed);
  train_state_ = rnn_.make_state(rows);
  evaluate_state_ = rnn_.make_state(rows);
  sample_state_ = rnn_.make_state(1);
  reason_ = rnn_.explain();
}

double CharModel::train(std::span<const std::int32_t> inputs, std::span<const std::int32_t> targets,
                        double rate) {
  fill_one_hot(inputs);
  rondo::ForwardOptions options;
  options.state = &train_state_;
  options.tape = &tape_;
  options.dropout.seed = config_.seed;
  options.dropout.offset = batches_++;
  const rondo::ForwardResult out = rnn_.forward(x_, options);
  reason_ = rnn_.explain();

  std::vector<float> dropped;  // a copy, since the tape reads y again
  std::span<const float> features = out.y.span<float>();
  if (config_.dropout > 0) {
    dropped.assign(features.begin(), features.end());
    drop_outputs(dropped);
    features = dropped;
  }
  softmax_layer_.forward(features, logits_);
  const double loss = training::softmax_cross_entropy<float>(logits_, targets);

  softmax_layer_.zero_gradients();
  const std::span<float> dy = dy_.span<float>();
  softmax_layer_.backward(features, logits_, dy);
  if (config_.dropout > 0) {
    for (std::size_t i = 0; i < dy.size(); ++i) dy[i] *= mask_[i];
  }
  rnn_.zero_gradients();
  rondo::BackwardOptions upstream;
  upstream.dy = dy_;
  upstream.want_dx = false;
  rnn_.backward(tape_, upstream);

  const std::array<training::Slot<float>, 2> slots = {
      {{rnn_.parameters().span<float>(), rnn_.gradients().span<float>()}, softmax_layer_.slot()}};
  training::clip_global_norm<float>(slots, config_.clip);
  adam_.step(slots, rate);
  return loss;
}

double CharModel::evaluate(std::span<const std::int32_t> inputs, std::span<const std::int32_t> targets) {
  fill_one_hot(inputs);
  rondo::ForwardOptions options;
  options.state = &evaluate_state_;
  const rondo::ForwardResult out = rnn_.forward(x_, options);
  softmax_layer_.forward(out.y.span<float>(), logits_);
  return training::softmax_cross_entropy<float>(logits_, targets);
}

void CharModel::reset_states() {
  train_state_.reset();
  evaluate_state_.reset();
}

std::vector<std::int32_t> CharModel::sample(std::span<const std::int32_t> prime, std::int64_t count,
                                            double temperature, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  rondo::Tensor x(rondo::DType::kF32, {1, config_.vocabulary});
  std::vector<float> row(std::size_t(config_.vocabulary));
  std::vector<std::int32_t> drawn;
  sample_state_.reset();
  const auto read = [&](std::int32_t symbol) {
    x.zero();
    x.span<float>()[std::size_t(symbol)] = 1;
    return rnn_.step(x, sample_state_).span<float>();
  };
  for (std::int32_t symbol : prime.first(prime.size() - 1)) read(symbol);
  std::int32_t symbol = prime.back();
  for (std::int64_t i = 0; i < count; ++i) {
    softmax_layer_.forward(read(symbol), row);
    for (float& v : row) v = float(v / temperature);
    training::softmax<float>(row);
    double rest = double(random() >> 11) * 0x1p-53;
    symbol = 0;
    while (symbol + 1 < std::int32_t(row.size()) && (rest -= row[std::size_t(symbol)]) >= 0) ++symbol;
    drawn.push_back(symbol);
  }
  return drawn;
}

std::int64_t CharModel::parameter_count() {
  return rondo::parameter_count(rnn_.config()) + std::int64_t(softmax_layer_.parameters().size());
}

void CharModel::fill_one_hot(std::span<const std::int32_t> inputs) {
  x_.zero();
  const std::span<float> x = x_.span<float>();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    x[i * std::size_t(config_.vocabulary) + std::size_t(inputs[i])] = 1;
  }
}

void CharModel::drop_outputs(std::span<float> y) {
  const double keep = 1 - config_.dropout;
  mask_.resize(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool kept = double(random_() >> 11) * 0x1p-53 < keep;
    mask_[i] = kept ? float(1 / keep) : 0;
    y[i] *= mask_[i];
  }
}

}  // namespace examples
