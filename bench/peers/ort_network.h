// A recurrent network as an ONNX model, ready to be run by ONNX Runtime.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/peers/ort_library.h"
#include "bench/shape_options.h"

namespace bench::ort {

// A layer's, as ONNX lays them out. Gates: LSTM i o f c, GRU z r h.
struct LayerWeights {
  std::vector<float> w;  // [D, G*H, in]
  std::vector<float> r;  // [D, G*H, H]
  std::vector<float> b;  // [D, 2*G*H], of W x and then of R h
};

// Passes over whole sequences from a zero state: one LSTM, GRU (linear_before_reset) or RNN node a layer.
class Network {
 public:
  // library must outlive it.
  Network(const Library& library, const ShapeOptions& options, const std::vector<LayerWeights>& weights);

  std::span<float> x() { return x_; }              // [T, N, I]
  std::span<const float> y() const { return y_; }  // [T, D, N, H]
  // Writes y, and allocates no output.
  void run() const;

 private:
  const Library& library_;
  Owned<Session> session_{nullptr, nullptr};
  Owned<Value> x_value_{nullptr, nullptr}, y_value_{nullptr, nullptr};
  Owned<IoBinding> binding_{nullptr, nullptr};
  std::span<float> x_, y_;
};

}  // namespace bench::ort
