// Parameters as the step path reads them: copies on the device, gates in the order of core/gate_order.h.
#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "core/gate_order.h"
#include "core/layer_parameters.h"
#include "cuda/runtime.h"

namespace rondo::cuda {

template <class T>
struct LayerWeights {
  LayerParameters at;  // in the flat array
  T* input;            // W, [G * H, in] in the order of input_column
  T* recurrent;        // R, [G * H, S], canonical
  T* bias;             // [columns * H]: of each column, bias_ih and bias_hh of the gates that lie there
  T* peephole;         // [3 * H], canonical; null: none
  T* projection;       // weight_hr, [P, H]; null: none
  // layer_norm: [G * H] in the order of W and of R, [H].
  T *norm_input, *norm_recurrent, *norm_c, *norm_c_bias;
};

// A gate whose parameters are not read has zeros in their place: a gradient of 0 times one that is not finite
// would be NaN.
inline constexpr int kEveryGate = -1, kForgetGate = 1;

template <class T>
struct PackInput {
  T* to;
  const T* from;  // weight_ih
  GateOrder order;
  int unread_gate;
  std::int64_t h, in;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t gate = row / h;
    const T value = gate == unread_gate ? T(0) : from[row * in + column];
    to[(order.input_column[gate] * h + row % h) * in + column] = value;
  }
};

// Gates one after the other, as they are.
template <class T>
struct PackGates {
  T* to;
  const T* from;
  int unread_gate;
  std::int64_t h, width;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    to[row * width + column] = row / h == unread_gate ? T(0) : from[row * width + column];
  }
};

// A row is a column of the row of gates, a column a unit.
template <class T>
struct PackBias {
  T* to;
  const T *ih, *hh;  // [G * H]; null: none
  GateOrder order;
  std::int64_t h;
  RONDO_CELL_FN void operator()(std::int64_t gate_column, std::int64_t unit) const {
    T sum = 0;
    for (int g = 0; g < order.gates; ++g) {
      if (ih != nullptr && order.input_column[g] == gate_column) sum += ih[g * h + unit];
      if (hh != nullptr && order.recurrent_column[g] == gate_column) sum += hh[g * h + unit];
    }
    to[gate_column * h + unit] = sum;
  }
};

template <class T, class Runtime>
class Weights final : public Packed {
 public:
  Weights(const RnnConfig& for_config, Phase for_phase, const void* parameters,
          std::shared_ptr<Runtime> runtime)
      : owner_(std::move(runtime)), runtime_(*owner_), directions_(num_directions(for_config)) {
    config = for_config;
    phase = for_phase;
    memory_ = static_cast<std::byte*>(runtime_.allocate(lay_out(nullptr)));
    try {
      lay_out(memory_);
      for (const LayerWeights<T>& w : layers_) pack_layer(w, static_cast<const T*>(parameters));
    } catch (...) {
      runtime_.release(memory_);
      throw;
    }
  }
  ~Weights() override { runtime_.release(memory_); }
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const LayerWeights<T>& layer(std::int64_t layer, bool reverse) const {
    return layers_[static_cast<std::size_t>(layer * directions_ + (reverse && directions_ == 2 ? 1 : 0))];
  }

 private:
  // The bytes it takes; without memory only those.
  std::size_t lay_out(std::byte* memory) {
    Arena arena(memory);
    const GateOrder& order = gate_order(config);
    const std::int64_t h = config.hidden_size, s = state_size(config);
    layers_.clear();
    std::int64_t offset = 0;
    for (std::int64_t i = 0; i < config.num_layers * directions_; ++i) {
      LayerWeights<T> w{};
      w.at = layer_parameters(config, i / directions_, offset);
      offset = w.at.end;
      w.input = arena.take<T>(order.gates * h * w.at.in);
      w.recurrent = arena.take<T>(order.gates * h * s);
      w.bias = arena.take<T>(order.columns * h);
      if (config.peephole) w.peephole = arena.take<T>(3 * h);
      if (config.projection_size > 0) w.projection = arena.take<T>(s * h);
      if (config.layer_norm) {
        w.norm_input = arena.take<T>(order.gates * h);
        w.norm_recurrent = arena.take<T>(order.gates * h);
        w.norm_c = arena.take<T>(h);
        w.norm_c_bias = arena.take<T>(h);
      }
      layers_.push_back(w);
    }
    return arena.used();
  }

  void pack_layer(const LayerWeights<T>& w, const T* parameters) const {
    const GateOrder& order = gate_order(config);
    const std::int64_t h = config.hidden_size, s = state_size(config), rows = order.gates * h;
    const T* bias_ih = config.bias == Bias::kNone ? nullptr : parameters + w.at.bias_ih;
    const T* bias_hh = config.bias != Bias::kDouble ? nullptr : parameters + w.at.bias_hh;
    // Where all gates are normalised together the others read its sums.
    const int unread = config.input_forget && !config.layer_norm ? kForgetGate : kEveryGate;
    runtime_.for_each(rows, w.at.in,
                      PackInput<T>{w.input, parameters + w.at.weight_ih, order, unread, h, w.at.in});
    runtime_.for_each(rows, s, PackGates<T>{w.recurrent, parameters + w.at.weight_hh, unread, h, s});
    runtime_.for_each(order.columns, h, PackBias<T>{w.bias, bias_ih, bias_hh, order, h});
    if (w.peephole != nullptr) {  // i f o: f is the second here, too
      runtime_.for_each(3 * h, 1, PackGates<T>{w.peephole, parameters + w.at.weight_ch, unread, h, 1});
    }
    if (w.projection != nullptr) {
      runtime_.for_each(s, h, PackGates<T>{w.projection, parameters + w.at.weight_hr, kEveryGate, h, h});
    }
    if (config.layer_norm) pack_norms(w, parameters);
  }

  void pack_norms(const LayerWeights<T>& w, const T* parameters) const {
    const GateOrder& order = gate_order(config);
    const std::int64_t h = config.hidden_size, rows = order.gates * h;
    const int unread = config.input_forget ? kForgetGate : kEveryGate;
    runtime_.for_each(rows, 1, PackInput<T>{w.norm_input, parameters + w.at.norm_ih, order, unread, h, 1});
    runtime_.for_each(rows, 1, PackGates<T>{w.norm_recurrent, parameters + w.at.norm_hh, unread, h, 1});
    if (config.cell != Cell::kLstm) return;
    const auto copy = [&](T* to, std::int64_t from) {
      runtime_.for_each(h, 1, PackGates<T>{to, parameters + from, kEveryGate, h, 1});
    };
    copy(w.norm_c, w.at.norm_c);
    copy(w.norm_c_bias, w.at.norm_c_bias);
  }

  std::shared_ptr<Runtime> owner_;
  Runtime& runtime_;
  int directions_;
  std::vector<LayerWeights<T>> layers_;
  std::byte* memory_ = nullptr;
};

}  // namespace rondo::cuda
