// Steps by the kernels alone that Rnn::step takes: packed weights, the table of kernels and nothing else,
// neither checks nor a plan. What Rnn::step takes beyond that is its own. Not quite a floor: h changes places
// with each step, so that kernels wait for pointers just stored. A peer as others are, for --phase step.
#include <memory>
#include <string>

#include "bench/peers/peer_program.h"
#include "bench/shape_config.h"
#include "core/memory.h"
#include "cpu/kernels/kernels.h"
#include "cpu/row_steps.h"
#include "cpu/team.h"
#include "cpu/weights.h"
#include "rondo/rondo.h"

namespace {

using namespace rondo;

class BareSteps {
 public:
  explicit BareSteps(const bench::ShapeOptions& options)
      : config_(checked_config(options)),
        kernels_(cpu::kernels<float>()),
        weights_(config_, Phase::kInference, parameters(config_).view().data, kernels_,
                 std::make_shared<cpu::SpareMemory>()),
        hp_(cpu::round_up(options.h, kernels_.lanes)),
        t_(options.t),
        n_(options.n),
        memory_(DType::kF32, {x_room(options) + n_ * (gate_order(config_).gates + 3) * hp_}) {
    const cpu::LayerWeights<float>& w = weights_.layer(0, false);
    const int gates = gate_order(config_).gates;
    float *at = memory_.span<float>().data(), *x = at, *row = x + x_room(options);
    h_[0] = row + n_ * gates * hp_;
    h_[1] = h_[0] + n_ * hp_;
    product_ = {.in = x,
                .ld_in = options.i,
                .k = options.i,
                .packed = w.input,
                .packed_k = options.i,
                .out = row,
                .ld_out = gates * hp_,
                .width = gates * hp_,
                .add = false};
    step_.x = x;
    step_.inputs = options.i;
    step_.input = w.input;
    step_.recurrent = w.recurrent;
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
    const bool few = cpu::multiplies_inputs<float>(cell, n_, step_.inputs);
    for (std::int64_t t = 0; t < t_; ++t) {
      step_.h_in = step_.h_prev = h_[t & 1];
      step_.h_next = h_[1 - (t & 1)];
      if (few) {
        cell.forward_row(step_, {0, 1, 0, blocks});
      } else {
        kernels_.product(product_, {0, n_, 0, gate_order(config_).gates * blocks});
        cell.forward(step_, {0, n_, 0, blocks});
      }
    }
  }

 private:
  static RnnConfig checked_config(const bench::ShapeOptions& options) {
    if (options.phase != "step" || options.threads != 1 || options.layers != 1 || options.bidirectional ||
        options.dtype != "f32") {
      throw bench::BadOption("the bare loop has --phase step, --threads 1, one layer, f32 only");
    }
    return bench::config_of(options);
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
  cpu::ForwardRow<float> step_{};
};

bench::ReadyShape prepare(const bench::ShapeOptions& options) {
  const auto steps = std::make_shared<BareSteps>(options);
  return {.run = [steps] { steps->run(); },
          .runner = {.engine = std::string("kernels of rondo ") + version(),
                     .device = "cpu",
                     .device_name = "",
                     .isa = cpu::isa_name(),
                     .run = "T steps of the kernels"}};
}

}  // namespace

int main(int argc, char** argv) {
  const bench::PeerProgram program{.name = "bare",
                                   .title = "a bare loop of kernels",
                                   .version = [] { return version(); },
                                   .prepare = prepare};
  return bench::run_peer(program, argc, argv);
}
