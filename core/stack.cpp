// A stack's memory: what each pass keeps and works in, laid out once for the plan's largest sizes.
#include "core/stack.h"

#include <utility>

#include "core/stack_pass.h"

namespace rondo {

StackPlan::StackPlan(const Request& request, std::unique_ptr<LayerBackend> layers)
    : config_(request.config),
      phase_(request.phase),
      max_t_(request.max_t),
      max_n_(request.max_n),
      max_rows_(request.max_rows()),
      layers_(std::move(layers)),
      joins_(layers_->joins()) {
  inference_ = lay_out(false);
  if (phase_ == Phase::kTraining) training_ = lay_out(true);
  host_.reserve(inference_.host_bytes);
  layers_->reserve_index(std::max(max_n_, max_t_ * max_n_));  // of rows, and of rows and steps
}

bool StackPlan::reduces() const {
  return config_.direction == Direction::kBidirectional && config_.merge != Merge::kConcat &&
         config_.merge != Merge::kNone;
}

StackPlan::MemoryLayout StackPlan::lay_out(bool training) const {
  const RnnConfig& c = config_;
  const std::int64_t e = element_bytes(c.dtype), word = sizeof(std::int64_t), flat = max_t_ * max_n_;
  const std::int64_t layers = c.num_layers, directions = num_directions(c), pairs = layers * directions;
  const std::int64_t out = layer_input_size(c, 1), in = std::max(c.input_size, out);
  const std::int64_t h = state_size(c), state = max_rows_ * h * e, cell_state = max_rows_ * c.hidden_size * e;
  const std::int64_t groups = c.gate_masks == GateMasks::kPerGate ? num_gates(c.cell) : 1;
  std::size_t used = 0;
  const auto pieces = [&](std::int64_t count, std::int64_t bytes) {
    const Pieces taken{used, (static_cast<std::size_t>(bytes) + 63) / 64 * 64, count};
    used += taken.bytes * static_cast<std::size_t>(count);
    return taken;
  };
  MemoryLayout m{};
  m.header = pieces(1, sizeof(PassHeader));
  m.lengths = pieces(1, max_n_ * word);
  m.rows = pieces(1, max_n_ * word);
  m.offsets = pieces(1, (max_t_ + 1) * word);
  m.flat = pieces(1, flat * word);
  if (!layers_->on_host()) {
    m.host_bytes = std::exchange(used, 0);
    m.rows_sent = pieces(1, max_n_ * word);
    m.flat_sent = pieces(1, flat * word);
  }
  m.h0 = pieces(1, pairs * state);
  m.c0 = pieces(1, c.cell == Cell::kLstm ? pairs * cell_state : 0);
  m.x = pieces(1, flat * c.input_size * e);
  // In inference a layer's input is dead once the layer above is done: two pieces serve all layers.
  const std::int64_t calls = layers / layers_a_call();
  m.y = pieces(training ? calls : std::min<std::int64_t>(calls, 2), flat * directions * h * e);
  const std::int64_t inputs = training ? layers - 1 : std::min<std::int64_t>(layers - 1, 2);
  m.input = pieces(reduces() || (training && c.layer_dropout > 0) ? inputs : 0, flat * out * e);
  const std::int64_t states = states_a_call();
  m.last = pieces(1, c.outputs == Outputs::kLast ? std::max(directions, states) * state : 0);
  if (training) {
    const std::int64_t mask_rows = c.layer_masks == LayerMasks::kPerStep ? flat : max_rows_;
    m.layer_mask = pieces(c.layer_dropout > 0 ? layers - 1 : 0, mask_rows * out * e);
    m.input_mask = pieces(c.dropout > 0 ? pairs : 0, groups * max_rows_ * in * e);
    m.recurrent_mask = pieces(c.recurrent_dropout > 0 ? pairs : 0, groups * state);
    m.connect_mask = pieces(c.dropconnect > 0 ? pairs : 0, num_gates(c.cell) * c.hidden_size * h * e);
    m.zoneout_h = pieces(c.zoneout_h > 0 ? pairs : 0, flat * h * e);
    m.zoneout_c = pieces(c.zoneout_c > 0 ? pairs : 0, flat * c.hidden_size * e);
    m.saved = pieces(pairs / states, static_cast<std::int64_t>(layers_->saved_bytes(flat)));
    m.kept_bytes = std::exchange(used, 0);  // in memory of its own, the tape
  }
  m.layer = pieces(1, static_cast<std::int64_t>(layers_->workspace_bytes(flat, max_rows_)));
  m.h = pieces(1, states * state);
  m.c = pieces(1, states * cell_state);
  m.merged = pieces(reduces() ? 1 : 0, flat * out * e);
  m.d_in = pieces(training ? 2 : 0, flat * in * e);
  m.d_parts = pieces(training && reduces() ? directions : 0, flat * h * e);
  m.c_steps = pieces(c.cell_sequence ? 1 : 0, flat * directions * c.hidden_size * e);
  m.work_bytes = used;
  return m;
}

}  // namespace rondo
