// Packs parameters: blocks of vector-wide columns, zero where H is padded.
#include "cpu/weights.h"

#include <algorithm>

#include "core/arena.h"
#include "core/settings.h"
#include "cpu/team.h"

namespace rondo::cpu {
namespace {

// Block `block`, [k][gates][lanes], of a matrix [gates * H, k].
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

// The same of the transposed matrix, one gate wide: element (k = gate * Hp + unit, column) is
// matrix[gate * H + unit][column].
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

}  // namespace

std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class T>
std::size_t Weights<T>::lay_out(std::byte* memory) {
  Arena arena(memory);
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size, biases = static_cast<std::int64_t>(config.bias);
  const bool before = order.recurrent_gates != order.gates, training = phase == Phase::kTraining;
  layers_.clear();
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < config.num_layers * directions_; ++i) {
    LayerWeights<T> w{};
    w.in = layer_input_size(config, i / directions_);
    w.offset = offset;
    offset += order.gates * h * (w.in + h + biases);
    w.input = arena.take<T>(w.in * order.gates * hp_);
    w.recurrent = arena.take<T>(h * order.recurrent_gates * hp_);
    if (before) w.recurrent_n = arena.take<T>(h * hp_);
    w.bias = arena.take<T>(order.columns * hp_);
    if (training) w.input_rows = arena.take<T>(order.gates * hp_ * w.in);
    if (training) w.transposed = arena.take<T>(order.recurrent_gates * hp_ * hp_);
    if (training && before) w.transposed_n = arena.take<T>(hp_ * hp_);
    layers_.push_back(w);
  }
  return arena.used();
}

// One layer and direction; `weight_ih` is its first parameter.
template <class T>
void Weights<T>::pack_layer(const LayerWeights<T>& w, const T* weight_ih) const {
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size, lanes = lanes_, hp = hp_;
  const T* weight_hh = weight_ih + order.gates * h * w.in;
  const T* weight_hn = weight_hh + 2 * h * h;
  const T* bias_ih = weight_hh + order.gates * h * h;
  const T* bias_hh = bias_ih + order.gates * h;

  std::fill(w.bias, w.bias + order.columns * hp, T(0));
  for (int g = 0; g < order.gates; ++g) {
    T* input_bias = w.bias + order.input_column[g] * hp;
    T* recurrent_bias = w.bias + order.recurrent_column[g] * hp;
    for (std::int64_t j = 0; j < h; ++j) {
      if (config.bias != Bias::kNone) input_bias[j] += bias_ih[g * h + j];
      if (config.bias == Bias::kDouble) recurrent_bias[j] += bias_hh[g * h + j];
    }
  }
  // About a nanosecond an element; worth a second thread from some 30 us on.
  const std::int64_t elements = order.gates * h * (w.in + 2 * h);
  on_team(Together::kApart, elements > 30000 ? num_threads() : 1, [&](int index, int count) {
    for (std::int64_t b = index; b < hp / lanes; b += count) {
      for (int g = 0; g < order.gates; ++g) {
        const T* rows = weight_ih + g * h * w.in;
        const std::int64_t to = order.input_column[g] * hp * w.in, unit = b * lanes;
        pack_rows(w.input + to, rows, 1, h, w.in, lanes, b);
        if (w.input_rows == nullptr) continue;
        std::copy_n(rows + unit * w.in, std::min(lanes, h - unit) * w.in, w.input_rows + to + unit * w.in);
      }
      pack_rows(w.recurrent, weight_hh, order.recurrent_gates, h, h, lanes, b);
      if (w.recurrent_n != nullptr) pack_rows(w.recurrent_n, weight_hn, 1, h, h, lanes, b);
      if (w.transposed != nullptr)
        pack_transposed(w.transposed, weight_hh, order.recurrent_gates, h, hp, lanes, b);
      if (w.transposed_n != nullptr) pack_transposed(w.transposed_n, weight_hn, 1, h, hp, lanes, b);
    }
  });
}

template <class T>
Weights<T>::Weights(const RnnConfig& for_config, Phase for_phase, const void* parameters,
                    const Kernels<T>& kernels)
    : directions_(num_directions(for_config)),
      lanes_(kernels.lanes),
      hp_(round_up(for_config.hidden_size, kernels.lanes)) {
  config = for_config;
  phase = for_phase;
  memory_.reserve(lay_out(nullptr));
  lay_out(memory_.span().data());
  for (const LayerWeights<T>& w : layers_) pack_layer(w, static_cast<const T*>(parameters) + w.offset);
}

template class Weights<float>;
template class Weights<double>;

}  // namespace rondo::cpu
