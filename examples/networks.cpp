// The networks that forecast a series, and their training.
#include "networks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <numeric>
#include <random>

#include "training.h"

namespace examples {
namespace {

using Slots = std::vector<training::Slot<float>>;

// A network that maps windows [n, 30, I] to one number each.
class Network {
 public:
  virtual ~Network() = default;
  virtual std::vector<float> predict(std::span<const float> x, std::int64_t n) = 0;
  // Gradients of the mean squared error, ready in slots(); returns the error.
  virtual double differentiate(std::span<const float> x, std::span<const float> targets) = 0;
  virtual Slots slots() = 0;
  virtual std::string device() const = 0;
  virtual std::string reason() const = 0;
};

class RecurrentNetwork : public Network {
 public:
  RecurrentNetwork(rondo::Cell cell, std::int64_t inputs, const NetworkOptions& options, std::uint64_t seed)
      : seed_(seed),
        rnn_(configure(cell, inputs, options), options.device),
        head_(int(options.hidden), 1, seed + 1) {
    rnn_.initialize(rondo::Initializer::kPyTorch, seed);
  }

  std::vector<float> predict(std::span<const float> x, std::int64_t n) override {
    const rondo::ForwardResult out = rnn_.forward(view(x, n));
    std::vector<float> y(std::size_t(n), 0);
    head_.forward(out.y.span<float>(), y);
    return y;
  }

  double differentiate(std::span<const float> x, std::span<const float> targets) override {
    const std::int64_t n = std::int64_t(targets.size());
    rondo::ForwardOptions options;
    options.tape = &tape_;
    options.dropout.seed = seed_;
    options.dropout.offset = batches_++;
    const rondo::ForwardResult out = rnn_.forward(view(x, n), options);
    std::vector<float> y(targets.size()), dy(targets.size());
    head_.forward(out.y.span<float>(), y);
    const double loss = training::mean_squared_error<float>(y, targets, dy);
    head_.zero_gradients();
    rondo::Tensor dh(rondo::DType::kF32, out.y.shape());
    head_.backward(out.y.span<float>(), dy, dh.span<float>());
    rnn_.zero_gradients();
    rondo::BackwardOptions upstream;
    upstream.dy = dh;
    upstream.want_dx = false;
    rnn_.backward(tape_, upstream);
    return loss;
  }

  Slots slots() override {
    return {{rnn_.parameters().span<float>(), rnn_.gradients().span<float>()}, head_.slot()};
  }
  std::string device() const override { return rondo::to_string(rnn_.device()); }
  std::string reason() const override { return rnn_.explain(); }

 private:
  static rondo::RnnConfig configure(rondo::Cell cell, std::int64_t inputs, const NetworkOptions& options) {
    rondo::RnnConfig config;
    config.cell = cell;
    config.input_size = inputs;
    config.hidden_size = options.hidden;
    config.layout = rondo::Layout::kBatchMajor;
    config.outputs = rondo::Outputs::kLast;
    config.dropout = options.dropout;
    return config;
  }
  rondo::ConstTensorView view(std::span<const float> x, std::int64_t n) const {
    return {x.data(), {n, kWindow, rnn_.config().input_size}};
  }

  std::uint64_t seed_, batches_ = 0;
  rondo::Rnn rnn_;
  rondo::Tape tape_;
  training::Dense<float> head_;
};

// One hidden layer of tanh units on the flattened window.
class DenseNetwork : public Network {
 public:
  DenseNetwork(std::int64_t inputs, const NetworkOptions& options, std::uint64_t seed)
      : hidden_(int(kWindow * inputs), int(options.hidden), seed), head_(int(options.hidden), 1, seed + 1) {}

  std::vector<float> predict(std::span<const float> x, std::int64_t n) override {
    std::vector<float> y(std::size_t(n), 0);
    head_.forward(features(x, n), y);
    return y;
  }

  double differentiate(std::span<const float> x, std::span<const float> targets) override {
    const std::vector<float> h = features(x, std::int64_t(targets.size()));
    std::vector<float> y(targets.size()), dy(targets.size()), dh(h.size());
    head_.forward(h, y);
    const double loss = training::mean_squared_error<float>(y, targets, dy);
    hidden_.zero_gradients();
    head_.zero_gradients();
    head_.backward(h, dy, dh);
    for (std::size_t i = 0; i < h.size(); ++i) dh[i] *= 1 - h[i] * h[i];
    hidden_.backward(x, dh, {});
    return loss;
  }

  Slots slots() override { return {hidden_.slot(), head_.slot()}; }
  std::string device() const override { return "cpu"; }
  std::string reason() const override { return "not a recurrent network"; }

 private:
  std::vector<float> features(std::span<const float> x, std::int64_t n) const {
    std::vector<float> h(std::size_t(n * hidden_.out()));
    hidden_.forward(x, h);
    for (float& v : h) v = std::tanh(v);
    return h;
  }

