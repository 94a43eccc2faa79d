// Packs parameters: blocks of vector-wide columns, zero where H is padded.
#include "cpu/weights.h"

#include <algorithm>

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

// [gates * rows, columns], each gate's rows padded to rows_padded, gate g where order[g] says.
struct GateMatrix {
  int gates;
  std::int64_t rows, rows_padded, columns;
  const int* order;
};
constexpr int kAsTheyAre[] = {0, 1, 2, 3};
// The same of the transposed matrix, one gate wide: element (k = order[gate] * rows_padded + row, column) is
// matrix[gate * rows + row][column].
template <class T>
void pack_transposed(T* to, const T* matrix, const GateMatrix& form, std::int64_t lanes, std::int64_t block) {
  const auto& [gates, rows, rows_padded, columns, order] = form;
  const std::int64_t width = std::min(lanes, columns - block * lanes);
  for (int g = 0; g < gates; ++g) {
    T* out = to + (block * gates + order[g]) * rows_padded * lanes;
    const T* from = matrix + g * rows * columns + block * lanes;
    for (std::int64_t row = 0; row < rows; ++row, out += lanes, from += columns) {
      std::fill(std::copy_n(from, width, out), out + lanes, T(0));
    }
    std::fill_n(out, (rows_padded - rows) * lanes, T(0));
  }
}

}  // namespace

std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class T>
RecurrentPacking<T>::RecurrentPacking(const RnnConfig& config, std::int64_t lanes)
    : order_(gate_order(config)),
      lanes_(lanes),
      h_(config.hidden_size),
      hp_(round_up(h_, lanes)),
      s_(state_size(config)),
      sp_(round_up(s_, lanes)) {}

template <class T>
void RecurrentPacking<T>::lay_out_forward(LayerWeights<T>& w, Arena& arena) const {
  w.recurrent = arena.take<T>(s_ * order_.recurrent_gates * hp_);
  if (order_.recurrent_gates != order_.gates) w.recurrent_n = arena.take<T>(h_ * hp_);
}

template <class T>
void RecurrentPacking<T>::lay_out_backward(LayerWeights<T>& w, Arena& arena) const {
  w.transposed = arena.take<T>(order_.recurrent_gates * hp_ * sp_);
  if (order_.recurrent_gates != order_.gates) w.transposed_n = arena.take<T>(hp_ * hp_);
}

template <class T>
void RecurrentPacking<T>::pack(const LayerWeights<T>& to, const T* weight_hh, int index, int count) const {
  const T* weight_hn = weight_hh + 2 * h_ * h_;
  for (std::int64_t b = index; b < hp_ / lanes_; b += count) {
    if (to.recurrent != nullptr) {
      pack_rows(to.recurrent, weight_hh, order_.recurrent_gates, h_, s_, lanes_, b);
    }
    if (to.recurrent_n != nullptr) pack_rows(to.recurrent_n, weight_hn, 1, h_, h_, lanes_, b);
    if (to.transposed != nullptr && b < sp_ / lanes_) {
      pack_transposed(to.transposed, weight_hh, {order_.recurrent_gates, h_, hp_, s_, kAsTheyAre}, lanes_, b);
    }
    if (to.transposed_n != nullptr) {
      pack_transposed(to.transposed_n, weight_hn, {1, h_, hp_, h_, kAsTheyAre}, lanes_, b);
    }
  }
}

template <class T>
void RecurrentPacking<T>::multiply(const LayerWeights<T>& to, const LayerWeights<T>& from, const T* factors,
                                   int threads) const {
  on_team(Together::kApart, threads, [&](int index, int count) { pack(to, factors, index, count); });
  const auto scale = [](T* product, const T* matrix, std::int64_t size) {
    for (std::int64_t i = 0; product != nullptr && i < size; ++i) product[i] *= matrix[i];
  };
  scale(to.recurrent, from.recurrent, s_ * order_.recurrent_gates * hp_);
  scale(to.recurrent_n, from.recurrent_n, h_ * hp_);
  scale(to.transposed, from.transposed, order_.recurrent_gates * hp_ * sp_);
  scale(to.transposed_n, from.transposed_n, hp_ * hp_);
}

template <class T>
std::size_t Weights<T>::lay_out(std::byte* memory) {
  Arena arena(memory);
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size;
  const bool training = phase == Phase::kTraining, projected = config.projection_size > 0;
  layers_.clear();
  std::int64_t start = 0;
  for (std::int64_t i = 0; i < config.num_layers * directions_; ++i) {
    LayerWeights<T> w{};
    w.at = layer_parameters(config, i / directions_, start);
    start = w.at.end;
    w.input = arena.take<T>(w.at.in * order.gates * hp_);
    packing_.lay_out_forward(w, arena);
    if (training) packing_.lay_out_backward(w, arena);
    w.bias = arena.take<T>(order.columns * hp_);
    if (config.peephole) w.peephole = arena.take<T>(3 * hp_);
    if (config.layer_norm) {
      for (T** p : {&w.norm_x, &w.norm_h}) *p = arena.take<T>(order.gates * hp_);
      for (T** p : {&w.norm_c, &w.norm_c_shift}) *p = arena.take<T>(hp_);
    }
    if (projected) w.projection = arena.take<T>(h * sp_);
    if (training) w.input_transposed = arena.take<T>(order.gates * hp_ * round_up(w.at.in, lanes_));
    if (training && projected) w.transposed_projection = arena.take<T>(sp_ * hp_);
    layers_.push_back(w);
  }
  return arena.used();
}

