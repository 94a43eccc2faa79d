// The recurrent nodes of ONNX's own tests: gate orders, peepholes, layouts and directions of ONNX, mapped
// here. tests/golden/README.md says where the figures come from.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "rondo/rondo.h"
#include "tensor_values.h"
#include "tolerance.h"

namespace rondo::testing {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

// Blocks of rows in another order; `from` says which block of the old ones comes next.
Values reordered(const Values& values, const std::vector<std::size_t>& from) {
  const std::size_t block = values.size() / from.size();
  Values out;
  for (const std::size_t gate : from) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(gate * block);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(block));
  }
  return out;
}
// Which of ONNX's gates is Rondo's: i f g o of i o f c, r z n of z r h.
std::vector<std::size_t> gates(Cell cell) {
  if (cell == Cell::kLstm) return {0, 2, 3, 1};
  if (cell == Cell::kGru) return {1, 0, 2};
  return {0};
}

class OnnxNode {
 public:
  OnnxNode(const json& node, DType dtype)
      : node_(node), config_(config_of(node, dtype)), rnn_(config_, Device{}) {
    for (std::int64_t d = 0; d < num_directions(config_); ++d) load(d);
  }

  void run() {
    const Tensor x = input("X"), h0 = states("initial_h"), c0 = states("initial_c"),
                 lengths = lengths_tensor();
    ForwardOptions options;
    options.h0 = h0;
    options.c0 = c0;
    options.lengths = lengths;
    const ForwardResult out = rnn_.forward(x, options);
    compare("Y", [&] { return directions_inside(out); });
    compare("Y_h", [&] { return states_in_layout(out.h_n); });
    compare("Y_c", [&] { return states_in_layout(out.c_n); });
    EXPECT_GT(compared_, 0);
  }

 private:
  static RnnConfig config_of(const json& node, DType dtype) {
    RnnConfig c;
    const std::string op = node.at("op");
    const json& attributes = node.at("attrs");
    c.cell = op == "LSTM" ? Cell::kLstm : op == "GRU" ? Cell::kGru : Cell::kSimpleRnn;
    c.gru_reset = attributes.value("linear_before_reset", 0) == 1 ? GruReset::kAfter : GruReset::kBefore;
    c.input_size = node.at("inputs").at("X").at("shape").back();
    c.hidden_size = attributes.at("hidden_size");
    const std::string direction = attributes.value("direction", "forward");
    if (direction == "reverse") c.direction = Direction::kReverse;
    if (direction == "bidirectional") c.direction = Direction::kBidirectional;
    c.merge = Merge::kNone;
    c.layout = attributes.value("layout", 0) == 1 ? Layout::kBatchMajor : Layout::kTimeMajor;
    c.bias = node.at("inputs").contains("B") ? Bias::kDouble : Bias::kNone;
    c.peephole = node.at("inputs").contains("P");
    c.dtype = dtype;
    return c;
  }

  bool has(const char* name) const { return node_.at("inputs").contains(name); }
  Values data(const char* name) const { return node_.at("inputs").at(name).at("data"); }
  Tensor input(const char* name) const {
    const json& shape = node_.at("inputs").at(name).at("shape");
    return make_tensor(config_.dtype, {shape.at(0), shape.at(1), shape.at(2)}, data(name));
  }
  Tensor states(const char* name) const { return has(name) ? input(name) : Tensor(); }
  Tensor lengths_tensor() const {
    if (!has("sequence_lens")) return {};
    const Values from = data("sequence_lens");
    Tensor lengths(DType::kI32, {static_cast<std::int64_t>(from.size())});
    std::copy(from.begin(), from.end(), lengths.span<std::int32_t>().begin());
    return lengths;
  }

  // One direction's part of an input whose first axis is D; of constant weights, so many times their scale.
  Values part(const char* name, std::int64_t direction, std::int64_t count) const {
    if (!has(name))
      return Values(static_cast<std::size_t>(count), node_.at("scales").at(direction).get<double>());
    const Values all = data(name);
    return {all.begin() + direction * count, all.begin() + (direction + 1) * count};
  }
  void load(std::int64_t d) {
    const std::string suffix = d == 1 ? "_l0_reverse" : "_l0";
    const std::int64_t h = config_.hidden_size, rows = num_gates(config_.cell) * h;
    const auto order = gates(config_.cell);
    store(rnn_.parameter("weight_ih" + suffix), reordered(part("W", d, rows * config_.input_size), order));
    store(rnn_.parameter("weight_hh" + suffix), reordered(part("R", d, rows * h), order));
    if (config_.peephole)
      store(rnn_.parameter("weight_ch" + suffix), reordered(part("P", d, 3 * h), {0, 2, 1}));
    if (config_.bias == Bias::kNone) return;
    const Values b = part("B", d, 2 * rows);
    store(rnn_.parameter("bias_ih" + suffix), reordered({b.begin(), b.begin() + rows}, order));
    store(rnn_.parameter("bias_hh" + suffix), reordered({b.begin() + rows, b.end()}, order));
  }

  bool batch_major() const { return config_.layout == Layout::kBatchMajor; }
  // [T, D, N, H] or [N, T, D, H].
  Values directions_inside(const ForwardResult& out) const {
    const Values forward = values_of(out.y);
    if (out.y_reverse.absent()) return forward;
    const Values reverse = values_of(out.y_reverse);
    const Shape shape = out.y.shape();
    const std::int64_t block = batch_major() ? shape[2] : shape[1] * shape[2];
    Values both;
    for (std::int64_t at = 0; at < shape.count(); at += block) {
      for (const Values* from : {&forward, &reverse}) {
        both.insert(both.end(), from->begin() + at, from->begin() + at + block);
      }
    }
    return both;
  }
  // [D, N, H] or [N, D, H].
  Values states_in_layout(const Tensor& states) const {
    const Values from = values_of(states);
    if (!batch_major()) return from;
    const std::int64_t d_count = states.shape()[0], n_count = states.shape()[1], h = states.shape()[2];
    Values out;
    for (std::int64_t n = 0; n < n_count; ++n) {
      for (std::int64_t d = 0; d < d_count; ++d) {
        const auto row = from.begin() + (d * n_count + n) * h;
        out.insert(out.end(), row, row + h);
      }
    }
    return out;
  }

  // ONNX's figures are f32, computed in f32: both sides may be off by as much.
  template <class Get>
  void compare(const char* name, const Get& get) {
    if (!node_.at("outputs").contains(name)) return;
    ++compared_;
    const Values expected = node_.at("outputs").at(name).at("data");
    const double depth = std::ceil(std::log2(static_cast<double>(longest_sums(config_, 1, 1).forward)));
    const double allowed = 2 * 4 * depth * kEpsilon<float> * largest_magnitude(expected);
    EXPECT_LE(largest_difference(get(), expected), allowed) << name;
  }

  const json& node_;
  RnnConfig config_;
  Rnn rnn_;
  int compared_ = 0;
};

class OnnxGolden : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, OnnxGolden, ::testing::Values(DType::kF64, DType::kF32),
                         [](const auto& tested) { return to_string(tested.param); });

TEST_P(OnnxGolden, AllNodesAgree) {
  std::ifstream file(std::string(RONDO_GOLDEN_DIR) + "/onnx_cases.json");
  const json all = json::parse(file);
  for (const json& node : all.at("cases")) {
    SCOPED_TRACE(node.at("name").get<std::string>());
    OnnxNode(node, GetParam()).run();
  }
  EXPECT_EQ(all.at("cases").size(), 18u);
}

}  // namespace
}  // namespace rondo::testing
