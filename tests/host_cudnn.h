// What cuda/cudnn_rnn.h asks of cuDNN, by the reference on the host, as strict as cuDNN is: a layout of
// weights of its own, refusals, sorted packed rows, a reserve that only the same network's backward can use.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cuda/cudnn_rnn.h"
#include "cuda/runtime.h"
#include "fake_gpu.h"
#include "reference.h"
#include "rondo/half.h"

namespace rondo::testing {

// What a test makes it refuse, each with a text or "".
struct HostCudnnRules {
  std::function<std::string(const cuda::CudnnNetwork&)> network, sizes, forward;
  std::function<std::string(const cuda::CudnnNetwork&)> pass;  // a DeviceError
  std::vector<std::string> passes;                             // "forward standard", as they were run
};

template <class T>
class HostCudnnRnn final : public cuda::CudnnRnn {
 public:
  using Real = cuda::Wide<T>;

  HostCudnnRnn(FakeMemory& memory, HostCudnnRules& rules, const cuda::CudnnNetwork& network)
      : memory_(memory), rules_(rules), network_(network), config_(config_of(network)) {
    refuse(rules_.network);
    const bool standard = network.algorithm == cuda::CudnnAlgorithm::kStandard;
    if (network.ragged && !standard) throw cuda::CudnnRefusal("different lengths");
    if (sizeof(T) == 8 && !standard) throw cuda::CudnnRefusal("f64");
    lay_out_weights();
  }
  std::size_t weight_bytes() const override { return weight_bytes_; }
  Place place(std::int64_t layer, int direction, int gate, bool recurrent) const override {
    return places_.at(index(layer, direction, gate, recurrent));
  }
  cuda::CudnnSizes sizes(const Sequence& s, bool training) override {
    refuse(rules_.sizes);
    const auto rows = static_cast<std::size_t>(s.total());
    // Not monotonic, and another for each layout.
    const std::size_t odd = s.n % 2 == 1 ? 700 : 0, batch_major = s.row_stride > 1 ? 900 : 0;
    return {1000 + 8 * rows + odd + batch_major, training ? sizeof(Kept) + 16 * rows + odd : 0};
  }
  void forward(const cuda::CudnnForward& f) override {
    const auto open = memory_.open(f.weights, f.x, f.y, f.h0, f.c0, f.h_n, f.c_n, f.workspace, f.reserve);
    begin("forward", f);
    for (const void* array : {f.h_n, f.c_n}) expect_aligned(array);
    expect_apart(f.h0, f.h_n);
    expect_apart(f.c0, f.c_n);
    const reference::Network<Real> network(config_, call(f));
    write_rows(f.sequence, f.y, network.results().y, output_width());
    write(f.h_n, network.results().h_n);
    write(f.c_n, network.results().c_n);
    if (f.reserve == nullptr) return;
    const Kept kept{network_, f.sequence.t, f.sequence.n, true};
    std::memcpy(f.reserve, &kept, sizeof kept);
  }
  void backward(const cuda::CudnnBackward& b) override {
    const auto open = memory_.open(b.weights, b.x, b.y, b.h0, b.c0, b.workspace, b.reserve, b.dy, b.dh_n,
                                   b.dc_n, b.dx, b.dh0, b.dc0, b.dweights);
    begin("backward", b);
    for (const void* array : {b.dy, b.dh_n, b.dc_n}) expect_aligned(array);
    for (const void* array : {b.dx, b.dh0, b.dc0}) expect_aligned(array);
    expect_apart(b.dh_n, b.dh0);
    expect_apart(b.dc_n, b.dc0);
    Kept kept;
    std::memcpy(&kept, b.reserve, sizeof kept);
    expect(kept.unused && kept.t == b.sequence.t && kept.n == b.sequence.n, "the reserve of this pass");
    expect(kept.network.algorithm == network_.algorithm && kept.network.ragged == network_.ragged &&
               kept.network.input_size == network_.input_size,
           "the reserve of this network");
    kept.unused = false;
    std::memcpy(b.reserve, &kept, sizeof kept);
    const reference::Network<Real> network(config_, call(b));
    const auto y = read_rows(b.sequence, b.y, output_width());
    for (std::size_t i = 0; i < y.size(); ++i) {
      expect(y[i] == Real(T(network.results().y[i])), "y as forward wrote it");
    }
    const auto g = network.backward({read_rows(b.sequence, required(b.dy), output_width()),
                                     {},
                                     read(b.dh_n, states(b.sequence)),
                                     read(b.dc_n, states(b.sequence))});
    write_rows(b.sequence, static_cast<void*>(required(b.dx)), g.dx, network_.input_size);
    write(b.dh0, g.dh0);
    write(b.dc0, g.dc0);
    if (b.dweights != nullptr) add_weights(b.dweights, g.dparameters);
  }

 private:
  struct Kept {
    cuda::CudnnNetwork network;
    std::int64_t t, n;
    bool unused;
  };

