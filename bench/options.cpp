// Every option beside the plain cell: what it costs on the CPU.
#include "bench/options.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "bench/timing.h"
#include "bench/workload.h"
#include "bench/write_file.h"
#include "rondo/rondo.h"

namespace bench {
namespace {

using rondo::Activation;
using rondo::Cell;
using rondo::RnnConfig;
using rondo::Tensor;

// Which rows and steps a call leaves out: one step in 20 masked or reset, or lengths from 3/4 of T on.
enum class Rows { kAll, kHoles, kResets, kLengths };

struct Option {
  const char* name;
  Cell cell;
  void (*set)(RnnConfig&);
  Rows rows = Rows::kAll;
};

void nothing(RnnConfig&) {}
constexpr auto kHard = [](RnnConfig& c) { c.gate_activation = Activation::kHardSigmoid; };
constexpr auto kZoneout = [](RnnConfig& c) { c.zoneout_h = 0.1; };
constexpr auto kNorm = [](RnnConfig& c) { c.layer_norm = true; };
constexpr auto kDropConnect = [](RnnConfig& c) { c.dropconnect = 0.3; };
constexpr auto kRecurrent = [](RnnConfig& c) { c.recurrent_dropout = 0.3; };

const Option kOptions[] = {
    {"input dropout", Cell::kLstm, [](RnnConfig& c) { c.dropout = 0.3; }},
    {"recurrent dropout", Cell::kLstm, kRecurrent},
    {"dropout, a mask a gate", Cell::kLstm,
     [](RnnConfig& c) {
       c.dropout = c.recurrent_dropout = 0.3;
       c.gate_masks = rondo::GateMasks::kPerGate;
     }},
    {"hard_sigmoid", Cell::kLstm, kHard},
    {"softplus, elu, softsign", Cell::kLstm,
     [](RnnConfig& c) {
       c.gate_activation = Activation::kSoftplus;
       c.activation = Activation::kElu;
       c.output_activation = Activation::kSoftsign;
     }},
    {"peephole", Cell::kLstm, [](RnnConfig& c) { c.peephole = true; }},
    {"input_forget", Cell::kLstm, [](RnnConfig& c) { c.input_forget = true; }},
    {"projection to H/2", Cell::kLstm, [](RnnConfig& c) { c.projection_size = c.hidden_size / 2; }},
    {"preactivation_clip", Cell::kLstm, [](RnnConfig& c) { c.preactivation_clip = 3; }},
    {"cell_clip", Cell::kLstm, [](RnnConfig& c) { c.cell_clip = 3; }},
    {"c of every step", Cell::kLstm, [](RnnConfig& c) { c.cell_sequence = true; }},
    {"zoneout of h and c", Cell::kLstm, [](RnnConfig& c) { c.zoneout_h = c.zoneout_c = 0.1; }},
    {"dropconnect", Cell::kLstm, kDropConnect},
    {"layer normalisation", Cell::kLstm, kNorm},
    {"checkpoint_every 10", Cell::kLstm, [](RnnConfig& c) { c.checkpoint_every = 10; }},
    {"lengths", Cell::kLstm, nothing, Rows::kLengths},
    {"mask with holes", Cell::kLstm, nothing, Rows::kHoles},
    {"holes, outputs repeated", Cell::kLstm,
     [](RnnConfig& c) { c.masked_outputs = rondo::MaskedOutputs::kRepeat; }, Rows::kHoles},
    {"resets", Cell::kLstm, nothing, Rows::kResets},
    {"reset_before", Cell::kGru, [](RnnConfig& c) { c.gru_reset = rondo::GruReset::kBefore; }},
    {"recurrent dropout", Cell::kGru, kRecurrent},
    {"hard_sigmoid", Cell::kGru, kHard},
    {"zoneout", Cell::kGru, kZoneout},
    {"dropconnect", Cell::kGru, kDropConnect},
    {"layer normalisation", Cell::kGru, kNorm},
    {"resets", Cell::kGru, nothing, Rows::kResets},
    {"softsign", Cell::kSimpleRnn, [](RnnConfig& c) { c.activation = Activation::kSoftsign; }},
    {"zoneout", Cell::kSimpleRnn, kZoneout},
    {"mask with holes", Cell::kSimpleRnn, nothing, Rows::kHoles},
};

// One call after the other of level two.
class OptionWorkload {
 public:
  OptionWorkload(const RnnConfig& config, rondo::Phase phase, std::int64_t t, std::int64_t n, Rows rows)
      : plan_(config, {.phase = phase, .max_t = t, .max_n = n, .resets = rows == Rows::kResets}),
        training_(phase == rondo::Phase::kTraining),
        parameters_(config.dtype, {rondo::parameter_count(config)}),
        dparameters_(config.dtype, parameters_.shape()),
        x_(config.dtype, {t, n, config.input_size}),
        dx_(config.dtype, x_.shape()),
        y_(config.dtype, {t, n, rondo::output_size(config)}),
        dy_(config.dtype, y_.shape()),
        c_(config.dtype, {t, n, config.hidden_size}),
        flags_(rondo::DType::kU8, {t, n}),
        lengths_(rondo::DType::kI64, {n}),
        workspace_(rondo::DType::kF64, {static_cast<std::int64_t>(plan_.workspace_bytes()) / 8 + 1}),
        kept_(rondo::DType::kF64, {static_cast<std::int64_t>(plan_.tape_bytes()) / 8 + 1}),
        tape_(bytes(kept_)) {
    rondo::initialize(config, rondo::Initializer::kPyTorch, 1, parameters_);
    for (Tensor* all : {&x_, &dy_}) {
      std::uint32_t state = 1;
      for (float& e : all->span<float>())
        e = static_cast<float>((state = state * 1664525 + 1013904223) >> 8) * 0x1p-24F - 0.5F;
    }
    choose_rows(rows, t, n);
    args_.x = x_;
    args_.y = y_;
    if (config.cell_sequence) args_.c = c_;
    args_.workspace = bytes(workspace_);
    if (training_) args_.tape = &tape_;
  }
  OptionWorkload(const OptionWorkload&) = delete;

