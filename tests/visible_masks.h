// Networks whose outputs are the dropout masks that were drawn: a relu SimpleRNN without bias whose
// weights are identities, fed with ones.
#pragma once

#include <vector>

#include "network_fixture.h"

namespace rondo::testing {

enum class MaskKind { kInput, kRecurrent, kLayerPerStep, kLayerPerSequence };
inline std::string to_string(MaskKind kind) {
  switch (kind) {
    case MaskKind::kInput:
      return "input";
    case MaskKind::kRecurrent:
      return "recurrent";
    case MaskKind::kLayerPerStep:
      return "layer, per step";
    case MaskKind::kLayerPerSequence:
      return "layer, per sequence";
  }
  return "?";
}
inline const MaskKind kMaskKinds[] = {MaskKind::kInput, MaskKind::kRecurrent, MaskKind::kLayerPerStep,
                                      MaskKind::kLayerPerSequence};

struct VisibleMasks {
  MaskKind kind = MaskKind::kInput;
  double rate = 0.5;
  std::int64_t t = 1, n = 8, width = 64;
  std::uint64_t seed = 1, offset = 0;
  Direction direction = Direction::kForward;  // the two directions of kBidirectional come apart
  Layout layout = Layout::kTimeMajor;
  DType dtype = DType::kF64;
  std::vector<std::int32_t> lengths;
  std::vector<std::uint8_t> mask, resets;  // [T, N]
  std::int64_t checkpoint_every = 0;

  RnnConfig config() const {
    RnnConfig c;
    c.cell = Cell::kSimpleRnn;
    c.activation = Activation::kRelu;
    c.bias = Bias::kNone;
    c.merge = Merge::kNone;
    c.direction = direction;
    c.checkpoint_every = checkpoint_every;
    c.layout = layout;
    c.dtype = dtype;
    c.input_size = c.hidden_size = width;
    const bool between = kind == MaskKind::kLayerPerStep || kind == MaskKind::kLayerPerSequence;
    c.num_layers = between ? 2 : 1;
    if (kind == MaskKind::kInput) c.dropout = rate;
    if (kind == MaskKind::kRecurrent) c.recurrent_dropout = rate;
    if (between) c.layer_dropout = rate;
    c.layer_masks = kind == MaskKind::kLayerPerSequence ? LayerMasks::kPerSequence : LayerMasks::kPerStep;
    return c;
  }

  // The factors [T, N, width] (recurrent: step t shows them to the power t + 1), and the reverse ones.
  std::vector<double> draw(std::vector<double>* reverse = nullptr) const {
    const RnnConfig c = config();
    Rnn rnn(c, Device{});
    const double recurrent = kind == MaskKind::kRecurrent ? 1 : 0;
    for (const ParameterInfo& p : parameter_layout(c)) {
      const double diagonal = p.name.starts_with("weight_hh") ? recurrent : 1;
      std::vector<double> identity(static_cast<std::size_t>(p.shape.count()), 0);
      for (std::int64_t j = 0; j < width; ++j) identity[j * p.shape[1] + j] = diagonal;
      store(rnn.parameter(p.name), identity);
    }
    const Shape x_shape = layout == Layout::kTimeMajor ? Shape{t, n, width} : Shape{n, t, width};
    const double one = kind == MaskKind::kRecurrent ? 0 : 1;
    const Tensor x = make_tensor(dtype, x_shape, std::vector<double>(t * n * width, one));
    const Shape h_shape{c.num_layers * num_directions(c), n, width};
    const Tensor h0 = make_tensor(dtype, h_shape, std::vector<double>(h_shape.count(), 1));
    Tape tape;
    ForwardOptions options;
    if (kind == MaskKind::kRecurrent) options.h0 = h0;
    if (!lengths.empty()) options.lengths = {lengths.data(), Shape{n}};
    const Tensor mask_flags = flags(mask), reset_flags = flags(resets);
    options.mask = mask_flags;
    options.resets = reset_flags;
    options.dropout.seed = seed;
    options.dropout.offset = offset;
    options.tape = &tape;
    const ForwardResult out = rnn.forward(x, options);
    if (reverse != nullptr) *reverse = values_of(out.y_reverse);
    return values_of(out.y);
  }

 private:
  Tensor flags(const std::vector<std::uint8_t>& of_steps) const {
    if (of_steps.empty()) return {};
    const bool time_major = layout == Layout::kTimeMajor;
    Tensor tensor(DType::kU8, time_major ? Shape{t, n} : Shape{n, t});
    for (std::int64_t i = 0; i < t * n; ++i) {
      tensor.span<std::uint8_t>()[time_major ? i : i % n * t + i / n] = of_steps[i];
    }
    return tensor;
  }
};

// Of two masks of equal rate: how often both keep or both drop.
inline double agreement(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += (a[i] == 0) == (b[i] == 0) ? 1 : 0;
  return equal / static_cast<double>(a.size());
}

// A frequency within five standard deviations of its probability: fails once in two million fair draws.
inline void expect_frequency(double got, double probability, std::size_t draws, const std::string& what) {
  const double deviation = std::sqrt(probability * (1 - probability) / static_cast<double>(draws));
  EXPECT_NEAR(got, probability, 5 * deviation) << what;
}
inline void expect_independent(const std::vector<double>& a, const std::vector<double>& b, double rate,
                               const std::string& what) {
  expect_frequency(agreement(a, b), rate * rate + (1 - rate) * (1 - rate), a.size(), what);
}

}  // namespace rondo::testing
