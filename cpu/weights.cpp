// Packs parameters: blocks of vector-wide columns, zero where H is padded.
#include "cpu/weights.h"

#include <algorithm>

#include "core/arena.h"
#include "core/settings.h"
#include "cpu/team.h"

namespace rondo::cpu {
namespace {

// rows [k][gates][lanes] blocks of a [gate * H + unit, k] matrix: source row of (gate, unit) at
// matrix + (first_gate + gate) * h * k.
template <class T>
void pack_rows(T* to, const T* matrix, int gates, std::int64_t h, std::int64_t k, std::int64_t lanes,
               std::int64_t block) {
  constexpr std::int64_t kMostLanes = 16;
  const T* rows[kMostLanes];
  for (int g = 0; g < gates; ++g) {
    const std::int64_t live = std::min(lanes, h - block * lanes);
    for (std::int64_t lane = 0; lane < live; ++lane) rows[lane] = matrix + (g * h + block * lanes + lane) * k;
    T* out = to + (block * k * gates + g) * lanes;
    for (std::int64_t i = 0; i < k; ++i, out += gates * lanes) {
      for (std::int64_t lane = 0; lane < live; ++lane) out[lane] = rows[lane][i];
      for (std::int64_t lane = live; lane < lanes; ++lane) out[lane] = T(0);
    }
  }
}

// The transposed product: element (k = gate * Hp + unit, column) is matrix[gate * H + unit][column].
template <class T>
void pack_transposed(T* to, const T* matrix, int gates, std::int64_t h, std::int64_t hp, std::int64_t lanes,
                     std::int64_t block) {
  T* out = to + block * gates * hp * lanes;
  const std::int64_t width = std::min(lanes, h - block * lanes);
  for (int g = 0; g < gates; ++g) {
    for (std::int64_t unit = 0; unit < hp; ++unit, out += lanes) {
      std::fill(out, out + lanes, T(0));
      if (unit < h) std::copy_n(matrix + (g * h + unit) * h + block * lanes, width, out);
    }
  }
}

constexpr GateOrder kSimple{1, 1, 1, 0, 1, {0}, {0}};
constexpr GateOrder kLstm{4, 4, 4, 0, 4, {0, 1, 2, 3}, {0, 1, 2, 3}};
constexpr GateOrder kGruAfter{3, 4, 3, 1, 3, {1, 2, 0}, {1, 2, 3}};
constexpr GateOrder kGruBefore{3, 4, 3, 1, 2, {1, 2, 0}, {1, 2, 0}};

}  // namespace

const GateOrder& gate_order(const RnnConfig& config) {
  switch (config.cell) {
    case Cell::kLstm: return kLstm;
    case Cell::kGru: return config.gru_reset == GruReset::kAfter ? kGruAfter : kGruBefore;
    case Cell::kSimpleRnn: break;
  }
  return kSimple;
}

std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <class T>
std::size_t Weights<T>::lay_out(std::byte* memory) {
  Arena arena(memory);
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size;
  const bool before = order.recurrent_gates != order.gates;
  layers_.clear();
  for (std::int64_t i = 0; i < config.num_layers * directions_; ++i) {
    LayerWeights<T> w{};
    w.in = layer_input_size(config, i / directions_);
    w.input = arena.take<T>(w.in * order.gates * hp_);
    w.recurrent = arena.take<T>(h * order.recurrent_gates * hp_);
    if (before) w.recurrent_n = arena.take<T>(h * hp_);
    w.bias = arena.take<T>(order.columns * hp_);
    if (phase == Phase::kTraining) {
      w.transposed = arena.take<T>(order.recurrent_gates * hp_ * hp_);
      if (before) w.transposed_n = arena.take<T>(hp_ * hp_);
      w.plain_input = arena.take<T>(order.gates * h * w.in);
    }
    layers_.push_back(w);
  }
  return arena.used();
}

// One layer and direction; `from` is its first parameter, the result that of the next.
template <class T>
const T* Weights<T>::pack_layer(const LayerWeights<T>& w, const T* from) const {
  const auto writable = [](const T* p) { return const_cast<T*>(p); };  // our own memory, until now
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size, lanes = lanes_, hp = hp_;
  const T* weight_ih = from;
  const T* weight_hh = weight_ih + order.gates * h * w.in;
  const T* bias_ih = weight_hh + order.gates * h * h;
  const T* bias_hh = bias_ih + (config.bias == Bias::kNone ? 0 : order.gates * h);

  T* bias = writable(w.bias);
  std::fill(bias, bias + order.columns * hp, T(0));
  for (int g = 0; g < order.gates; ++g) {
    T* input_bias = bias + order.input_column[g] * hp;
    T* recurrent_bias = bias + order.recurrent_column[g] * hp;
    for (std::int64_t j = 0; j < h; ++j) {
      if (config.bias != Bias::kNone) input_bias[j] += bias_ih[g * h + j];
      if (config.bias == Bias::kDouble) recurrent_bias[j] += bias_hh[g * h + j];
    }
  }
  // About a nanosecond an element; worth a second thread from some 30 us on.
  const std::int64_t elements = order.gates * h * (w.in + 2 * h);
  const T* weight_hn = weight_hh + 2 * h * h;
  on_team(Together::kApart, elements > 30000 ? num_threads() : 1, [&](int index, int count) {
    for (std::int64_t b = index; b < hp / lanes; b += count) {
      for (int g = 0; g < order.gates; ++g) {
        pack_rows(writable(w.input) + order.input_column[g] * hp * w.in, weight_ih + g * h * w.in, 1, h, w.in, lanes,
                  b);
      }
      pack_rows(writable(w.recurrent), weight_hh, order.recurrent_gates, h, h, lanes, b);
      if (w.recurrent_n != nullptr) pack_rows(writable(w.recurrent_n), weight_hn, 1, h, h, lanes, b);
      if (w.transposed != nullptr) {
        pack_transposed(writable(w.transposed), weight_hh, order.recurrent_gates, h, hp, lanes, b);
      }
      if (w.transposed_n != nullptr) pack_transposed(writable(w.transposed_n), weight_hn, 1, h, hp, lanes, b);
    }
  });
  if (w.plain_input != nullptr) std::copy_n(weight_ih, order.gates * h * w.in, writable(w.plain_input));
  return bias_hh + (config.bias == Bias::kDouble ? order.gates * h : 0);
}

template <class T>
Weights<T>::Weights(const RnnConfig& for_config, Phase for_phase, const void* parameters, const Kernels<T>& kernels)
    : directions_(num_directions(for_config)),
      lanes_(kernels.lanes),
      hp_(round_up(for_config.hidden_size, kernels.lanes)) {
  config = for_config;
  phase = for_phase;
  memory_.reserve(lay_out(nullptr));
  lay_out(memory_.span().data());
  const T* from = static_cast<const T*>(parameters);
  for (const LayerWeights<T>& w : layers_) from = pack_layer(w, from);
}

template class Weights<float>;
template class Weights<double>;

}  // namespace rondo::cpu
