// Every option beside the plain cell: what it costs on the CPU.
#include "bench/options.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "bench/workload.h"
#include "rondo/rondo.h"

namespace bench {
namespace {

using rondo::Activation;
using rondo::Cell;
using rondo::RnnConfig;
using rondo::Tensor;

// Which rows and steps a call leaves out: one step in 20 masked or reset, lengths from 3/4 of T on, or from a
// tenth on.
enum class Rows { kAll, kHoles, kResets, kLengths, kRagged };

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
    {kRaggedOption, Cell::kLstm, nothing, Rows::kRagged},
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
    {kRaggedOption, Cell::kGru, nothing, Rows::kRagged},
    {"resets", Cell::kGru, nothing, Rows::kResets},
    {"softsign", Cell::kSimpleRnn, [](RnnConfig& c) { c.activation = Activation::kSoftsign; }},
    {"zoneout", Cell::kSimpleRnn, kZoneout},
    {"mask with holes", Cell::kSimpleRnn, nothing, Rows::kHoles},
};

const char* short_name(Cell cell) {
  return cell == Cell::kLstm ? "lstm" : cell == Cell::kGru ? "gru" : "rnn";
}

// One call after the other of level two.
class OptionWorkload : public Workload {
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

  std::string path() const override { return plan_.path(); }
  std::string what() const override { return training_ ? "pack, forward, backward" : "forward"; }
  void run() override {
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
    const std::vector<std::int64_t> ragged = ragged_lengths(t, n);
    for (std::int64_t i = 0; i < n; ++i) {
      lengths_.span<std::int64_t>()[static_cast<std::size_t>(i)] =
          rows == Rows::kRagged ? ragged[static_cast<std::size_t>(i)] : t - i * t / (4 * n) - 1;
    }
    if (rows == Rows::kHoles) args_.mask = flags_;
    if (rows == Rows::kResets) args_.resets = flags_;
    if (rows == Rows::kLengths || rows == Rows::kRagged) args_.lengths = lengths_;
  }

  rondo::Plan plan_;
  bool training_;
  Tensor parameters_, dparameters_, x_, dx_, y_, dy_, c_, flags_, lengths_, workspace_, kept_;
  rondo::Tape tape_;
  rondo::PackedWeights weights_;
  rondo::ForwardArgs args_;
};

const Option& option_of(const std::string& cell, const std::string& name) {
  for (const Option& option : kOptions) {
    if (name == option.name && cell == short_name(option.cell)) return option;
  }
  throw rondo::InvalidArgument("no option of " + cell + " is called \"" + name + "\"");
}

}  // namespace

std::vector<std::int64_t> ragged_lengths(std::int64_t t, std::int64_t n) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < n; ++i) {
    const double part = (static_cast<double>(i) + 0.5) / static_cast<double>(n);
    lengths.push_back(std::max<std::int64_t>(1, std::llround(static_cast<double>(t) * (0.1 + 0.9 * part))));
  }
  std::minstd_rand random(1);
  std::shuffle(lengths.begin(), lengths.end(), random);
  return lengths;
}

std::vector<std::string> option_names(const std::string& cell) {
  std::vector<std::string> names;
  for (const Option& option : kOptions) {
    if (cell == short_name(option.cell)) names.emplace_back(option.name);
  }
  return names;
}

std::unique_ptr<Workload> make_option_workload(const ShapeOptions& shape, const std::string& name) {
  if (shape.dtype != "f32") throw rondo::InvalidArgument("options are timed in f32, not in " + shape.dtype);
  RnnConfig config = config_of(shape);
  Rows rows = Rows::kAll;
  if (!name.empty()) {
    const Option& option = option_of(shape.cell, name);
    option.set(config);
    rows = option.rows;
  }
  const rondo::Phase phase = shape.phase == "training" ? rondo::Phase::kTraining : rondo::Phase::kInference;
  return std::make_unique<OptionWorkload>(config, phase, shape.t, shape.n, rows);
}

}  // namespace bench
