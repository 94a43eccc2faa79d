// The figures of Keras's own tests of its recurrent layers. tests/golden/README.md says where they
// come from. All weights of a tensor are equal there, so other tests check the order of weights.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "keras_weights.h"
#include "reference.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

using nlohmann::json;

json read_file() {
  std::ifstream file(std::string(RONDO_GOLDEN_DIR) + "/keras_cases.json");
  return json::parse(file);
}

void flatten(const json& value, std::vector<double>& into) {
  if (value.is_array()) {
    for (const json& e : value) flatten(e, into);
  } else if (value.is_boolean()) {
    into.push_back(value.get<bool>() ? 1 : 0);
  } else {
    into.push_back(value.get<double>());
  }
}

std::vector<double> numbers(const json& value) {
  std::vector<double> flat;
  flatten(value, flat);
  return flat;
}

// A Keras layer: the class, the units and the keyword arguments.
struct Layer {
  std::string name;
  std::int64_t units = 0;
  json arguments;

  explicit Layer(const json& j) : name(j.at("class")), arguments(j.value("kwargs", json::object())) {
    units = arguments.contains("units") ? arguments["units"].get<std::int64_t>()
                                        : j.at("args").at(0).get<std::int64_t>();
  }
  bool flag(const char* key, bool otherwise) const { return arguments.value(key, otherwise); }
  // Every initialiser of the file is a constant; what is not named is 0 (the biases).
  double constant(const char* key) const {
    if (!arguments.contains(key)) return 0;
    const json& how = arguments[key];
    if (how.is_string())
      return how == "ones" ? 1 : throw std::runtime_error("unknown initialiser " + how.dump());
    return how.at("value");
  }
};

// What is built from a case: one cell, its layers (one, or those of a stack), and its other direction.
struct Model {
  std::vector<Layer> layers;
  std::vector<Layer> backward;  // of a Bidirectional, else empty
  Merge merge = Merge::kConcat;
};

// The cell of rnn_test.py as the SimpleRNN that it is: x@ones + state@ones.
json one_state_layer(const json& layer) {
  json arguments = layer.at("kwargs");
  arguments["kernel_initializer"] = arguments["recurrent_initializer"] = "ones";
  arguments["use_bias"] = false;
  arguments["activation"] = "linear";
  arguments["units"] = layer.at("args").at(0).at("units");
  return {{"class", "SimpleRNN"}, {"kwargs", arguments}};
}

Model model_of(const json& layer) {
  static const std::map<std::string, Merge> kMerges = {
      {"concat", Merge::kConcat}, {"sum", Merge::kSum}, {"mul", Merge::kMul}, {"ave", Merge::kAve}};
  Model model;
  if (layer.at("class") == "RNN" && layer.at("args").at(0).is_object()) {
    model.layers.emplace_back(one_state_layer(layer));
  } else if (layer.at("class") == "RNN") {  // a stack of cells
    for (const json& cell : layer.at("args").at(0)) model.layers.emplace_back(cell);
  } else if (layer.at("class") == "Bidirectional") {
    const json& arguments = layer.at("kwargs");
    model.layers.emplace_back(arguments.at("layer"));
    model.backward.emplace_back(arguments.contains("backward_layer") ? arguments["backward_layer"]
                                                                     : arguments["layer"]);
    const json mode = arguments.contains("merge_mode") ? arguments["merge_mode"] : json("concat");
    model.merge = mode.is_null() ? Merge::kNone : kMerges.at(mode);
  } else {
    model.layers.emplace_back(layer);
  }
  return model;
}

RnnConfig config_of(const Model& model, std::int64_t inputs, DType dtype) {
  const Layer& first = model.layers.front();
  RnnConfig config;
  const std::string kind = first.name.substr(0, 4);
  config.cell = kind == "LSTM" ? Cell::kLstm : kind == "GRU" ? Cell::kGru : Cell::kSimpleRnn;
  config.input_size = inputs;
  config.hidden_size = first.units;
  config.num_layers = static_cast<std::int64_t>(model.layers.size());
  config.merge = model.merge;
  config.direction = !model.backward.empty()             ? Direction::kBidirectional
                     : first.flag("go_backwards", false) ? Direction::kReverse
                                                         : Direction::kForward;
  const bool reset_after = config.cell == Cell::kGru && first.flag("reset_after", true);
  config.gru_reset = reset_after ? GruReset::kAfter : GruReset::kBefore;
  config.bias = !first.flag("use_bias", true) ? Bias::kNone : reset_after ? Bias::kDouble : Bias::kSingle;
  config.layout = Layout::kBatchMajor;
  config.outputs = first.flag("return_sequences", false) ? Outputs::kSequence : Outputs::kLast;
  config.masked_outputs =
      first.flag("zero_output_for_mask", false) ? MaskedOutputs::kZero : MaskedOutputs::kRepeat;
  if (first.arguments.value("activation", "tanh") == "linear") config.activation = Activation::kAffine;
  config.dtype = dtype;
  return config;
}

