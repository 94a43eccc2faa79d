// RTNeural's recorded models over their whole files: state carried for up to 1,000 steps.
// tests/golden/README.md says where the figures come from.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "keras_weights.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

const std::string kFolder = std::string(RONDO_GOLDEN_DIR) + "/rtneural/";

Values read_csv(const std::string& name) {
  std::ifstream file(kFolder + name);
  Values values;
  for (double v; file >> v;) values.push_back(v);
  return values;
}

json read_json(const std::string& name) {
  std::ifstream file(kFolder + name);
  return json::parse(file);
}

Values flat(const json& j) {
  Values values;
  for (const json& row : j) {
    if (row.is_array()) {
      for (double v : row) values.push_back(v);
    } else {
      values.push_back(row);
    }
  }
  return values;
}

// A dense layer on top, in double; [in, out] as Keras stores it.
struct Dense {
  Values weights, bias;
  bool sigmoid = false;

  Values operator()(const Values& x) const {
    Values y = bias;
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += x[i] * weights[i * y.size() + o];
      if (sigmoid) y[o] = 1 / (1 + std::exp(-y[o]));
    }
    return y;
  }
};

// Recurrent networks one after another, then dense layers.
struct Model {
  std::vector<Rnn> recurrent;
  std::vector<Dense> dense;

  double top(Values h) const {
    for (const Dense& layer : dense) h = layer(h);
    return h.at(0);
  }
  Values whole(const Values& input) {
    const auto steps = static_cast<std::int64_t>(input.size());
    const DType dtype = recurrent.front().config().dtype;
    Tensor x = make_tensor(dtype, {steps, 1, 1}, input);
    for (Rnn& rnn : recurrent) x = std::move(rnn.forward(x).y);
    const Values h = values_of(x);
    const std::size_t width = h.size() / input.size();
    Values out;
    for (std::size_t t = 0; t < input.size(); ++t) {
      const auto from = h.begin() + static_cast<std::ptrdiff_t>(t * width);
      out.push_back(top({from, from + static_cast<std::ptrdiff_t>(width)}));
    }
    return out;
  }
  Values stepwise(const Values& input) {
    std::vector<State> states;
    for (Rnn& rnn : recurrent) states.push_back(rnn.make_state(1));
    Values out;
    for (double v : input) {
      const Tensor x = make_tensor(recurrent.front().config().dtype, {1, 1}, Values{v});
      ConstTensorView h = x;
      for (std::size_t k = 0; k < recurrent.size(); ++k) h = recurrent[k].step(h, states[k]);
      out.push_back(top(values_of(h)));
    }
    return out;
  }
};

// Two PyTorch modules, the second with three layers, and a linear one.
Model torch_model(const std::string& cell, DType dtype) {
  const json weights = read_json(cell + "_torch.json");
  Model model;
  for (const auto& [prefix, inputs, layers] : {std::tuple{cell, 1, 1}, std::tuple{cell + "2", 8, 3}}) {
    RnnConfig config{
        .cell = cell == "lstm" ? Cell::kLstm : Cell::kGru, .input_size = inputs, .hidden_size = 8};
    config.num_layers = layers;
    config.dtype = dtype;
    Rnn& rnn = model.recurrent.emplace_back(config, Device{});
    for (const ParameterInfo& p : parameter_layout(config)) {
      store(rnn.parameter(p.name), flat(weights.at(prefix + "." + p.name)));
    }
  }
  model.dense.push_back({flat(weights.at("dense.weight")), flat(weights.at("dense.bias"))});
  return model;
}

// One Keras layer, and dense ones. With one row, PyTorch's and Keras's dense weights read alike.
Model keras_model(const std::string& cell, DType dtype) {
  const json file = read_json(cell + "_1d.json");
  Model model;
  for (const json& layer : file.at("layers")) {
    const json& w = layer.at("weights");
    if (layer.at("type") == "dense") {
      const std::string activation = layer.at("activation");
      EXPECT_TRUE(activation.empty() || activation == "sigmoid") << activation;
      model.dense.push_back({flat(w[0]), flat(w[1]), activation == "sigmoid"});
      continue;
    }
    EXPECT_EQ(layer.at("type"), cell);
    RnnConfig config{.cell = cell == "lstm" ? Cell::kLstm : Cell::kGru, .input_size = 1, .hidden_size = 8};
    config.bias = cell == "lstm" ? Bias::kSingle : Bias::kDouble;
    config.dtype = dtype;
    load_keras(model.recurrent.emplace_back(config, Device{}), "_l0", {flat(w[0]), flat(w[1]), flat(w[2])});
  }
  return model;
}

struct File {
  const char* name;
  const char* cell;
  bool torch;
  std::size_t steps;
  double tolerance;  // absolute: what RTNeural's own tests allow for the model
};
constexpr File kFiles[] = {{"lstm_torch", "lstm", true, 1000, 1e-6},
                           {"gru_torch", "gru", true, 1000, 1e-6},
                           {"lstm_1d", "lstm", false, 100, 1e-6},
                           {"gru_1d", "gru", false, 100, 5e-6}};

class RtneuralGolden : public ::testing::TestWithParam<std::tuple<File, DType>> {
 protected:
  void compare(const Values& got, const Values& expected, double tolerance) {
    ASSERT_EQ(got.size(), expected.size());
    const double difference = largest_difference(got, expected);
    EXPECT_LE(difference, tolerance);
    RecordProperty("largest_difference", std::to_string(difference));
  }
};

TEST_P(RtneuralGolden, WholeFileAndStepByStepAgree) {
  const auto& [file, dtype] = GetParam();
  const Values x = read_csv(std::string(file.name) + "_x_python.csv");
  const Values y = read_csv(std::string(file.name) + "_y_python.csv");
  ASSERT_EQ(x.size(), file.steps);
  Model model = file.torch ? torch_model(file.cell, dtype) : keras_model(file.cell, dtype);
  {
    SCOPED_TRACE("forward over all steps");
    compare(model.whole(x), y, file.tolerance);
  }
  {
    SCOPED_TRACE("step by step");
    compare(model.stepwise(x), y, file.tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RtneuralGolden,
                         ::testing::Combine(::testing::ValuesIn(kFiles),
                                            ::testing::Values(DType::kF64, DType::kF32)),
                         [](const auto& tested) {
                           return std::string(std::get<File>(tested.param).name) + "_" +
                                  to_string(std::get<DType>(tested.param));
                         });

}  // namespace
}  // namespace rondo::testing
