// Parameters as cuDNN reads them: a weight space for each call, and gradients back from such spaces.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "cuda/cudnn_rnn.h"
#include "cuda/runtime.h"

namespace rondo::cuda {

template <class T>
struct FillZeros {
  T* to;
  RONDO_CELL_FN void operator()(std::int64_t, std::int64_t i) const { to[i] = T(0.0F); }
};

// One run of the flat parameters, and where it lies in a weight space.
template <class T, bool kToParameters>
struct MoveRun {
  std::conditional_t<kToParameters, T*, const T*> parameters;
  std::conditional_t<kToParameters, const T*, T*> space;
  RONDO_CELL_FN void operator()(std::int64_t, std::int64_t i) const {
    if constexpr (kToParameters) {
      parameters[i] = T(Wide<T>(parameters[i]) + Wide<T>(space[i]));
    } else {
      space[i] = parameters[i];
    }
  }
};

// The runs of one call's parameters. Gates that follow each other in both places are one run.
class WeightMap {
 public:
  struct Run {
    std::int64_t parameter;  // in elements, of the flat array
    std::int64_t count;
    std::size_t place;  // in bytes, of the weight space
    bool operator==(const Run&) const = default;
  };
  // The layers of one call from `layer` on; `offset` is where their parameters start.
  WeightMap(const RnnConfig& config, const CudnnRnn& rnn, std::int64_t layer, std::int64_t layers,
            std::int64_t offset)
      : bytes_((rnn.weight_bytes() + 255) / 256 * 256), end_(offset) {
    for (std::int64_t l = 0; l < layers; ++l) {
      for (int d = 0; d < num_directions(config); ++d) add_direction(config, rnn, layer + l, l, d);
    }
  }
  bool operator==(const WeightMap&) const = default;
  const std::vector<Run>& runs() const { return runs_; }
  std::size_t bytes() const { return bytes_; }  // of the space, rounded up to 256
  std::int64_t end() const { return end_; }     // of the parameters

 private:
  void add_direction(const RnnConfig& c, const CudnnRnn& rnn, std::int64_t layer, std::int64_t in_call,
                     int d) {
    const std::int64_t h = c.hidden_size, in = layer_input_size(c, layer);
    const int gates = num_gates(c.cell);
    for (const bool recurrent : {false, true}) {
      for (int g = 0; g < gates; ++g) {
        add_run(h * (recurrent ? h : in), rnn.place(in_call, d, g, recurrent).matrix, c.dtype);
      }
    }
    const int biases = static_cast<int>(c.bias);  // none, that of W, both; a bias that is missing stays zero
    for (int b = 0; b < biases; ++b) {
      for (int g = 0; g < gates; ++g) add_run(h, rnn.place(in_call, d, g, b == 1).bias, c.dtype);
    }
  }
  void add_run(std::int64_t count, std::size_t place, DType dtype) {
    const auto bytes_of = [&](std::int64_t elements) {
      return static_cast<std::size_t>(elements * element_bytes(dtype));
    };
    if (!runs_.empty() && runs_.back().place + bytes_of(runs_.back().count) == place) {
      runs_.back().count += count;
    } else {
      runs_.push_back({end_, count, place});
    }
    end_ += count;
  }

  std::vector<Run> runs_;
  std::size_t bytes_;
  std::int64_t end_;
};

template <class T, class Runtime>
class CudnnWeights final : public Packed {
 public:
  // maps: of each call, and of each algorithm that has another place for its weights.
  CudnnWeights(const RnnConfig& for_config, Phase for_phase, const std::vector<WeightMap>& maps,
               const void* parameters, std::shared_ptr<Runtime> runtime)
      : owner_(std::move(runtime)), runtime_(*owner_) {
    config = for_config;
    phase = for_phase;
    std::size_t bytes = 0;
    for (const WeightMap& map : maps) {
      offsets_.push_back(bytes);
      bytes += map.bytes();
    }
    memory_ = static_cast<std::byte*>(runtime_.allocate(bytes));
    try {
      // cuDNN reads padding between the parts too.
      const auto words = static_cast<std::int64_t>(bytes / sizeof(float));
      runtime_.for_each(1, words, FillZeros<float>{reinterpret_cast<float*>(memory_)});
      for (std::size_t i = 0; i < maps.size(); ++i) {
        for (const WeightMap::Run& run : maps[i].runs()) {
          runtime_.for_each(1, run.count,
                            MoveRun<T, false>{static_cast<const T*>(parameters) + run.parameter,
                                              reinterpret_cast<T*>(memory_ + offsets_[i] + run.place)});
        }
      }
    } catch (...) {
      runtime_.release(memory_);
      throw;
    }
  }
  ~CudnnWeights() override { runtime_.release(memory_); }
  CudnnWeights(const CudnnWeights&) = delete;
  CudnnWeights& operator=(const CudnnWeights&) = delete;

  const void* space(std::size_t map) const { return memory_ + offsets_[map]; }

 private:
  std::shared_ptr<Runtime> owner_;
  Runtime& runtime_;
  std::vector<std::size_t> offsets_;
  std::byte* memory_ = nullptr;
};

}  // namespace rondo::cuda
