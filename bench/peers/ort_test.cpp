// ONNX Runtime's peer computes what Rondo does: the same weights and input, through its model.
#include "bench/peers/ort_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "bench/workload.h"
#include "rondo/rondo.h"

namespace bench {

void PrintTo(const ShapeOptions& o, std::ostream* out) {
  *out << o.cell << ", layers " << o.layers << ", threads " << o.threads;
}

namespace ort {
namespace {

// The gates, in ONNX's order, by their place in Rondo's.
std::vector<std::size_t> gates(const std::string& cell) {
  if (cell == "lstm") return {0, 3, 1, 2};  // i o f g of i f g o
  if (cell == "gru") return {1, 0, 2};      // z r n of r z n
  return {0};
}

void append(std::vector<float>& to, const std::string& cell, rondo::TensorView parameter) {
  const auto values = parameter.span<float>();
  const auto order = gates(cell);
  const std::size_t block = values.size() / order.size();
  for (const std::size_t gate : order) {
    const auto from = values.subspan(gate * block, block);
    to.insert(to.end(), from.begin(), from.end());
  }
}

std::vector<LayerWeights> weights_of(rondo::Rnn& rnn, const ShapeOptions& options) {
  std::vector<LayerWeights> layers(static_cast<std::size_t>(options.layers));
  for (std::size_t k = 0; k < layers.size(); ++k) {
    for (std::string suffix : {"", "_reverse"}) {
      if (!suffix.empty() && !options.bidirectional) continue;
      suffix = "_l" + std::to_string(k) + suffix;
      append(layers[k].w, options.cell, rnn.parameter("weight_ih" + suffix));
      append(layers[k].r, options.cell, rnn.parameter("weight_hh" + suffix));
      append(layers[k].b, options.cell, rnn.parameter("bias_ih" + suffix));
      append(layers[k].b, options.cell, rnn.parameter("bias_hh" + suffix));
    }
  }
  return layers;
}

class OrtNetwork : public ::testing::TestWithParam<ShapeOptions> {};

TEST_P(OrtNetwork, GivesWhatRondoGives) {
  std::string path;
  try {
    path = library_path();
  } catch (const std::exception& error) {
    GTEST_SKIP() << error.what();
  }
  const Library library(path);
  const ShapeOptions& options = GetParam();
  rondo::Rnn rnn(config_of(options), rondo::Device{});
  Network network(library, options, weights_of(rnn, options));

  rondo::Tensor x(rondo::DType::kF32, {options.t, options.n, options.i});
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> distribution(-1, 1);
  for (float& value : x.span<float>()) value = distribution(generator);
  std::ranges::copy(x.span<float>(), network.x().begin());
  network.run();
  const rondo::ForwardResult out = rnn.forward(x);
  const auto expected = out.y.view().span<const float>();

  const auto y = network.y();
  ASSERT_EQ(y.size(), expected.size());
  const std::size_t directions = options.bidirectional ? 2 : 1, n = static_cast<std::size_t>(options.n),
                    h = static_cast<std::size_t>(options.h);
  float largest = 0, furthest = 0;
  for (std::size_t at = 0; at < y.size(); ++at) {
    // y is [T, D, N, H], expected [T, N, D * H].
    const std::size_t step = at / (directions * n * h), direction = at / (n * h) % directions,
                      row = at / h % n, unit = at % h;
    const float truth = expected[((step * n + row) * directions + direction) * h + unit];
    largest = std::max(largest, std::abs(truth));
    furthest = std::max(furthest, std::abs(y[at] - truth));
  }
  // As the library's own tests have it, by the longest sum that makes an element.
  const double longest = static_cast<double>(options.i + options.h);
  const double tolerance = 4 * std::ceil(std::log2(longest)) * std::numeric_limits<float>::epsilon();
  EXPECT_GT(largest, 0.05f);
  EXPECT_LE(furthest, tolerance * largest);
}

ShapeOptions shape(const char* cell, std::int64_t threads, std::int64_t layers, bool bidirectional) {
  ShapeOptions o;
  o.cell = cell;
  o.t = 9, o.n = 3, o.i = 21, o.h = 13;
  o.threads = static_cast<int>(threads);
  o.layers = layers;
  o.bidirectional = bidirectional;
  return o;
}
INSTANTIATE_TEST_SUITE_P(Each, OrtNetwork,
                         ::testing::Values(shape("lstm", 1, 1, false), shape("lstm", 2, 3, true),
                                           shape("gru", 1, 1, false), shape("gru", 1, 2, true),
                                           shape("rnn", 1, 1, true), shape("rnn", 2, 3, false)),
                         [](const auto& of) {
                           const ShapeOptions& o = of.param;
                           return o.cell + std::to_string(o.layers) + (o.bidirectional ? "both" : "");
                         });

TEST(OrtLibrary, SaysWhatIsNotOne) {
  try {
    Library none("/nowhere/libonnxruntime.so");
    FAIL() << "it was opened";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/libonnxruntime.so"), std::string::npos)
        << error.what();
  }
  try {
    Library other("libc.so.6");
    FAIL() << "it was opened";
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "libc.so.6 is no ONNX Runtime: it has no OrtGetApiBase");
  }
}

}  // namespace
}  // namespace ort
}  // namespace bench
