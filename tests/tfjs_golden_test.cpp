// The figures of TensorFlow.js's tests of its recurrent layers, training by SGD among them: gates by
// hard_sigmoid, masks from an embedding, states carried over. tests/golden/README.md says where they come
// from.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "keras_weights.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

void flatten(const json& value, Values& into) {
  for (const json& e : value) e.is_array() ? flatten(e, into) : into.push_back(e.get<double>());
}
// A number stands for `count` of it.
Values numbers(const json& value, std::int64_t count = 0) {
  if (value.is_number()) return Values(static_cast<std::size_t>(count), value.get<double>());
  Values all;
  flatten(value, all);
  return all;
}

// One batch of a case: x [N, T, I], and a mask where its ids are.
struct Batch {
  Tensor x, mask;
  std::vector<std::int64_t> ids;  // [N, T]
};

class Embedding {
 public:
  explicit Embedding(const json& rows)
      : width_(static_cast<std::int64_t>(rows.at(0).size())), table_(numbers(rows)) {}

  Batch look_up(const json& ids, DType dtype) const {
    const auto n = static_cast<std::int64_t>(ids.size()), t = static_cast<std::int64_t>(ids.at(0).size());
    Batch batch{{}, Tensor(DType::kU8, {n, t}), {}};
    Values x;
    for (const double id : numbers(ids)) {
      const auto row = table_.begin() + static_cast<std::int64_t>(id) * width_;
      x.insert(x.end(), row, row + width_);
      batch.mask.span<std::uint8_t>()[batch.ids.size()] = id != 0 ? 1 : 0;
      batch.ids.push_back(static_cast<std::int64_t>(id));
    }
    batch.x = make_tensor(dtype, {n, t, width_}, x);
    return batch;
  }
  void descend(double rate, const Batch& batch, const Tensor& dx) {
    const Values d = values_of(dx);
    for (std::size_t i = 0; i < d.size(); ++i) {
      const std::int64_t id = batch.ids[i / static_cast<std::size_t>(width_)];
      table_[static_cast<std::size_t>(id * width_) + i % static_cast<std::size_t>(width_)] -= rate * d[i];
    }
  }

 private:
  std::int64_t width_;
  Values table_;
};

// One number of all units.
struct Dense {
  Values kernel;
  double bias = 0;
  bool has_bias = false;

  Values apply(const Values& h) const {
    Values out(h.size() / kernel.size(), bias);
    for (std::size_t i = 0; i < h.size(); ++i) out[i / kernel.size()] += h[i] * kernel[i % kernel.size()];
    return out;
  }
  // From the gradient of its outputs to that of its inputs; learns.
  Values descend(double rate, const Values& h, const Values& dout) {
    const std::size_t units = kernel.size();
    const Values old = kernel;
    Values dh(h.size());
    for (std::size_t i = 0; i < h.size(); ++i) {
      dh[i] = dout[i / units] * old[i % units];
      kernel[i % units] -= rate * dout[i / units] * h[i];
    }
    for (std::size_t row = 0; row < dout.size() && has_bias; ++row) bias -= rate * dout[row];
    return dh;
  }
};

RnnConfig config_of(const json& layer, std::int64_t inputs, bool sequence, DType dtype) {
  const std::string cell = layer.at("cell");
  RnnConfig c;
  c.cell = cell == "LSTM" ? Cell::kLstm : cell == "GRU" ? Cell::kGru : Cell::kSimpleRnn;
  c.input_size = inputs;
  c.hidden_size = layer.at("units");
  c.gate_activation = ActivationFunction(Activation::kHardSigmoid, 0.2, 0.5);
  if (layer.value("activation", "tanh") == "linear") c.activation = Activation::kAffine;
  c.gru_reset = GruReset::kBefore;
  c.direction = layer.value("go_backwards", false) ? Direction::kReverse : Direction::kForward;
  c.bias = layer.contains("bias") ? Bias::kSingle : Bias::kNone;
  c.layout = Layout::kBatchMajor;
  c.outputs = sequence ? Outputs::kSequence : Outputs::kLast;
  c.masked_outputs = MaskedOutputs::kRepeat;
  c.dtype = dtype;
  return c;
}