  training::Dense<float> hidden_, head_;
};

std::unique_ptr<Network> make_network(NetworkKind kind, std::int64_t inputs, const NetworkOptions& options,
                                      std::uint64_t seed) {
  switch (kind) {
    case NetworkKind::kDense:
      return std::make_unique<DenseNetwork>(inputs, options, seed);
    case NetworkKind::kSimpleRnn:
      return std::make_unique<RecurrentNetwork>(rondo::Cell::kSimpleRnn, inputs, options, seed);
    case NetworkKind::kLstm:
      return std::make_unique<RecurrentNetwork>(rondo::Cell::kLstm, inputs, options, seed);
    case NetworkKind::kGru:
      break;
  }
  return std::make_unique<RecurrentNetwork>(rondo::Cell::kGru, inputs, options, seed);
}

// Windows and scaled targets of the targets [begin, end), in the order that is asked for.
struct Samples {
  std::vector<float> x, targets;
};
Samples gather(const Series1d& series, const Features& features, std::span<const std::int64_t> order) {
  Samples samples;
  for (std::int64_t t : order) {
    features.append(t, &samples.x);
    samples.targets.push_back(features.scaled(series.values[std::size_t(t)]));
  }
  return samples;
}

std::vector<std::int64_t> range(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> values(std::size_t(end - begin));
  std::iota(values.begin(), values.end(), begin);
  return values;
}

Forecast forecast_of(Network* network, const Features& features, const Samples& samples) {
  Forecast forecast;
  for (float y : network->predict(samples.x, std::int64_t(samples.targets.size()))) {
    forecast.push_back(features.unscaled(y));
  }
  return forecast;
}

double rmse_of(Network* network, const Features& features, const Samples& samples) {
  const Forecast forecast = forecast_of(network, features, samples);
  double sum = 0;
  for (std::size_t i = 0; i < forecast.size(); ++i) {
    sum += std::pow(forecast[i] - features.unscaled(samples.targets[i]), 2);
  }
  return std::sqrt(sum / double(forecast.size()));
}

std::vector<float> parameters_of(Network* network) {
  std::vector<float> all;
  for (const auto& slot : network->slots())
    all.insert(all.end(), slot.parameters.begin(), slot.parameters.end());
  return all;
}

void set_parameters(Network* network, std::span<const float> all) {
  for (const auto& slot : network->slots()) {
    std::copy_n(all.begin(), slot.parameters.size(), slot.parameters.begin());
    all = all.subspan(slot.parameters.size());
  }
}

}  // namespace

std::string to_string(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::kDense:
      return "dense net";
    case NetworkKind::kSimpleRnn:
      return "SimpleRNN";
    case NetworkKind::kLstm:
      return "LSTM";
    case NetworkKind::kGru:
      break;
  }
  return "GRU";
}

std::int64_t batches_per_epoch(const Split& split, const NetworkOptions& options) {
  return (split.validation - split.first + options.batch - 1) / options.batch;
}

NetworkRun train_network(NetworkKind kind, const Series1d& series, const Split& split,
                         const NetworkOptions& options, std::uint64_t seed,
                         const std::function<bool()>& after_batch) {
  const Features features(series, split);
  const std::unique_ptr<Network> network = make_network(kind, features.per_step(), options, seed);
  const Samples validation = gather(series, features, range(split.validation, split.test));
  training::Adam<float> adam;
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> order = range(split.first, split.validation);
  std::vector<float> best;
  NetworkRun run;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    const double rate = options.rate * 0.5 * (1 + std::cos(std::numbers::pi * epoch / options.epochs));
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
    double squares = 0;
    for (std::size_t start = 0; start < order.size(); start += std::size_t(options.batch)) {
      const std::size_t count = std::min(std::size_t(options.batch), order.size() - start);
      const Samples batch = gather(series, features, std::span(order).subspan(start, count));
      squares += network->differentiate(batch.x, batch.targets) * double(count);
      const Slots slots = network->slots();
      training::clip_global_norm<float>(slots, options.clip);
      adam.step(slots, rate);
      if (!after_batch()) return run;
    }
    const double scale = features.unscaled(1) - features.unscaled(0);
    run.training.push_back(std::sqrt(squares / double(order.size())) * scale);
    run.validation.push_back(rmse_of(network.get(), features, validation));
    if (best.empty() || run.validation.back() < run.validation[std::size_t(run.best_epoch - 1)]) {
      run.best_epoch = epoch + 1;
      best = parameters_of(network.get());
    }
  }
  set_parameters(network.get(), best);
  const Samples test = gather(series, features, range(split.test, split.end));
  run.forecast = forecast_of(network.get(), features, test);
  run.device = network->device();
  run.reason = network->reason();
  run.complete = true;
  return run;
}

}  // namespace examples
