// One layer in one direction on the CPU: the input product, the time loop, the weight gradients.
#pragma once

#include <memory>

#include "core/arena.h"
#include "cpu/glue.h"
#include "cpu/weights.h"

namespace rondo::cpu {

// What training leaves for backward, of P flat rows.
template <class T>
struct Saved {
  T* gates;  // [P][columns * Hp]: activations, then gradients of the pre-activations
  T* c;      // [P][Hp], LSTM
};

template <class T>
class Layers final : public Glue<T> {
 public:
  explicit Layers(const Request& request);
  std::size_t saved_bytes(LayerId id, std::int64_t flat_rows, std::int64_t n) const override;
  std::size_t workspace_bytes(LayerId id, std::int64_t flat_rows, std::int64_t n) const override;
  std::unique_ptr<Packed> pack(const void* parameters) const override;
  void forward(const LayerForward& call) override;
  void backward(const LayerBackward& call) override;
  std::string path() const override;

 private:
  struct ForwardMemory;
  struct BackwardMemory;
  struct Split;
  Saved<T> saved(std::byte* memory, std::int64_t flat_rows, std::size_t* bytes) const;
  ForwardMemory forward_memory(Arena& arena, std::int64_t in, std::int64_t flat_rows, std::int64_t n,
                               bool training) const;
  BackwardMemory backward_memory(Arena& arena, std::int64_t in, std::int64_t flat_rows, std::int64_t n) const;
  const typename Kernels<T>::Cell& cell() const;
  Split split_work(const Sequence& sequence) const;

  void project_input(const LayerForward& call, const LayerWeights<T>& w, const ForwardMemory& m, T* gates,
                     std::int64_t ld) const;
  void forward_loop(const LayerForward& call, const LayerWeights<T>& w, const ForwardMemory& m, T* gates,
                    std::int64_t ld, T* c_saved) const;
  void backward_loop(const LayerBackward& call, const LayerWeights<T>& w, const BackwardMemory& m,
                     const Saved<T>& s) const;
  void parameter_gradients(const LayerBackward& call, const BackwardMemory& m, const T* da) const;
  void input_gradient(const LayerBackward& call, const LayerWeights<T>& w, const BackwardMemory& m,
                      const T* da) const;

  RnnConfig config_;
  Phase phase_;
  const Kernels<T>& kernels_;
  const GateOrder& order_;
  std::int64_t h_, hp_;
  std::int64_t parameter_offset(LayerId id) const;
};

}  // namespace rondo::cpu