KerasWeights weights_of(const Layer& layer, const RnnConfig& config, std::int64_t inputs) {
  const auto columns = static_cast<std::size_t>(num_gates(config.cell) * layer.units);
  KerasWeights w;
  w.kernel.assign(static_cast<std::size_t>(inputs) * columns, layer.constant("kernel_initializer"));
  w.recurrent_kernel.assign(static_cast<std::size_t>(layer.units) * columns,
                            layer.constant("recurrent_initializer"));
  if (config.bias == Bias::kNone) return w;
  w.bias.assign(columns * (config.bias == Bias::kDouble ? 2 : 1), layer.constant("bias_initializer"));
  if (config.cell == Cell::kLstm && layer.flag("unit_forget_bias", true)) {
    std::fill_n(w.bias.begin() + layer.units, layer.units, 1.0);
  }
  return w;
}

// A value of the structure that a Keras layer returns.
struct Returned {
  std::vector<std::int64_t> shape;
  std::vector<double> values;

  explicit Returned(ConstTensorView view) : values(values_of(view)) {
    for (int i = 0; i < view.shape.rank(); ++i) shape.push_back(view.shape[i]);
  }
  void take(std::int64_t index) {  // [index] of the outermost axis
    const auto size = static_cast<std::int64_t>(values.size()) / shape.front();
    values = {values.begin() + index * size, values.begin() + (index + 1) * size};
    shape.erase(shape.begin());
  }
  void reverse_time() {  // of [N, T, O]
    const auto n = shape.at(0), t = shape.at(1), o = shape.at(2);
    const std::vector<double> from = values;
    for (std::int64_t row = 0; row < n; ++row) {
      for (std::int64_t s = 0; s < t; ++s) {
        std::copy_n(from.begin() + (row * t + t - 1 - s) * o, o, values.begin() + (row * t + s) * o);
      }
    }
  }
};

// Keras's states in order (h, c, then those of the other direction) as [L*D, N, H] tensors.
void set_states(const json& initial, const RnnConfig& config, std::int64_t n, Tensor& h0, Tensor& c0) {
  const json list = initial.is_array() ? initial : json::array({initial});
  const std::size_t each = config.cell == Cell::kLstm ? 2 : 1;
  std::vector<double> h, c;
  for (std::size_t k = 0; k < list.size(); ++k) flatten(list[k].at("data"), k % each == 0 ? h : c);
  const Shape shape = {config.num_layers * num_directions(config), n, config.hidden_size};
  h0 = make_tensor(config.dtype, shape, h);
  if (each == 2) c0 = make_tensor(config.dtype, shape, c);
}

Tensor mask_of(const json& mask) {
  Tensor steps(DType::kU8, {mask.at("shape").at(0), mask.at("shape").at(1)});
  const std::vector<double> flags = numbers(mask.at("data"));
  std::copy(flags.begin(), flags.end(), steps.span<std::uint8_t>().begin());
  return steps;
}

// The library is held against Keras's figures, and the reference against them too.
enum class By { kLibrary, kReference };

class KerasCase {
 public:
  KerasCase(const json& c, DType dtype, By by)
      : case_(c),
        by_(by),
        model_(model_of(c.at("layer"))),
        config_(config_of(model_, c.at("ops").at(0).at("inputs").at(0).at("shape").back(), dtype)),
        rnn_(config_, Device{}) {
    for (std::size_t k = 0; k < model_.layers.size(); ++k) load(model_.layers[k], k, "");
    for (std::size_t k = 0; k < model_.backward.size(); ++k) load(model_.backward[k], k, "_reverse");
  }

  void run() {
    for (const json& op : case_.at("ops")) {
      if (op.at("op") == "reset_state") {
        state_.reset();
      } else {
        call(op);
      }
    }
    const Returned got = at(case_.at("path"));
    if (case_.contains("expected_shape")) {
      EXPECT_EQ(json(got.shape), case_["expected_shape"]);
    }
    compare(got, numbers(case_.at("expected")));
    if (case_.contains("equals_path")) compare(got, at(case_["equals_path"]).values);
  }

 private:
  void load(const Layer& layer, std::size_t k, const std::string& direction) {
    const std::string suffix = "_l" + std::to_string(k) + direction;
    load_keras(rnn_, suffix,
               weights_of(layer, config_, layer_input_size(config_, static_cast<std::int64_t>(k))));
  }

  void call(const json& op) {
    const json& input = op.at("inputs").at(0);
    const json& shape = input.at("shape");
    const std::int64_t n = shape[0];
    const Tensor x = make_tensor(config_.dtype, {n, shape[1], shape[2]}, numbers(input.at("data")));
    Tensor h0, c0, mask;
    ForwardOptions options;
    if (op.contains("initial_state")) {
      set_states(op["initial_state"], config_, n, h0, c0);
      options.h0 = h0;
      options.c0 = c0;
    }
    if (op.contains("mask")) {
      mask = mask_of(op["mask"]);
      options.mask = mask;
    }
    if (model_.layers.front().flag("stateful", false)) {
      if (state_.h().absent()) state_ = rnn_.make_state(n);
      options.state = &state_;
    }
    result_ = by_ == By::kLibrary ? rnn_.forward(x, options) : by_reference(x, options);
    collect();
  }