  void run() {
    if (training_ || weights_.empty()) weights_ = plan_.pack(parameters_);
    ++args_.dropout.offset;
    plan_.forward(weights_, args_);
    if (!training_) return;
    plan_.backward(weights_, tape_,
                   {.dy = dy_, .dx = dx_, .dparameters = dparameters_, .workspace = bytes(workspace_)});
  }

 private:
  static std::span<std::byte> bytes(Tensor& memory) { return std::as_writable_bytes(memory.span<double>()); }
  void choose_rows(Rows rows, std::int64_t t, std::int64_t n) {
    auto flags = flags_.span<std::uint8_t>();
    for (std::size_t i = 0; i < flags.size(); ++i) {
      const bool chosen = i % 20 == 7;
      flags[i] = (rows == Rows::kHoles) != chosen ? 1 : 0;
    }
    for (std::int64_t i = 0; i < n; ++i)
      lengths_.span<std::int64_t>()[static_cast<std::size_t>(i)] = t - i * t / (4 * n) - 1;
    if (rows == Rows::kHoles) args_.mask = flags_;
    if (rows == Rows::kResets) args_.resets = flags_;
    if (rows == Rows::kLengths) args_.lengths = lengths_;
  }

  rondo::Plan plan_;
  bool training_;
  Tensor parameters_, dparameters_, x_, dx_, y_, dy_, c_, flags_, lengths_, workspace_, kept_;
  rondo::Tape tape_;
  rondo::PackedWeights weights_;
  rondo::ForwardArgs args_;
};

struct Row {
  std::int64_t n;
  rondo::Phase phase;
  double plain_us, option_us;
};

Row measure_row(const OptionsRun& run, const Option& option, std::int64_t n, rondo::Phase phase) {
  RnnConfig plain{.cell = option.cell, .input_size = run.h, .hidden_size = run.h}, with = plain;
  option.set(with);
  OptionWorkload first(plain, phase, run.t, n, Rows::kAll), second(with, phase, run.t, n, option.rows);
  const std::vector<Timing> times = measure_in_turn({[&] { first.run(); }, [&] { second.run(); }});
  return {n, phase, times[0].median_us, times[1].median_us};
}

}  // namespace

void run_options(const OptionsRun& run) {
  std::string known;
  for (const Option& option : kOptions) known += (known.empty() ? "" : ", ") + std::string(option.name);
  for (const std::string& name : run.names) {
    const auto its = [&](const Option& option) { return name == option.name; };
    if (std::none_of(std::begin(kOptions), std::end(kOptions), its)) {
      throw rondo::InvalidArgument("options: --names has \"" + name + "\", expected some of " + known);
    }
  }
  rondo::set_num_threads(run.threads);
  std::printf(
      "%s, %s, %d thread(s), f32, T = %ld, I = H = %ld; us of the plain cell, and the option's over it\n",
      describe_runner(rondo::Device{}).device_name.c_str(), describe_runner(rondo::Device{}).isa.c_str(),
      run.threads, run.t, run.h);
  std::printf("%-5s %-26s %20s %20s %20s %20s\n", "cell", "option", "N=1 inference", "N=32 inference",
              "N=1 training", "N=32 training");
  Json all = Json::array();
  std::size_t done = 0;
  for (const Option& option : kOptions) {
    std::fprintf(stderr, "[%zu/%zu] %s\n", ++done, std::size(kOptions), option.name);
    if (!run.names.empty() && !run.names.contains(option.name)) continue;
    std::printf("%-5s %-26s", rondo::to_string(option.cell).c_str(), option.name);
    for (const rondo::Phase phase : {rondo::Phase::kInference, rondo::Phase::kTraining}) {
      for (const std::int64_t n : {1, 32}) {
        const Row row = measure_row(run, option, n, phase);
        std::printf(" %12.1f (%.2f)", row.plain_us, row.option_us / row.plain_us);
        all.push_back({{"cell", rondo::to_string(option.cell)},
                       {"option", option.name},
                       {"n", n},
                       {"phase", rondo::to_string(phase)},
                       {"plain_us", row.plain_us},
                       {"option_us", row.option_us}});
      }
    }
    std::printf("\n");
    std::fflush(stdout);
    if (!run.json.empty()) write_file(run.json, all);
  }
}

}  // namespace bench
