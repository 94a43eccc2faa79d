// Outputs and all gradients of random networks against the figures that PyTorch computed.
// tests/golden/README.md says where these come from.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "random_fill.h"
#include "rondo/rondo.h"
#include "tensor_values.h"
#include "tolerance.h"

namespace rondo::testing {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

const std::string kFolder = RONDO_GOLDEN_DIR;

json read_cases() {
  std::ifstream file(kFolder + "/torch_cases.json");
  return json::parse(file).at("cases");
}

// The little-endian doubles of torch_cases.f64, all cases in a row.
const Values& stored_values() {
  static const Values values = [] {
    std::ifstream file(kFolder + "/torch_cases.f64", std::ios::binary | std::ios::ate);
    Values v(static_cast<std::size_t>(file.tellg()) / sizeof(double));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(v.data()), static_cast<std::streamsize>(v.size() * sizeof(double)));
    return v;
  }();
  return values;
}

RnnConfig config_of(const json& c, DType dtype) {
  static const std::map<std::string, Cell> kCells = {
      {"lstm", Cell::kLstm}, {"gru", Cell::kGru}, {"rnn", Cell::kSimpleRnn}};
  static const std::map<std::string, Direction> kDirections = {{"forward", Direction::kForward},
                                                               {"reverse", Direction::kReverse},
                                                               {"bidirectional", Direction::kBidirectional}};
  static const std::map<std::string, Merge> kMerges = {{"concat", Merge::kConcat},
                                                       {"sum", Merge::kSum},
                                                       {"mul", Merge::kMul},
                                                       {"ave", Merge::kAve},
                                                       {"none", Merge::kNone}};
  static const std::map<std::string, Bias> kBiases = {
      {"none", Bias::kNone}, {"single", Bias::kSingle}, {"double", Bias::kDouble}};
  RnnConfig config;
  config.cell = kCells.at(c.at("cell"));
  config.input_size = c.at("i");
  config.hidden_size = c.at("h");
  config.num_layers = c.at("layers");
  config.direction = kDirections.at(c.at("direction"));
  config.merge = kMerges.at(c.at("merge"));
  config.bias = kBiases.at(c.at("bias"));
  config.activation = c.at("activation") == "relu" ? Activation::kRelu : Activation::kTanh;
  config.layout = c.at("batch_major").get<bool>() ? Layout::kBatchMajor : Layout::kTimeMajor;
  config.outputs = c.at("last").get<bool>() ? Outputs::kLast : Outputs::kSequence;
  config.dtype = dtype;
  config.dropout = c.at("dropout");
  config.layer_dropout = c.at("layer_dropout");
  return config;
}

// Everything that goes in, drawn in the order of make_torch_golden.py.
struct Inputs {
  Tensor parameters, x, h0, c0, dy, dy_reverse, dh_n, dc_n;
  std::vector<Tensor> input_masks, layer_masks;

  Inputs(const json& c, const RnnConfig& config)
      : fill_(c.at("seed").get<std::uint64_t>()), dtype_(config.dtype) {
    const std::int64_t t = c.at("t"), n = c.at("n");
    const std::int64_t slots = config.num_layers * num_directions(config);
    const auto over_time = [&](std::int64_t width) {
      return config.layout == Layout::kBatchMajor ? Shape{n, t, width} : Shape{t, n, width};
    };
    const std::int64_t o = output_size(config);
    const Shape states = {slots, n, config.hidden_size};
    const Shape y = config.outputs == Outputs::kLast ? Shape{n, o} : over_time(o);
    parameters = draw({parameter_count(config)}, 1.2 / std::sqrt(static_cast<double>(config.hidden_size)));
    x = draw(over_time(config.input_size), 1.5);
    h0 = draw(states, 1);
    c0 = draw(states, 1);
    dy = draw(y, 1);
    dy_reverse = draw(y, 1);
    dh_n = draw(states, 1);
    dc_n = draw(states, 1);
    for (std::int64_t k = 0; k < slots; ++k) {
      const std::int64_t width = layer_input_size(config, k / num_directions(config));
      input_masks.push_back(draw_mask({1, n, width}, config.dropout));
    }
    for (std::int64_t k = 0; k + 1 < config.num_layers; ++k) {
      layer_masks.push_back(draw_mask(over_time(layer_input_size(config, 1)), config.layer_dropout));
    }
  }

 private:
  Tensor draw(const Shape& shape, double scale) {
    return make_tensor(dtype_, shape, fill_.values(shape.count(), scale, DType::kF32));
  }
  Tensor draw_mask(const Shape& shape, double rate) {
    return make_tensor(dtype_, shape, fill_.mask(shape.count(), rate, DType::kF32));
  }

  RandomFill fill_;
  DType dtype_;
};

// Compares one tensor after another and keeps the largest share of a tolerance.
class Comparison {
 public:
  Comparison(const json& c, const RnnConfig& config) : case_(c), config_(config) {}

