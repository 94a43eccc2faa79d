// A stack's memory: what each pass keeps and works in, laid out once for the plan's largest sizes.
#include "core/stack.h"

#include <algorithm>
#include <utility>

#include "core/arena.h"
#include "core/stack_pass.h"

namespace rondo {
namespace {

// An Arena that only counts, and tells where each piece begins.
class Offsets {
 public:
  std::size_t take(std::int64_t bytes) {
    const std::size_t at = used();
    arena_.take<std::byte>(bytes);
    return at;
  }
  std::size_t used() const { return arena_.used(); }

 private:
  Arena arena_{nullptr};
};

}  // namespace

StackPlan::StackPlan(const Request& request, std::unique_ptr<LayerBackend> layers)
    : config_(request.config),
      phase_(request.phase),
      max_t_(request.max_t),
      max_n_(request.max_n),
      layers_(std::move(layers)) {
  untaped_ = lay_out_kept(false);
  if (phase_ == Phase::kTraining) taped_ = lay_out_kept(true);
  work_ = lay_out_work();
}

bool StackPlan::reduces() const {
  return config_.direction == Direction::kBidirectional && config_.merge != Merge::kConcat &&
         config_.merge != Merge::kNone;
}

StackPlan::KeptLayout StackPlan::lay_out_kept(bool training) const {
  const std::int64_t e = element_bytes(config_.dtype), word = sizeof(std::int64_t);
  const std::int64_t flat = max_t_ * max_n_, h = config_.hidden_size, out = layer_input_size(config_, 1);
  const std::int64_t count = config_.num_layers, directions = num_directions(config_);
  const std::int64_t groups = config_.gate_masks == GateMasks::kPerGate ? num_gates(config_.cell) : 1;
  Offsets at;
  KeptLayout k{};
  k.header = at.take(sizeof(PassHeader));
  k.lengths = at.take(max_n_ * word);
  k.rows = at.take(max_n_ * word);
  k.offsets = at.take((max_t_ + 1) * word);
  k.h0 = at.take(count * directions * max_n_ * h * e);
  k.c0 = config_.cell == Cell::kLstm ? at.take(count * directions * max_n_ * h * e) : 0;
  k.x = at.take(flat * config_.input_size * e);
  // In inference a layer's input is dead once the layer above is done: two slots serve all layers.
  const std::int64_t slots = training ? count : std::min<std::int64_t>(count, 2);
  std::vector<std::size_t> y, input;
  for (std::int64_t i = 0; i < slots; ++i) {
    y.push_back(at.take(flat * directions * h * e));
    const bool own_input = reduces() || training;
    input.push_back(count > 1 && own_input ? at.take(flat * out * e) : 0);
  }
  for (std::int64_t l = 0; l < count; ++l) {
    k.y.push_back(y[static_cast<std::size_t>(l % slots)]);
    k.input.push_back(input[static_cast<std::size_t>(l % slots)]);
  }
  for (std::int64_t l = 0; l < count && training; ++l) {
    const bool per_step = config_.layer_masks == LayerMasks::kPerStep;
    k.layer_mask.push_back(l + 1 < count ? at.take((per_step ? flat : max_n_) * out * e) : 0);
    for (std::int64_t d = 0; d < directions; ++d) {
      k.input_mask.push_back(at.take(groups * max_n_ * layer_input_size(config_, l) * e));
      k.recurrent_mask.push_back(at.take(groups * max_n_ * h * e));
      k.saved.push_back(at.take(static_cast<std::int64_t>(layers_->saved_bytes({l, d == 1}, flat, max_n_))));
    }
  }
  k.bytes = at.used();
  return k;
}

StackPlan::WorkLayout StackPlan::lay_out_work() const {
  const std::int64_t e = element_bytes(config_.dtype), flat = max_t_ * max_n_, h = config_.hidden_size;
  const std::int64_t out = layer_input_size(config_, 1), directions = num_directions(config_);
  Offsets at;
  WorkLayout w{};
  w.kept = at.take(static_cast<std::int64_t>(untaped_.bytes));
  std::size_t layer = 0;
  for (std::int64_t l = 0; l < config_.num_layers; ++l) {
    layer = std::max(layer, layers_->workspace_bytes({l, false}, flat, max_n_));
  }
  w.layer = at.take(static_cast<std::int64_t>(layer));
  w.h = at.take(max_n_ * h * e);
  w.c = at.take(max_n_ * h * e);
  w.last = at.take(directions * max_n_ * h * e);
  w.merged = reduces() ? at.take(flat * out * e) : 0;
  if (phase_ == Phase::kTraining) {
    for (std::size_t& d_in : w.d_in) d_in = at.take(flat * std::max(config_.input_size, directions * h) * e);
    w.d_parts = at.take(flat * directions * h * e);
  }
  w.bytes = at.used();
  return w;
}

}  // namespace rondo