  ForwardResult by_reference(const Tensor& x, const ForwardOptions& o) {
    const auto values = [](ConstTensorView v) { return v.absent() ? std::vector<double>{} : values_of(v); };
    reference::Call<double> call;
    call.n = x.shape()[0];
    call.t = x.shape()[1];
    call.parameters = values(rnn_.parameters());
    call.x = values(x);
    call.h0 = values(o.state != nullptr ? std::as_const(*o.state).h() : o.h0);
    call.c0 = values(o.state != nullptr ? std::as_const(*o.state).c() : o.c0);
    if (!o.mask.absent()) {
      const auto flags = o.mask.span<std::uint8_t>();
      call.mask.assign(flags.begin(), flags.end());
    }
    const reference::Network<double> network(config_, call);
    const auto& r = network.results();
    if (o.state != nullptr) store(o.state->h(), r.h_n);
    if (o.state != nullptr && !r.c_n.empty()) store(o.state->c(), r.c_n);
    const auto tensor = [&](const std::vector<double>& v, Shape shape) {
      return v.empty() ? Tensor() : make_tensor(config_.dtype, shape, v);
    };
    const bool last = config_.outputs == Outputs::kLast;
    const std::int64_t width = output_size(config_), h = config_.hidden_size;
    const Shape y = last ? Shape{call.n, width} : Shape{call.n, call.t, width};
    const Shape states = {config_.num_layers * num_directions(config_), call.n, h};
    ForwardResult out;
    out.y = tensor(r.y, y);
    out.y_reverse = tensor(r.y_reverse, y);
    out.h_n = tensor(r.h_n, states);
    out.c_n = tensor(r.c_n, states);
    return out;
  }

  // Outputs, then the states under return_state.
  void collect() {
    returned_.clear();
    returned_.emplace_back(result_.y);
    if (config_.direction == Direction::kReverse && config_.outputs == Outputs::kSequence) {
      returned_.back().reverse_time();  // Keras leaves them in the order of processing
    }
    if (!result_.y_reverse.absent()) returned_.emplace_back(result_.y_reverse);
    if (!model_.layers.front().flag("return_state", false)) return;
    for (int d = 0; d < num_directions(config_); ++d) {
      for (const Tensor* states : {&result_.h_n, &result_.c_n}) {
        if (states->absent()) continue;
        returned_.emplace_back(*states);
        returned_.back().take(d);
      }
    }
  }

  Returned at(const json& path) const {
    std::size_t used = returned_.size() > 1 ? 1 : 0;
    Returned value = returned_.at(used == 1 ? path.at(0).get<std::size_t>() : 0);
    for (; used < path.size(); ++used) value.take(path[used]);
    return value;
  }

  void compare(const Returned& got, const std::vector<double>& expected) const {
    const double atol = case_.at("atol"), rtol = case_.at("rtol");
    ASSERT_EQ(got.values.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(got.values[i], expected[i], atol + rtol * std::abs(expected[i])) << "element " << i;
    }
  }

  const json& case_;
  By by_;
  Model model_;
  RnnConfig config_;
  Rnn rnn_;
  State state_;
  ForwardResult result_;
  std::vector<Returned> returned_;
};

class KerasGolden : public ::testing::TestWithParam<DType> {};

TEST_P(KerasGolden, AllCasesOfTheScopeAgree) {
  const json file = read_file();
  std::map<std::string, int> ran, left_out;
  for (const json& c : file.at("cases")) {
    SCOPED_TRACE(c.at("id").get<std::string>() + " " + c.at("layer").dump());
    KerasCase(c, GetParam(), By::kLibrary).run();
    ++ran[c.at("layer").at("class")];
  }
  for (const json& c : file.at("left_out")) ++left_out[c.at("reason")];
  for (const auto& [name, count] : ran) std::printf("ran %d cases of %s\n", count, name.c_str());
  for (const auto& [reason, count] : left_out) std::printf("left out %d: %s\n", count, reason.c_str());
  // Together the 131 numeric assertions of the origin; RNN is the cell of one state, and one stack of LSTM
  // cells.
  EXPECT_EQ(ran, (std::map<std::string, int>{
                     {"SimpleRNN", 14}, {"GRU", 25}, {"LSTM", 20}, {"Bidirectional", 15}, {"RNN", 20}}));
  EXPECT_EQ(file.at("cases").size() + file.at("left_out").size(), 131u);
}

TEST_P(KerasGolden, TheReferenceAgrees) {
  const json file = read_file();
  for (const json& c : file.at("cases")) {
    SCOPED_TRACE(c.at("id").get<std::string>());
    KerasCase(c, GetParam(), By::kReference).run();
  }
}

INSTANTIATE_TEST_SUITE_P(Types, KerasGolden, ::testing::Values(DType::kF64, DType::kF32),
                         [](const auto& tested) { return to_string(tested.param); });

}  // namespace
}  // namespace rondo::testing