  // The rule: the larger of 4 * (2 if backward) * ceil(log2(K)) * eps, K the longest sum, and 4 times
  // what PyTorch's float32 is off (for doubles scaled by the ratio of the epsilons).
  double tolerance(const std::string& name, double largest) const {
    const bool backward = name[0] == 'd';
    const LongestSums sums = longest_sums(config_, case_.at("t"), case_.at("n"));
    const auto k = static_cast<double>(backward ? sums.backward : sums.forward);
    const double eps = epsilon(config_.dtype);
    const double by_length = 4 * (backward ? 2 : 1) * std::ceil(std::log2(k)) * eps;
    const double single = case_.at("single_distance").at(name);
    return std::max(by_length, 4 * single * eps / epsilon(DType::kF32)) * largest;
  }

  void check(const std::string& name, ConstTensorView got) {
    const json& place = case_.at("tensors").at(name);
    const std::span<const double> expected =
        std::span(stored_values()).subspan(place[0].get<std::size_t>(), place[1].get<std::size_t>());
    const double largest = largest_magnitude(expected);
    const double limit = tolerance(name, largest);
    const double difference = largest_difference(values_of(got), expected);
    EXPECT_LE(difference, limit) << name << ", largest magnitude " << largest;
    if (limit > 0) worst_share_ = std::max(worst_share_, difference / limit);
    ++compared_;
  }

  int compared() const { return compared_; }
  double worst_share() const { return worst_share_; }

 private:
  const json& case_;
  const RnnConfig& config_;
  int compared_ = 0;
  double worst_share_ = 0;
};

void check_outputs(const ForwardResult& out, const RnnConfig& config, Comparison& comparison) {
  comparison.check("y", out.y);
  if (!out.y_reverse.absent()) comparison.check("y_reverse", out.y_reverse);
  comparison.check("h_n", out.h_n);
  if (config.cell == Cell::kLstm) comparison.check("c_n", out.c_n);
}

double run_case(const json& c, DType dtype) {
  const RnnConfig config = config_of(c, dtype);
  const Inputs in(c, config);
  Rnn rnn(config, Device{});
  store(rnn.parameters(), values_of(in.parameters));
  rnn.zero_gradients();

  const std::vector<ConstTensorView> input_masks(in.input_masks.begin(), in.input_masks.end());
  const std::vector<ConstTensorView> layer_masks(in.layer_masks.begin(), in.layer_masks.end());
  const bool lstm = config.cell == Cell::kLstm;
  Tensor lengths;
  Tape tape;
  ForwardOptions forward;
  if (c.at("h0").get<bool>()) forward.h0 = in.h0;
  if (c.at("c0").get<bool>()) forward.c0 = in.c0;
  if (!c.at("lengths").is_null()) {
    const auto list = c.at("lengths").get<std::vector<std::int64_t>>();
    lengths = Tensor(DType::kI64, {static_cast<std::int64_t>(list.size())});
    std::copy(list.begin(), list.end(), lengths.span<std::int64_t>().begin());
    forward.lengths = lengths;
  }
  if (config.dropout > 0) forward.dropout.input_masks = input_masks;
  if (config.layer_dropout > 0) forward.dropout.layer_masks = layer_masks;

  Comparison comparison(c, config);
  const bool masked = config.dropout > 0 || config.layer_dropout > 0;
  if (!masked) check_outputs(rnn.forward(in.x, forward), config, comparison);
  forward.tape = &tape;
  const ForwardResult out = rnn.forward(in.x, forward);
  check_outputs(out, config, comparison);

  BackwardOptions upstream;
  if (c.at("dy").get<bool>()) {
    upstream.dy = in.dy;
    if (!out.y_reverse.absent()) upstream.dy_reverse = in.dy_reverse;
  }
  if (c.at("dh_n").get<bool>()) upstream.dh_n = in.dh_n;
  if (c.at("dc_n").get<bool>()) upstream.dc_n = in.dc_n;
  const BackwardResult gradients = rnn.backward(tape, upstream);
  comparison.check("dx", gradients.dx);
  comparison.check("dh0", gradients.dh0);
  if (lstm) comparison.check("dc0", gradients.dc0);
  comparison.check("dparameters", rnn.gradients());

  const std::size_t forward_tensors = 2 + (lstm ? 1 : 0) + (out.y_reverse.absent() ? 0 : 1);
  EXPECT_EQ(c.at("tensors").size(), forward_tensors + (lstm ? 4 : 3)) << "a stored tensor was not compared";
  return comparison.worst_share();
}

class TorchGolden : public ::testing::TestWithParam<DType> {};

TEST_P(TorchGolden, OutputsAndGradientsAgree) {
  const json cases = read_cases();
  ASSERT_GE(cases.size(), 60u);
  double worst = 0;
  for (const json& c : cases) {
    SCOPED_TRACE(c.dump().substr(0, 420));
    worst = std::max(worst, run_case(c, GetParam()));
  }
  std::printf("%zu cases, largest error %.3f of the tolerance\n", cases.size(), worst);
}

INSTANTIATE_TEST_SUITE_P(Types, TorchGolden, ::testing::Values(DType::kF64, DType::kF32),
                         [](const auto& tested) { return to_string(tested.param); });

}  // namespace
}  // namespace rondo::testing
