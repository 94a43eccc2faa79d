// One layer in one direction on the CPU: memory, and how work is split among threads.
#include "cpu/layer.h"

#include "core/settings.h"

namespace rondo::cpu {
namespace {

// The first row of part `index` of `count`: the multiple of 4 that comes nearest to an equal share of all
// steps.
std::int64_t first_row(const Sequence& sequence, int index, int count) {
  constexpr std::int64_t kStep = 4;
  if (index == count) return sequence.n;
  const std::int64_t share = 2 * sequence.total() * index;  // in halves of one of `count` steps
  std::int64_t row = 0;
  for (std::int64_t before = 0; row < sequence.n; row += kStep) {
    std::int64_t steps = 0;  // of the next four rows
    if (sequence.offsets == nullptr) steps = kStep * sequence.t;
    for (std::int64_t s = 0; sequence.offsets != nullptr && s < sequence.t && sequence.rows(s) > row; ++s) {
      steps += std::clamp<std::int64_t>(sequence.rows(s) - row, 0, kStep);
    }
    if ((2 * before + steps) * count > share) break;
    before += steps;
  }
  return std::min(row, sequence.n);
}

}  // namespace

Range Split::part(const Sequence& sequence, int index, int count) const {
  if (by_rows) return {first_row(sequence, index, count), first_row(sequence, index + 1, count), 0, blocks};
  return {0, sequence.n, blocks * index / count, blocks * (index + 1) / count};
}

Range Split::state_part(Range units, int index, int count, std::int64_t state_blocks) const {
  units.block_begin = by_rows ? 0 : state_blocks * index / count;
  units.block_end = by_rows ? state_blocks : state_blocks * (index + 1) / count;
  return units;
}

template <class T>
Layers<T>::Layers(const Request& request)
    : config_(request.config),
      phase_(request.phase),
      kernels_(kernels<T>()),
      order_(gate_order(config_)),
      h_(config_.hidden_size),
      hp_(round_up(h_, kernels_.lanes)),
      s_(state_size(config_)),
      sp_(round_up(s_, kernels_.lanes)),
      inference_options_(cell_options<T>(config_, Phase::kInference, kernels_.activate)),
      training_options_(cell_options<T>(config_, Phase::kTraining, kernels_.activate)),
      packing_(config_, kernels_.lanes),
      divider_(config_) {
  steps_.layers.resize(static_cast<std::size_t>(config_.num_layers));
  prepare_team(num_threads());
}

template <class T>
typename Layers<T>::Saved Layers<T>::saved(Arena& arena, std::int64_t flat_rows) const {
  T* gates = arena.take<T>(flat_rows * order_.columns * hp_);
  T* c = config_.cell == Cell::kLstm ? arena.take<T>(flat_rows * hp_) : nullptr;
  T* m = projected() ? arena.take<T>(flat_rows * hp_) : nullptr;
  return {gates, c, m, saved_norms(arena, flat_rows)};
}

template <class T>
std::size_t Layers<T>::saved_bytes(std::int64_t flat_rows) const {
  Arena arena(nullptr);
  saved(arena, flat_rows);
  return arena.used();
}

template <class T>
typename Layers<T>::Memory Layers<T>::memory(Arena& arena, std::int64_t in, std::int64_t flat_rows,
                                             std::int64_t n, bool training) const {
  Memory m{};
  const std::int64_t state = n * sp_, cell_state = n * hp_;
  for (T** p : {&m.h[0], &m.h[1]}) *p = arena.take<T>(state);
  for (T** p : {&m.c, &m.rh}) *p = arena.take<T>(cell_state);
  if (config_.layer_norm) m.sums = arena.take<T>(order_.gates * cell_state);
  if (!training) {
    m.gates = arena.take<T>(gate_rows(flat_rows, n) * order_.gates * hp_);
    return m;
  }
  m.carry = arena.take<T>(state);
  m.dc = arena.take<T>(cell_state);
  if (config_.recurrent_dropout > 0) {
    for (T** p : {&m.mask, &m.h_masked[0], &m.h_masked[1]}) *p = arena.take<T>(order_.gates * state);
  }
  if (config_.dropout > 0) m.x_masked = arena.take<T>(flat_rows * in);
  m.h_in = arena.take<T>(gathered_rows(flat_rows) * s_);
  if (projected()) m.dm = arena.take<T>(flat_rows * sp_);
  if (config_.peephole) m.dpeephole = arena.take<T>(3 * cell_state);
  if (config_.layer_norm) {
    m.dsums = arena.take<T>(flat_rows * order_.gates * hp_);
    m.dnormalised = arena.take<T>(flat_rows * hp_);
    m.dh = arena.take<T>(cell_state);
  }
  if (config_.dropconnect > 0) {
    m.dr = arena.take<T>(order_.gates * h_ * s_);
    packing_.lay_out_forward(m.forward_r, arena);
    packing_.lay_out_backward(m.backward_r, arena);
  }
  return m;
}

template <class T>
std::size_t Layers<T>::workspace_bytes(std::int64_t flat_rows, std::int64_t n) const {
  const std::int64_t in = std::max(config_.input_size, layer_input_size(config_, 1));
  Arena inference(nullptr), training(nullptr);
  memory(inference, in, flat_rows, n, false);
  if (phase_ == Phase::kTraining) memory(training, in, flat_rows, n, true);
  return std::max(inference.used(), training.used());
}

template <class T>
std::unique_ptr<Packed> Layers<T>::pack(const void* parameters) const {
  return std::make_unique<Weights<T>>(config_, phase_, parameters, kernels_, spare_);
}

// The weights of a call; under dropconnect with those matrices of R that the room has, times its mask.
template <class T>
LayerWeights<T> Layers<T>::connected(const LayerCall& call, const LayerWeights<T>& room) const {
  LayerWeights<T> w = weights(call);
  if (call.masks.connect == nullptr) return w;
  packing_.multiply(room, w, static_cast<const T*>(call.masks.connect), threads());
  for (T* LayerWeights<T>::*matrix : {&LayerWeights<T>::recurrent, &LayerWeights<T>::recurrent_n,
                                      &LayerWeights<T>::transposed, &LayerWeights<T>::transposed_n}) {
    if (room.*matrix != nullptr) w.*matrix = room.*matrix;
  }
  return w;
}

template <class T>
const typename Kernels<T>::Cell& Layers<T>::cell() const {
  if (config_.layer_norm) return config_.cell == Cell::kLstm ? kernels_.lstm_norm : kernels_.gru_norm;
  const bool general = has_cell_options(config_), after = config_.gru_reset == GruReset::kAfter;
  switch (config_.cell) {
    case Cell::kLstm:
      return projected() ? kernels_.lstm_projected : general ? kernels_.lstm_general : kernels_.lstm;
    case Cell::kGru:
      if (general) return after ? kernels_.gru_after_general : kernels_.gru_before_general;
      return after ? kernels_.gru_after : kernels_.gru_before;
    case Cell::kSimpleRnn:
      break;
  }
  if (general) return kernels_.simple_general;
  return config_.activation == Activation::kTanh ? kernels_.simple_tanh : kernels_.simple_relu;
}

// No more threads than there are shares of four rows, or of a vector of units.
template <class T>
Split Layers<T>::split_steps(const Sequence& sequence) const {
  const Division& all = divider_.division();
  Split split{1, all.loop == Loop::kRows, hp_ / kernels_.lanes};
  std::int64_t most = 1;
  if (all.loop == Loop::kRows) most = std::min<std::int64_t>(all.threads, (sequence.n + 3) / 4);
  if (all.loop == Loop::kUnits && !(better_alone() && divider_.untried())) {
    most = std::min<std::int64_t>(together_threads(), sp_ / kernels_.lanes);
  }
  if (all.loop != Loop::kOne && most <= 1) divider_.missed();
  split.threads = static_cast<int>(std::max<std::int64_t>(1, most));
  return split;
}

template <class T>
void Layers<T>::multiply(const Product<T>& product, std::int64_t flat_rows, const Blocks& blocks,
                         int threads) const {
  on_team(Together::kApart, threads, [&](int index, int count) {
    Range range{0, flat_rows, blocks.begin, blocks.end};
    if (flat_rows >= count * kernels_.row_tile) {
      const std::int64_t tiles = flat_rows / kernels_.row_tile;
      range.row_begin = tiles * index / count * kernels_.row_tile;
      if (index + 1 < count) range.row_end = tiles * (index + 1) / count * kernels_.row_tile;
    } else {
      const std::int64_t size = blocks.end - blocks.begin;
      range.block_begin = blocks.begin + size * index / count;
      range.block_end = blocks.begin + size * (index + 1) / count;
    }
    kernels_.product(product, range);
  });
}

template <class T>
std::string Layers<T>::path() const {
  return "own kernels (" + isa_name() + ") with fused cells, CBLAS for large weight gradients, up to " +
         std::to_string(num_threads()) + (num_threads() == 1 ? " thread" : " threads");
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
