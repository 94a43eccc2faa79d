// A stack's memory: what each pass keeps and works in, laid out once for the plan's largest sizes.
#include "core/stack.h"

#include <utility>

#include "core/stack_compaction.h"

namespace rondo {

StackPlan::StackPlan(const Request& request, std::unique_ptr<LayerBackend> layers)
    : config_(request.config),
      phase_(request.phase),
      max_t_(request.max_t),
      max_n_(request.max_n),
      window_(request.max_window()),
      ragged_(request.ragged || request.resets || (windowed() && config_.layout == Layout::kBatchMajor)),
      max_rows_(request.resets ? request.max_rows() + max_n_ : max_n_),
      layers_(std::move(layers)),
      joins_(layers_->joins()) {
  inference_ = lay_out(false);
  if (phase_ == Phase::kTraining) training_ = lay_out(true);
  host_.reserve(inference_.host_bytes);
  segments_.reserve(static_cast<std::size_t>(max_rows_) * sizeof(Segment));
  layers_->reserve_index(index_words());
}

bool StackPlan::reduces() const {
  return config_.direction == Direction::kBidirectional && config_.merge != Merge::kConcat &&
         config_.merge != Merge::kNone;
}

std::int64_t StackPlan::index_words() const {
  const std::int64_t flat = ragged_ ? window_ * max_n_ : 0;
  const std::int64_t repeated = repeats() ? 2 * num_directions(config_) * flat : 0;
  const std::int64_t of_row = config_.outputs == Outputs::kLast ? 5 : 2;
  return of_row * max_n_ + max_rows_ + flat + repeated;
}

// Counts out a block of memory.
class StackPlan::Layouter {
 public:
  Layouter(const StackPlan& plan, bool training)
      : plan_(plan), c_(plan.config_), training_(training), windowed_(plan.windowed()) {}
  MemoryLayout lay_out() {
    host();
    m_.host_bytes = plan_.layers_->on_host() ? 0 : std::exchange(used_, 0);
    if (m_.host_bytes > 0) m_.index_sent = pieces(1, m_.index.bytes);
    kept();
    if (training_) masks_and_saved();
    working();
    return m_;
  }

