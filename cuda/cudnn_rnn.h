// A recurrent network as cuDNN computes it, all layers and directions in one call: what the cuDNN path
// (cuda/cudnn_layers-inl.h) asks for. Two classes fulfil it: one by cuDNN (cuda/cudnn_rnn.cpp), and
// tests/host_cudnn.h by loops on the host.
#pragma once

#include <memory>
#include <stdexcept>

#include "core/stack.h"

namespace rondo::cuda {

// cuDNN's, in the order of cudnnRNNAlgo_t. kPersistDynamic, which compiles a kernel for each batch size, is
// never chosen.
enum class CudnnAlgorithm : std::uint8_t { kStandard, kPersistStatic, kPersistDynamic, kPersistSmallH };
std::string to_string(CudnnAlgorithm algorithm);  // "standard", "persist-static", ...

struct CudnnNetwork {
  Cell cell = Cell::kLstm;
  Activation activation = Activation::kTanh;  // read by SimpleRNN
  DType dtype = DType::kF32;
  MathMode math_mode = MathMode::kStrict;
  std::int64_t input_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 1;
  int directions = 1;  // 2: outputs side by side, and so read by the layer above
  CudnnAlgorithm algorithm = CudnnAlgorithm::kStandard;
  bool ragged = false;  // sequences have offsets; else none has, and rows lie in either layout
};

// cuDNN does not run this network, or not at these sizes. The text says what it said.
class CudnnRefusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Memory of one pass on the device, 256-byte aligned. The reserve goes from a training forward to its
// backward.
struct CudnnSizes {
  std::size_t workspace = 0, reserve = 0;
};

// All arrays lie on the device, dense, rows as `sequence` says; states are [L*D, n, H] with the n of
// `sequence`. No array may overlap another.
struct CudnnPass {
  const Sequence& sequence;
  const void* weights;  // weight_bytes
  const void* x;        // [P, I]
  void* y;              // [P, D*H]: written by forward, read by backward
  const void* h0;       // null: zeros
  const void* c0;       // LSTM
  void* workspace;
  void* reserve;    // null: inference
  CudnnSizes room;  // bytes that the last two point to
};
struct CudnnForward : CudnnPass {
  void* h_n;  // null: not wanted
  void* c_n;
};
struct CudnnBackward : CudnnPass {
  const void* dy;    // [P, D*H]
  const void* dh_n;  // null: zero
  const void* dc_n;
  void* dx;   // [P, I]
  void* dh0;  // null: not wanted
  void* dc0;
  void* dweights;  // weight_bytes, accumulated; null: not wanted
};

class CudnnRnn {
 public:
  virtual ~CudnnRnn() = default;
  // The weight space, in which both biases of every gate have a place.
  virtual std::size_t weight_bytes() const = 0;
  // Where a gate (LSTM i f g o, GRU r z n) of W or, recurrent, of R lies there, in bytes: its matrix,
  // row-major [H, in], and its bias [H].
  struct Place {
    std::size_t matrix, bias;
  };
  virtual Place place(std::int64_t layer, int direction, int gate, bool recurrent) const = 0;
  // Of one pass; CudnnRefusal where it cannot be run. The last few sequences' answers are kept. Neither
  // this nor a pass creates descriptors, whatever the sequence.
  virtual CudnnSizes sizes(const Sequence& sequence, bool training) = 0;
  // CudnnRefusal where cuDNN says only now that it does not support this: nothing has been enqueued
  // then, and another path may run the pass. DeviceError when it fails, or when there is less room than
  // `sizes` says.
  virtual void forward(const CudnnForward& pass) = 0;
  // DeviceError whatever cuDNN says: a reserve is only for the path whose forward wrote it.
  virtual void backward(const CudnnBackward& pass) = 0;
};

}  // namespace rondo::cuda
