// Parameters as the step path reads them: copies on the device, gates in the order of core/gate_order.h.
#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "core/gate_order.h"
#include "cuda/runtime.h"

namespace rondo::cuda {

template <class T>
struct LayerWeights {
  std::int64_t in;      // columns of W
  std::int64_t offset;  // of its first parameter in the flat array
  T* input;             // W, [G * H, in] in the order of input_column
  T* recurrent;         // R, [G * H, H], canonical
  T* bias;              // [columns * H]: of each column, bias_ih and bias_hh of the gates that lie there
};

template <class T>
struct PackInput {
  T* to;
  const T* from;  // weight_ih
  GateOrder order;
  std::int64_t h, in;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    to[(order.input_column[row / h] * h + row % h) * in + column] = from[row * in + column];
  }
};

template <class T>
struct PackRecurrent {
  T* to;
  const T* from;  // weight_hh
  std::int64_t h;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const {
    to[row * h + column] = from[row * h + column];
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
      for (const LayerWeights<T>& w : layers_) pack_layer(w, static_cast<const T*>(parameters) + w.offset);
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
    const std::int64_t h = config.hidden_size, biases = static_cast<std::int64_t>(config.bias);
    layers_.clear();
    std::int64_t offset = 0;
    for (std::int64_t i = 0; i < config.num_layers * directions_; ++i) {
      LayerWeights<T> w{};
      w.in = layer_input_size(config, i / directions_);
      w.offset = offset;
      offset += order.gates * h * (w.in + h + biases);
      w.input = arena.take<T>(order.gates * h * w.in);
      w.recurrent = arena.take<T>(order.gates * h * h);
      w.bias = arena.take<T>(order.columns * h);
      layers_.push_back(w);
    }
    return arena.used();
  }

  // One layer and direction; weight_ih is its first parameter.
  void pack_layer(const LayerWeights<T>& w, const T* weight_ih) const {
    const GateOrder& order = gate_order(config);
    const std::int64_t h = config.hidden_size, rows = order.gates * h;
    const T* weight_hh = weight_ih + rows * w.in;
    const T* bias_ih = weight_hh + rows * h;
    const T* bias_hh = bias_ih + rows;
    if (config.bias == Bias::kNone) bias_ih = nullptr;
    if (config.bias != Bias::kDouble) bias_hh = nullptr;
    runtime_.for_each(rows, w.in, PackInput<T>{w.input, weight_ih, order, h, w.in});
    runtime_.for_each(rows, h, PackRecurrent<T>{w.recurrent, weight_hh, h});
    runtime_.for_each(order.columns, h, PackBias<T>{w.bias, bias_ih, bias_hh, order, h});
  }

  std::shared_ptr<Runtime> owner_;
  Runtime& runtime_;
  int directions_;
  std::vector<LayerWeights<T>> layers_;
  std::byte* memory_ = nullptr;
};

}  // namespace rondo::cuda