  static void expect_aligned(const void* array) {
    expect(reinterpret_cast<std::uintptr_t>(array) % 16 == 0, "arrays at multiples of 16 bytes");
  }
  static void expect_apart(const void* read, const void* written) {
    expect(read == nullptr || read != written, "arrays that do not overlap");
  }
  static void expect(bool condition, const char* what) {
    if (!condition) throw DeviceError(std::string("host cuDNN: expected ") + what);
  }
  template <class P>
  static P* required(P* pointer) {
    expect(pointer != nullptr, "an array");
    return pointer;
  }
  void refuse(const std::function<std::string(const cuda::CudnnNetwork&)>& rule) const {
    if (const std::string text = rule ? rule(network_) : ""; !text.empty()) throw cuda::CudnnRefusal(text);
  }
  static RnnConfig config_of(const cuda::CudnnNetwork& n) {
    RnnConfig c;
    c.cell = n.cell;
    c.activation = n.activation;
    c.input_size = n.input_size;
    c.hidden_size = n.hidden_size;
    c.num_layers = n.num_layers;
    if (n.directions == 2) c.direction = Direction::kBidirectional;
    return c;
  }
  std::int64_t output_width() const { return network_.directions * network_.hidden_size; }
  std::int64_t states(const Sequence& s) const { return network_.num_layers * s.n * output_width(); }

  // Weights: the sets last to first with a gap before each, gates of a set side by side for the standard
  // algorithm and apart for the others.
  std::size_t index(std::int64_t layer, int direction, int gate, bool recurrent) const {
    const int gates = num_gates(network_.cell);
    return static_cast<std::size_t>(((layer * network_.directions + direction) * 2 + recurrent) * gates +
                                    gate);
  }
  void lay_out_weights() {
    const std::int64_t h = network_.hidden_size;
    const int gates = num_gates(network_.cell);
    const bool apart = network_.algorithm != cuda::CudnnAlgorithm::kStandard;
    places_.resize(index(network_.num_layers, 0, 0, false));
    std::size_t at = 0;
    const auto take = [&](std::int64_t count, bool gap) {
      if (gap) at += 64;
      const std::size_t start = at;
      at += static_cast<std::size_t>(count) * sizeof(T);
      return start;
    };
    for (std::int64_t l = network_.num_layers; l-- > 0;) {
      for (int d = network_.directions; d-- > 0;) {
        for (const bool recurrent : {true, false}) {
          const std::int64_t in = recurrent ? h : layer_input_size(config_, l);
          for (int g = 0; g < gates; ++g) places_[index(l, d, g, recurrent)].bias = take(h, g == 0 || apart);
          for (int g = 0; g < gates; ++g) {
            places_[index(l, d, g, recurrent)].matrix = take(h * in, g == 0 || apart);
          }
        }
      }
    }
    weight_bytes_ = at + 40;
  }
  // Each element of the canonical parameters and its place.
  template <class Visit>
  void visit_weights(const Visit& visit) const {
    const std::int64_t h = network_.hidden_size;
    std::int64_t at = 0;
    const auto run = [&](std::int64_t count, std::size_t start) {
      for (std::int64_t i = 0; i < count; ++i) visit(at++, start + static_cast<std::size_t>(i) * sizeof(T));
    };
    for (std::int64_t l = 0; l < network_.num_layers; ++l) {
      for (int d = 0; d < network_.directions; ++d) {
        for (const bool bias : {false, true}) {
          for (const bool recurrent : {false, true}) {
            for (int g = 0; g < num_gates(network_.cell); ++g) {
              const Place& p = places_[index(l, d, g, recurrent)];
              if (bias) run(h, p.bias);
              if (!bias) run(h * (recurrent ? h : layer_input_size(config_, l)), p.matrix);
            }
          }
        }
      }
    }
  }
  std::vector<Real> weights(const void* space) const {
    std::vector<std::byte> rest(weight_bytes_);
    std::memcpy(rest.data(), space, weight_bytes_);
    std::vector<Real> parameters(static_cast<std::size_t>(parameter_count(config_)));
    visit_weights([&](std::int64_t i, std::size_t place) {
      T value;
      std::memcpy(&value, rest.data() + place, sizeof value);
      parameters[static_cast<std::size_t>(i)] = Real(value);
      std::memset(rest.data() + place, 0, sizeof value);
    });
    for (const std::byte b : rest) expect(b == std::byte{0}, "zeros between the weights");
    return parameters;
  }
  void add_weights(void* space, const std::vector<Real>& gradients) const {
    visit_weights([&](std::int64_t i, std::size_t place) {
      T value;
      std::memcpy(&value, static_cast<std::byte*>(space) + place, sizeof value);
      value = T(Real(value) + gradients[static_cast<std::size_t>(i)]);
      std::memcpy(static_cast<std::byte*>(space) + place, &value, sizeof value);
    });
  }

