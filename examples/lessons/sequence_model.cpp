// Updates, losses and input gradients of a recurrent network with a dense layer.
#include "sequence_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "tools/report/report.h"

namespace examples {
using namespace report;

double cosine_rate(double rate, int update, int updates) {
  return rate * 0.5 * (1 + std::cos(std::numbers::pi * update / updates));
}

SequenceModel::SequenceModel(const rondo::RnnConfig& config, int outputs, std::uint64_t seed)
    : seed_(seed),
      rnn_(config, rondo::parse_device("cpu")),
      head_(int(rondo::output_size(config)), outputs, seed + 1) {
  rnn_.initialize(rondo::Initializer::kPyTorch, seed);
}

void SequenceModel::open_forget_gates(float bias) {
  const std::int64_t units = rnn_.config().hidden_size;
  for (std::int64_t layer = 0; layer < rnn_.config().num_layers; ++layer) {
    for (const char* name : {"bias_ih_l", "bias_hh_l"}) {  // their sum is the gate's bias
      const auto values = rnn_.parameter(name + std::to_string(layer)).span<float>();
      std::fill_n(values.begin() + units, units, name[5] == 'i' ? bias : 0.0F);  // gates: i f g o
    }
  }
}

double SequenceModel::train(const Batch& batch, double rate, double clip) {
  rondo::BackwardResult ignored;
  const double loss = gradients(batch, false, &ignored);
  const std::array<training::Slot<float>, 2> slots = {
      {{rnn_.parameters().span<float>(), rnn_.gradients().span<float>()}, head_.slot()}};
  training::clip_global_norm<float>(slots, clip);
  adam_.step(slots, rate);
  return loss;
}

double SequenceModel::loss(const Batch& batch) {
  std::vector<float> y = answers(rnn_.forward(batch.x));
  return differentiate(batch, &y);
}

double SequenceModel::accuracy(const Batch& batch) {
  const std::vector<float> y = answers(rnn_.forward(batch.x));
  const std::size_t classes = std::size_t(head_.out());
  std::size_t right = 0;
  for (std::size_t r = 0; r < batch.classes.size(); ++r) {
    const auto row = y.begin() + std::ptrdiff_t(r * classes);
    right += std::size_t(std::max_element(row, row + std::ptrdiff_t(classes)) - row) ==
             std::size_t(batch.classes[r]);
  }
  return double(right) / double(batch.classes.size());
}

std::vector<double> SequenceModel::input_gradients(const Batch& batch) {
  rondo::BackwardResult back;
  gradients(batch, true, &back);
  const rondo::Shape& shape = back.dx.shape();
  const auto dx = back.dx.span<float>();
  std::vector<double> norms(static_cast<std::size_t>(shape[0]));
  for (std::size_t row = 0; row < std::size_t(shape[0] * shape[1]); ++row) {
    double squares = 0;
    for (float d : dx.subspan(row * std::size_t(shape[2]), std::size_t(shape[2]))) {
      squares += double(d) * double(d);
    }
    norms[row / std::size_t(shape[1])] += std::sqrt(squares) / double(shape[1]);
  }
  return norms;
}

std::vector<float> SequenceModel::answers(const rondo::ForwardResult& out) {
  const auto features = out.y.span<float>();
  std::vector<float> y(features.size() / std::size_t(head_.in()) * std::size_t(head_.out()));
  head_.forward(features, y);
  return y;
}

double SequenceModel::differentiate(const Batch& batch, std::vector<float>* answers) {
  if (!batch.classes.empty()) return training::softmax_cross_entropy<float>(*answers, batch.classes);
  std::vector<float> gradient(answers->size());
  const double loss = training::mean_squared_error<float>(*answers, batch.values, gradient);
  answers->swap(gradient);
  return loss;
}

double SequenceModel::gradients(const Batch& batch, bool want_dx, rondo::BackwardResult* back) {
  rondo::ForwardOptions options;
  options.tape = &tape_;
  options.dropout.seed = seed_;
  options.dropout.offset = batches_++;
  const rondo::ForwardResult out = rnn_.forward(batch.x, options);
  std::vector<float> dy = answers(out);
  const double loss = differentiate(batch, &dy);
  rondo::Tensor dh(rondo::DType::kF32, out.y.shape());
  head_.zero_gradients();
  head_.backward(out.y.span<float>(), dy, dh.span<float>());
  rnn_.zero_gradients();
  rondo::BackwardOptions upstream;
  upstream.dy = dh;
  upstream.want_dx = want_dx;
  *back = rnn_.backward(tape_, upstream);
  return loss;
}

const std::vector<CellStyle>& cell_styles() {
  static const std::vector<CellStyle> styles = {{rondo::Cell::kSimpleRnn, "SimpleRNN", palette::kPurple},
                                                {rondo::Cell::kLstm, "LSTM", palette::kGreen},
                                                {rondo::Cell::kGru, "GRU", palette::kBlue}};
  return styles;
}

}  // namespace examples