template <class T>
void Weights<T>::pack_biases(const LayerWeights<T>& w, const T* layer) const {
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size;
  const std::int64_t start = w.at.weight_ih;
  const T *bias_ih = layer + (w.at.bias_ih - start), *bias_hh = layer + (w.at.bias_hh - start);
  std::fill(w.bias, w.bias + order.columns * hp_, T(0));
  for (int g = 0; g < order.gates; ++g) {
    T* input_bias = w.bias + order.input_column[g] * hp_;
    T* recurrent_bias = w.bias + order.recurrent_column[g] * hp_;
    for (std::int64_t j = 0; j < h; ++j) {
      if (config.bias != Bias::kNone) input_bias[j] += bias_ih[g * h + j];
      if (config.bias == Bias::kDouble) recurrent_bias[j] += bias_hh[g * h + j];
    }
  }
  const auto pad = [&](T* to, std::int64_t offset) {
    std::fill_n(std::copy_n(layer + (offset - start), h, to), hp_ - h, T(0));
  };
  for (std::int64_t g = 0; w.peephole != nullptr && g < 3; ++g)
    pad(w.peephole + g * hp_, w.at.weight_ch + g * h);
  if (!config.layer_norm) return;
  for (std::int64_t g = 0; g < order.gates; ++g) {
    pad(w.norm_x + order.input_column[g] * hp_, w.at.norm_ih + g * h);
    pad(w.norm_h + g * hp_, w.at.norm_hh + g * h);
  }
  if (config.input_forget) {  // nothing of f but its part of the moments is read, not even times zero
    std::fill_n(w.norm_x + order.input_column[1] * hp_, hp_, T(0));
    std::fill_n(w.norm_h + hp_, hp_, T(0));
  }
  if (config.cell != Cell::kLstm) return;
  pad(w.norm_c, w.at.norm_c);
  pad(w.norm_c_shift, w.at.norm_c_bias);
}

// `layer` is the first parameter of one layer and direction, as for the functions below. A copy with zeros
// for those of f, which input_forget does not read, so that nothing there, a NaN say, reaches the product
// that is computed with them all the same.
template <class T>
std::vector<T> Weights<T>::without_f(const LayerWeights<T>& w, const T* layer) const {
  const std::int64_t h = config.hidden_size, s = state_size(config);
  std::vector<T> copy(layer, layer + (w.at.end - w.at.weight_ih));
  const auto clear = [&](bool there, std::int64_t offset, std::int64_t width) {
    if (there) std::fill_n(copy.begin() + (offset - w.at.weight_ih) + h * width, h * width, T(0));
  };
  clear(true, w.at.weight_ih, w.at.in);
  clear(true, w.at.weight_hh, s);
  clear(config.bias != Bias::kNone, w.at.bias_ih, 1);
  clear(config.bias == Bias::kDouble, w.at.bias_hh, 1);
  clear(config.peephole, w.at.weight_ch, 1);
  return copy;
}

// One layer and direction.
template <class T>
void Weights<T>::pack_layer(const LayerWeights<T>& w, const T* layer) const {
  std::vector<T> copy;
  if (config.input_forget && !config.layer_norm) {
    copy = without_f(w, layer);
    layer = copy.data();
  }
  const GateOrder& order = gate_order(config);
  const std::int64_t h = config.hidden_size, s = state_size(config), lanes = lanes_, hp = hp_, in = w.at.in;
  const T* weight_ih = layer;
  const T* weight_hh = layer + (w.at.weight_hh - w.at.weight_ih);
  const T* weight_hr = layer + (w.at.weight_hr - w.at.weight_ih);
  pack_biases(w, layer);
  // About a nanosecond an element; worth a second thread from some 30 us on.
  const std::int64_t elements = order.gates * h * (in + 2 * h);
  on_team(Together::kApart, elements > 30000 ? num_threads() : 1, [&](int index, int count) {
    packing_.pack(w, weight_hh, index, count);
    for (std::int64_t b = index; b < hp / lanes; b += count) {
      for (int g = 0; g < order.gates; ++g) {
        const T* rows = weight_ih + g * h * in;
        pack_rows(w.input + order.input_column[g] * hp * in, rows, 1, h, in, lanes, b);
      }
      if (w.projection != nullptr && b < sp_ / lanes) pack_rows(w.projection, weight_hr, 1, s, h, lanes, b);
      if (w.transposed_projection != nullptr) {
        pack_transposed(w.transposed_projection, weight_hr, {1, s, sp_, h, kAsTheyAre}, lanes, b);
      }
    }
    const GateMatrix input{order.gates, h, hp, in, order.input_column};
    for (std::int64_t b = index; w.input_transposed != nullptr && b * lanes < in; b += count) {
      pack_transposed(w.input_transposed, weight_ih, input, lanes, b);
    }
  });
}

template <class T>
Weights<T>::Weights(const RnnConfig& for_config, Phase for_phase, const void* parameters,
                    const Kernels<T>& kernels, std::shared_ptr<SpareMemory> spare)
    : directions_(num_directions(for_config)),
      lanes_(kernels.lanes),
      hp_(round_up(for_config.hidden_size, kernels.lanes)),
      sp_(round_up(state_size(for_config), kernels.lanes)),
      packing_(for_config, kernels.lanes),
      spare_(std::move(spare)) {
  config = for_config;
  phase = for_phase;
  spare_->swap(memory_);
  memory_.reserve(lay_out(nullptr));
  lay_out(memory_.span().data());
  for (const LayerWeights<T>& w : layers_) {
    pack_layer(w, static_cast<const T*>(parameters) + w.at.weight_ih);
  }
}

template class RecurrentPacking<float>;
template class RecurrentPacking<double>;
template class Weights<float>;
template class Weights<double>;

}  // namespace rondo::cpu