 private:
  // None still have a place, which nobody writes.
  Pieces pieces(std::int64_t count, std::int64_t bytes) {
    if (count == 0) count = 1, bytes = 0;
    const Pieces taken{used_, (static_cast<std::size_t>(bytes) + 63) / 64 * 64, count};
    used_ += taken.bytes * static_cast<std::size_t>(count);
    return taken;
  }
  void host() {
    constexpr std::int64_t word = sizeof(std::int64_t);
    m_.header = pieces(1, sizeof(PassHeader));
    m_.index = pieces(1, plan_.index_words() * word);
    m_.offsets = pieces(1, (plan_.window_ + 1) * word);
    m_.repeat_starts = pieces(plan_.repeats() ? 2 : 0, (plan_.window_ + 1) * word);
    if (!training_ || !windowed_) return;
    const std::int64_t flags = plan_.max_t_ * plan_.max_n_;
    m_.args = pieces(1, sizeof(ForwardArgs));
    m_.lengths = pieces(1, plan_.max_n_ * word);
    m_.mask = pieces(1, flags);
    m_.resets = pieces(1, plan_.max_rows_ > plan_.max_n_ ? flags : 0);
    m_.views = pieces(1, kMaskKinds * pairs_ * static_cast<std::int64_t>(sizeof(ConstTensorView)));
    m_.ends_in = pieces(1, last_only_ ? plan_.max_n_ * word : 0);
  }
  void kept() {
    const std::int64_t between = !windowed_ ? 0 : (training_ ? (plan_.max_t_ - 1) / plan_.window_ + 1 : 1);
    m_.h_between = pieces(between, pairs_ * plan_.max_n_ * h_ * e_);
    m_.c_between = pieces(lstm_ ? between : 0, pairs_ * plan_.max_n_ * c_.hidden_size * e_);
    m_.h0 = pieces(1, pairs_ * state_);
    m_.c0 = pieces(1, lstm_ ? pairs_ * cell_state_ : 0);
    m_.x = pieces(ragged_ ? 1 : 0, flat_ * c_.input_size * e_);
    // The last layer writes the caller's y, but where that is absent in training, or is not what it writes.
    // In inference a layer's input is dead once the layer above is done: two pieces serve all layers.
    const bool last = training_ || joined_ || (!last_only_ && (ragged_ || plan_.reduces()));
    const std::int64_t outputs = calls_ - (last ? 0 : 1);
    m_.y = pieces(training_ ? outputs : std::min<std::int64_t>(outputs, 2), flat_ * directions_ * h_ * e_);
    const std::int64_t layers = c_.num_layers;
    const std::int64_t inputs = training_ ? layers - 1 : std::min<std::int64_t>(layers - 1, 2);
    m_.input = pieces(plan_.reduces() || (training_ && c_.layer_dropout > 0) ? inputs : 0, flat_ * out_ * e_);
    m_.last = pieces(1, last_only_ ? std::max<std::int64_t>(directions_, states_) * state_ : 0);
  }
  void masks_and_saved() {
    const std::int64_t mask_rows = c_.layer_masks == LayerMasks::kPerStep ? flat_ : plan_.max_rows_;
    const std::int64_t groups = c_.gate_masks == GateMasks::kPerGate ? num_gates(c_.cell) : 1;
    m_.layer_mask = pieces(c_.layer_dropout > 0 ? c_.num_layers - 1 : 0, mask_rows * out_ * e_);
    m_.input_mask = pieces(c_.dropout > 0 ? pairs_ : 0, groups * plan_.max_rows_ * in_ * e_);
    m_.recurrent_mask = pieces(c_.recurrent_dropout > 0 ? pairs_ : 0, groups * state_);
    m_.connect_mask = pieces(c_.dropconnect > 0 ? pairs_ : 0, num_gates(c_.cell) * c_.hidden_size * h_ * e_);
    m_.zoneout_h = pieces(c_.zoneout_h > 0 ? pairs_ : 0, flat_ * h_ * e_);
    m_.zoneout_c = pieces(c_.zoneout_c > 0 ? pairs_ : 0, flat_ * c_.hidden_size * e_);
    m_.saved = pieces(pairs_ / states_, static_cast<std::int64_t>(plan_.layers_->saved_bytes(flat_)));
    m_.kept_bytes = std::exchange(used_, 0);  // in memory of its own, the tape
  }
  void working() {
    const bool carries = training_ && windowed_;
    m_.layer = pieces(1, static_cast<std::int64_t>(plan_.layers_->workspace_bytes(flat_, live_)));
    m_.h = pieces(1, states_ * state_);
    m_.c = pieces(1, states_ * cell_state_);
    m_.h_carry = pieces(carries ? 1 : 0, pairs_ * plan_.max_n_ * h_ * e_);
    m_.c_carry = pieces(carries && lstm_ ? 1 : 0, pairs_ * plan_.max_n_ * c_.hidden_size * e_);
    merges();
    m_.c_steps = pieces(c_.cell_sequence && ragged_ ? 1 : 0, flat_ * directions_ * c_.hidden_size * e_);
    if (training_) gradients_between();
    m_.work_bytes = used_;
  }
  void merges() {
    if (!plan_.reduces()) return;
    m_.merged = pieces(last_only_ || ragged_ ? 1 : 0, (last_only_ ? plan_.max_n_ : flat_) * out_ * e_);
    // A sum's gradient is that of both directions.
    const bool apart = c_.merge == Merge::kMul || side_by_side_ || (ragged_ && !last_only_);
    m_.d_parts = pieces(training_ ? (apart ? 2 : 1) : 0, flat_ * h_ * e_);
  }
  // A layer's dx, which is the dy of the one below, and at the two ends what is not as the caller has it.
  void gradients_between() {
    const bool apart = side_by_side_ && c_.merge == Merge::kNone;
    const bool folds = !last_only_ && !plan_.reduces() && (ragged_ || apart), gives = ragged_ || joined_;
    const std::int64_t count = calls_ - 1 + (folds ? 1 : 0) + (gives ? 1 : 0);
    const std::int64_t width = std::max(folds || calls_ > 1 ? out_ : 0, gives ? c_.input_size : 0);
    m_.d_in = pieces(std::min<std::int64_t>(count, 2), flat_ * width * e_);
  }

  const StackPlan& plan_;
  const RnnConfig& c_;
  const bool training_, windowed_, ragged_ = plan_.ragged_;
  const bool lstm_ = c_.cell == Cell::kLstm, last_only_ = c_.outputs == Outputs::kLast;
  const std::int64_t e_ = element_bytes(c_.dtype), h_ = state_size(c_);
  const std::int64_t flat_ = plan_.window_ * plan_.max_n_, live_ = std::min(flat_, plan_.max_rows_);
  const std::int64_t state_ = plan_.max_rows_ * h_ * e_, cell_state_ = plan_.max_rows_ * c_.hidden_size * e_;
  const std::int64_t directions_ = num_directions(c_), pairs_ = c_.num_layers * directions_;
  const std::int64_t states_ = plan_.states_a_call(), calls_ = c_.num_layers / plan_.layers_a_call();
  const bool joined_ = plan_.joins_ != Joins::kNothing, side_by_side_ = plan_.directions_a_call() == 2;
  const std::int64_t out_ = layer_input_size(c_, 1), in_ = std::max(c_.input_size, out_);
  std::size_t used_ = 0;
  MemoryLayout m_{};
};

StackPlan::MemoryLayout StackPlan::lay_out(bool training) const {
  return Layouter(*this, training).lay_out();
}

}  // namespace rondo