  // A pass: its room, overwritten, and the rows in the order that the layout asks for.
  void begin(const char* what, const cuda::CudnnPass& p) {
    rules_.passes.push_back(std::string(what) + " " + to_string(network_.algorithm) +
                            (network_.ragged ? " ragged" : ""));
    if (const std::string text = rules_.pass ? rules_.pass(network_) : ""; !text.empty()) {
      throw DeviceError("host cuDNN: " + text);
    }
    if (std::string(what) == "forward") refuse(rules_.forward);
    const cuda::CudnnSizes needed = sizes(p.sequence, p.reserve != nullptr);
    expect(p.room.workspace >= needed.workspace && p.room.reserve >= needed.reserve, "more room");
    for (const void* aligned : {static_cast<const void*>(p.workspace), static_cast<const void*>(p.reserve)}) {
      expect(reinterpret_cast<std::uintptr_t>(aligned) % 256 == 0, "aligned room");
    }
    std::memset(p.workspace, 0xFF, needed.workspace);
    const Sequence& s = p.sequence;
    expect((s.offsets != nullptr) == network_.ragged && s.t > 0 && s.n > 0, "rows");
    for (std::int64_t t = 0; s.offsets != nullptr && t < s.t; ++t) {
      expect(s.rows(t) > 0 || t > 0, "a longest row");
      if (t > 0) expect(s.rows(t) <= s.rows(t - 1), "rows by falling length");
    }
    expect(s.offsets == nullptr || s.rows(0) == s.n, "no row of length 0");
    expect(p.x != p.y && (p.h0 == nullptr || p.h0 != p.c0), "arrays apart");
    for (const void* array : {p.x, static_cast<const void*>(p.y), p.h0, p.c0}) expect_aligned(array);
  }
  reference::Call<Real> call(const cuda::CudnnPass& p) const {
    reference::Call<Real> c;
    c.t = p.sequence.t;
    c.n = p.sequence.n;
    c.parameters = weights(p.weights);
    c.x = read_rows(p.sequence, required(p.x), network_.input_size);
    c.h0 = read(p.h0, states(p.sequence));
    c.c0 = read(p.c0, states(p.sequence));
    for (std::int64_t r = 0; network_.ragged && r < c.n; ++r) {
      std::int64_t length = 0;
      while (length < c.t && p.sequence.rows(length) > r) ++length;
      c.lengths.push_back(length);
    }
    return c;
  }
  std::vector<Real> read(const void* from, std::int64_t count) const {
    std::vector<Real> values;
    for (std::int64_t i = 0; from != nullptr && i < count; ++i) {
      values.push_back(Real(static_cast<const T*>(from)[i]));
    }
    return values;
  }
  void write(void* to, const std::vector<Real>& values) const {
    for (std::size_t i = 0; to != nullptr && i < values.size(); ++i) static_cast<T*>(to)[i] = T(values[i]);
  }
  // Between rows as the sequence has them and [T, N, width]; what is in neither's rows is zero.
  template <class Visit>
  static void visit_rows(const Sequence& s, std::int64_t width, const Visit& visit) {
    for (std::int64_t t = 0; t < s.t; ++t) {
      for (std::int64_t r = 0; r < s.rows(t); ++r) {
        const std::int64_t row = s.start(t) + r * s.row_stride;
        for (std::int64_t i = 0; i < width; ++i) {
          visit(static_cast<std::size_t>((t * s.n + r) * width + i), row * width + i);
        }
      }
    }
  }
  std::vector<Real> read_rows(const Sequence& s, const void* from, std::int64_t width) const {
    std::vector<Real> values(static_cast<std::size_t>(s.t * s.n * width));
    visit_rows(s, width,
               [&](std::size_t to, std::int64_t at) { values[to] = Real(static_cast<const T*>(from)[at]); });
    return values;
  }
  void write_rows(const Sequence& s, void* to, const std::vector<Real>& values, std::int64_t width) const {
    visit_rows(s, width,
               [&](std::size_t from, std::int64_t at) { static_cast<T*>(to)[at] = T(values[from]); });
  }

  FakeMemory& memory_;
  HostCudnnRules& rules_;
  cuda::CudnnNetwork network_;
  RnnConfig config_;
  std::vector<Place> places_;
  std::size_t weight_bytes_ = 0;
};

inline std::unique_ptr<cuda::CudnnRnn> make_host_cudnn(FakeMemory& memory, HostCudnnRules& rules,
                                                       const cuda::CudnnNetwork& network) {
  switch (network.dtype) {
    case DType::kF32:
      return std::make_unique<HostCudnnRnn<float>>(memory, rules, network);
    case DType::kF64:
      return std::make_unique<HostCudnnRnn<double>>(memory, rules, network);
    case DType::kF16:
      return std::make_unique<HostCudnnRnn<Float16>>(memory, rules, network);
    case DType::kBf16:
      return std::make_unique<HostCudnnRnn<BFloat16>>(memory, rules, network);
    default:
      throw cuda::CudnnRefusal(to_string(network.dtype));
  }
}

}  // namespace rondo::testing
