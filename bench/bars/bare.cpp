// Steps by the kernels alone: packed weights, the table of kernels and nothing else, neither checks nor a
// plan. What Rnn::step takes beyond that is its own. Answers `rows -` as rondo-bench does, for --phase step.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/result.h"
#include "bench/shape_options.h"
#include "bench/timing.h"
#include "core/memory.h"
#include "cpu/kernels/kernels.h"
#include "cpu/team.h"
#include "cpu/weights.h"
#include "rondo/rondo.h"

namespace {

using namespace rondo;

class BareSteps {
 public:
  explicit BareSteps(const bench::ShapeOptions& options)
      : config_(config_of(options)),
        kernels_(cpu::kernels<float>()),
        weights_(config_, Phase::kInference, parameters(config_).view().data, kernels_),
        hp_(cpu::round_up(options.h, kernels_.lanes)),
        t_(options.t),
        n_(options.n),
        memory_(DType::kF32, {x_room(options) + n_ * (gate_order(config_).gates + 3) * hp_}) {
    const cpu::LayerWeights<float>& w = weights_.layer(0, false);
    const int gates = gate_order(config_).gates;
    float *at = memory_.span<float>().data(), *x = at, *row = x + x_room(options);
    h_[0] = row + n_ * gates * hp_;
    h_[1] = h_[0] + n_ * hp_;
    product_ = {x, options.i, options.i, w.input, row, gates * hp_};
    step_.recurrent = w.recurrent;
    step_.recurrent_n = w.recurrent_n;
    step_.k = options.h;
    step_.gates = row;
    step_.ld_gates = gates * hp_;
    step_.bias = w.bias;
    step_.c = h_[1] + n_ * hp_;
    step_.groups = 1;
    step_.h = step_.s = options.h;
    step_.hp = step_.sp = hp_;
  }
  BareSteps(const BareSteps&) = delete;

  void run() {
    const cpu::FlushDenormals flush;
    const std::int64_t blocks = hp_ / kernels_.lanes;
    const auto& cell = config_.cell == Cell::kLstm  ? kernels_.lstm
                       : config_.cell == Cell::kGru ? kernels_.gru_after
                                                    : kernels_.simple_tanh;
    for (std::int64_t t = 0; t < t_; ++t) {
      step_.h_in = step_.h_prev = h_[t & 1];
      step_.h_next = h_[1 - (t & 1)];
      kernels_.product(product_, {0, n_, 0, gate_order(config_).gates * blocks});
      cell.forward(step_, {0, n_, 0, blocks});
    }
  }

 private:
  static RnnConfig config_of(const bench::ShapeOptions& options) {
    if (options.phase != "step" || options.threads != 1 || options.layers != 1 || options.bidirectional ||
        options.dtype != "f32") {
      throw InvalidArgument("the bare loop has --phase step, --threads 1, one layer, f32 only");
    }
    RnnConfig config;
    config.cell = options.cell == "lstm"  ? Cell::kLstm
                  : options.cell == "gru" ? Cell::kGru
                                          : Cell::kSimpleRnn;
    config.input_size = options.i;
    config.hidden_size = options.h;
    return config;
  }
  // Whole vectors, so that what follows is aligned.
  static std::int64_t x_room(const bench::ShapeOptions& options) {
    return cpu::round_up(options.n * options.i, 16);
  }
  static Tensor parameters(const RnnConfig& config) {
    Tensor all(config.dtype, {parameter_count(config)});
    initialize(config, Initializer::kPyTorch, 0, all);
    return all;
  }

  RnnConfig config_;
  const cpu::Kernels<float>& kernels_;
  cpu::Weights<float> weights_;
  std::int64_t hp_, t_, n_;
  Tensor memory_;  // x, a row of gates, h twice, c
  float* h_[2];
  cpu::Product<float> product_{};
  cpu::ForwardStep<float> step_{};
};

std::string time_line(const std::string& row) {
  bench::ShapeOptions options;
  CLI::App app("a row", "row");
  bench::add_shape_options(app, options);
  app.parse(row);
  BareSteps steps(options);
  const bench::Timing timing = bench::measure([&] { steps.run(); }, [] {}, bench::effort_of(options));
  return bench::json_line(options, timing,
                          {.engine = "kernels of rondo " + std::string(version()),
                           .device = "cpu",
                           .device_name = "",
                           .isa = cpu::isa_name(),
                           .run = "T steps of the kernels"});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::string(argv[1]) != "rows" || std::string(argv[2]) != "-") {
    std::cerr << "rondo-bench-bare: expected `rows -`: lines of options of rondo-bench shape on the input\n";
    return 2;
  }
  for (std::string row; std::getline(std::cin, row);) {
    std::string line;
    try {
      line = time_line(row);
    } catch (const std::exception& error) {
      line = nlohmann::ordered_json{{"error", error.what()}, {"row", row}}.dump();
    }
    std::cout << line << std::endl;
  }
  return 0;
}