void load(Rnn& rnn, const json& layer) {
  const RnnConfig& c = rnn.config();
  const std::int64_t columns = num_gates(c.cell) * c.hidden_size;
  KerasWeights w{numbers(layer.at("kernel"), c.input_size * columns),
                 numbers(layer.at("recurrent"), c.hidden_size * columns),
                 layer.contains("bias") ? numbers(layer.at("bias"), columns) : Values{}};
  if (layer.value("unit_forget_bias", false)) std::fill_n(w.bias.begin() + c.hidden_size, c.hidden_size, 1.0);
  load_keras(rnn, "_l0", w);
}

// A row of Keras's kernel, which are all equal here, of a layer of one unit.
Values keras_row(Rnn& rnn, const char* name) {
  const Cell cell = rnn.config().cell;
  const TensorView weights = rnn.parameter(name);
  const Values from = values_of(weights);
  Values row(static_cast<std::size_t>(num_gates(cell)));
  for (std::int64_t g = 0; g < num_gates(cell); ++g) {
    row[static_cast<std::size_t>(keras_gate(cell, g))] = from[static_cast<std::size_t>(g * weights.shape[1])];
  }
  return row;
}

class TfjsCase {
 public:
  TfjsCase(const json& c, DType dtype) : case_(c), dtype_(dtype) {
    if (c.contains("embedding")) embedding_.emplace_back(c["embedding"]);
    std::int64_t width = batch(c.at("inputs").at(0)).x.shape()[2];
    for (const json& layer : c.at("layers")) {
      const bool top = networks_.size() + 1 == c["layers"].size();
      networks_.emplace_back(config_of(layer, width, !top || c.value("return_sequences", false), dtype),
                             Device{});
      load(networks_.back(), layer);
      width = layer.at("units");
    }
    if (!c.contains("dense")) return;
    dense_.emplace_back(Dense{numbers(c["dense"].at("kernel"), width)});
    dense_[0].has_bias = c["dense"].contains("bias");
  }

  void run() { case_.contains("lr") ? train() : infer(); }

 private:
  Batch batch(const json& input) const {
    if (input.contains("ids")) return embedding_.at(0).look_up(input["ids"], dtype_);
    if (input.contains("data")) {
      const json& data = input["data"];
      return {make_tensor(dtype_, Shape{size_of(data), size_of(data[0]), size_of(data[0][0])}, numbers(data)),
              {},
              {}};
    }
    const json& shape = input.at("shape");
    const Shape sizes{shape[0], shape[1], shape[2]};
    return {make_tensor(dtype_, sizes, numbers(input.at("value"), sizes.count())), {}, {}};
  }
  static std::int64_t size_of(const json& list) { return static_cast<std::int64_t>(list.size()); }

  // Through all networks; in training (one network) with a tape.
  ForwardResult forward(const Batch& in, Tape* tape) {
    ForwardResult out;
    for (Rnn& network : networks_) {
      ForwardOptions options;
      options.mask = in.mask;
      options.tape = tape;
      if (case_.value("stateful", false)) options.state = &state_;
      out = network.forward(out.y.absent() ? in.x : out.y, options);
    }
    return out;
  }

  void infer() {
    const json& expected = case_.at("expected");
    std::size_t calls = 0;
    ForwardResult out;
    for (const json& input : case_.at("inputs")) {
      if (input == "reset") {
        state_.reset();
        continue;
      }
      out = forward(batch(input), nullptr);
      const Values h = values_of(out.y), y = dense_.empty() ? h : dense_[0].apply(h);
      if (expected.contains("outputs")) expect_close("outputs", y, numbers(expected["outputs"].at(calls)));
      ++calls;
    }
    EXPECT_TRUE(!expected.contains("outputs") || expected["outputs"].size() == calls);
    if (expected.contains("h")) expect_close("h", values_of(out.h_n), numbers(expected["h"]));
    if (expected.contains("c")) expect_close("c", values_of(out.c_n), numbers(expected["c"]));
  }

