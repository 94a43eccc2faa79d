// ONNX Runtime beside Rondo: the same shapes and the same line of JSON, through ONNX Runtime's C interface.
//
// Input and output are arrays that were made before, bound to the session. It has inference alone.
#include <cmath>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "bench/peers/ort_network.h"
#include "bench/peers/peer_program.h"

namespace {

using bench::ort::LayerWeights;

const bench::ort::Library& library() {
  static const bench::ort::Library opened(bench::ort::library_path());
  return opened;
}

void check(const bench::ShapeOptions& o) {
  if (o.phase != "inference") {
    throw bench::BadOption("--phase is " + o.phase +
                           ", expected inference: that is all that ONNX Runtime has");
  }
  if (o.dtype == "f32" && o.math == "strict" && o.device == "cpu" && !o.graph) return;
  throw bench::BadOption(
      "ONNX Runtime runs --dtype f32, --math strict, --device cpu only, and has no --graph");
}

void fill(std::span<float> values, float bound, std::mt19937& generator) {
  std::uniform_real_distribution<float> distribution(-bound, bound);
  for (float& value : values) value = distribution(generator);
}

std::vector<LayerWeights> random_weights(const bench::ShapeOptions& o, std::mt19937& generator) {
  // PyTorch's bound of initial weights.
  const float bound = 1 / std::sqrt(static_cast<float>(o.h));
  const std::int64_t directions = o.bidirectional ? 2 : 1;
  const std::int64_t rows = directions * o.h * (o.cell == "lstm" ? 4 : o.cell == "gru" ? 3 : 1);
  std::vector<LayerWeights> layers(static_cast<std::size_t>(o.layers));
  for (LayerWeights& layer : layers) {
    const std::int64_t inputs = &layer == &layers.front() ? o.i : directions * o.h;
    layer.w.resize(static_cast<std::size_t>(rows * inputs));
    layer.r.resize(static_cast<std::size_t>(rows * o.h));
    layer.b.resize(static_cast<std::size_t>(2 * rows));
    for (std::vector<float>* values : {&layer.w, &layer.r, &layer.b}) fill(*values, bound, generator);
  }
  return layers;
}

bench::ReadyShape prepare(const bench::ShapeOptions& options) {
  check(options);
  std::mt19937 generator(1);
  const auto network =
      std::make_shared<bench::ort::Network>(library(), options, random_weights(options, generator));
  fill(network->x(), 1, generator);
  return {.run = [network] { network->run(); },
          .runner = {.engine = "onnxruntime " + library().version(),
                     .device = "cpu",
                     .device_name = "",
                     .isa = "",
                     .threads = options.threads,
                     .run = "forward, outputs bound"}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto version = [] { return library().version(); };
  return bench::run_peer(
      {.name = "onnxruntime", .title = "ONNX Runtime", .version = version, .prepare = prepare}, argc, argv);
}