  void train() {
    Values losses;
    for (int epoch = 0; epoch < case_.at("epochs").get<int>(); ++epoch) {
      double sum = 0;
      const json& inputs = case_.at("inputs");
      for (std::size_t k = 0; k < inputs.size(); ++k)
        sum += update(inputs[k], numbers(case_.at("targets").at(k)));
      losses.push_back(sum / static_cast<double>(inputs.size()));
    }
    const json& expected = case_.at("expected");
    if (expected.contains("losses")) {
      ASSERT_EQ(expected["losses"].size(), losses.size());
      for (std::size_t k = 0; k < losses.size(); ++k) {
        if (!expected["losses"][k].is_null())
          expect_close("loss", {losses[k]}, {expected["losses"][k].get<double>()});
      }
      return;
    }
    expect_close("kernel", keras_row(networks_[0], "weight_ih_l0"), numbers(expected.at("kernel_row")));
    expect_close("recurrent", keras_row(networks_[0], "weight_hh_l0"), numbers(expected.at("recurrent")));
    expect_close("dense", dense_[0].kernel, {expected.at("dense").get<double>()});
  }

  // One step down the mean squared difference, which it returns.
  double update(const json& input, const Values& targets) {
    const double rate = case_.at("lr"), count = static_cast<double>(targets.size());
    const Batch in = batch(input);
    Rnn& network = networks_.at(0);
    Tape tape;
    const ForwardResult out = forward(in, &tape);
    const Values h = values_of(out.y), y = dense_.at(0).apply(h);
    double loss = 0;
    Values dy;
    for (std::size_t row = 0; row < y.size(); ++row) {
      loss += (y[row] - targets[row]) * (y[row] - targets[row]) / count;
      dy.push_back(2 * (y[row] - targets[row]) / count);
    }
    const Tensor dh = make_tensor(dtype_, out.y.shape(), dense_[0].descend(rate, h, dy));
    network.zero_gradients();
    const BackwardResult back = network.backward(tape, {.dy = dh});
    if (!embedding_.empty()) embedding_[0].descend(rate, in, back.dx);
    Values parameters = values_of(network.parameters());
    const Values gradients = values_of(network.gradients());
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] -= rate * gradients[i];
    store(network.parameters(), parameters);
    return loss;
  }

  // The figures are f32 in the digits that the origin prints.
  void expect_close(const char* what, const Values& got, const Values& expected) const {
    const double atol = case_.at("atol");
    ASSERT_EQ(got.size(), expected.size()) << what;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(got[i], expected[i], atol + 4 * kEpsilon<float> * std::abs(expected[i]))
          << what << "[" << i << "]";
    }
  }

  const json& case_;
  DType dtype_;
  std::vector<Embedding> embedding_;  // one or none
  std::vector<Rnn> networks_;
  std::vector<Dense> dense_;  // one or none
  State state_;
};

class TfjsGolden : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, TfjsGolden, ::testing::Values(DType::kF64, DType::kF32),
                         [](const auto& tested) { return to_string(tested.param); });

TEST_P(TfjsGolden, AllCasesAgree) {
  std::ifstream file(std::string(RONDO_GOLDEN_DIR) + "/tfjs_cases.json");
  const json all = json::parse(file);
  for (const json& c : all.at("cases")) {
    SCOPED_TRACE(c.at("id").get<std::string>());
    TfjsCase(c, GetParam()).run();
  }
  EXPECT_EQ(all.at("cases").size(), 18u);
}

}  // namespace
}  // namespace rondo::testing
