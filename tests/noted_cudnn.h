// cuDNN without a GPU: descriptors are cuDNN's own, but what takes a handle is a fake that notes what it is
// given, and so is the CUDA runtime.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "cuda/cudnn_handle.h"
#include "cudnn/fake_cuda.h"
#include "opened_cudnn.h"

namespace rondo::cuda {

using testing::cudnn;
using testing::fake_cuda;
using testing::kStream;
using Pointers = std::vector<const void*>;

struct DataOf {
  cudnnRNNDataLayout_t layout{};
  int t = 0, n = 0, width = 0;
  std::vector<int> lengths;
  bool operator==(const DataOf&) const = default;
};
inline DataOf read_back(cudnnRNNDataDescriptor_t descriptor) {
  DataOf d;
  d.lengths.resize(64);
  cudnnDataType_t dtype{};
  double padding = 0;
  testing::find_function(&::cudnnGetRNNDataDescriptor, "cudnnGetRNNDataDescriptor")(
      descriptor, &dtype, &d.layout, &d.t, &d.n, &d.width, 64, d.lengths.data(), &padding);
  d.lengths.resize(static_cast<std::size_t>(d.n));
  return d;
}

// What the fake was asked, and how it answers.
struct Asked {
  CudnnNetwork network;
  std::size_t weight_bytes = 0;
  std::size_t gap = 16;  // after each matrix or bias
  cudnnStatus_t answer = CUDNN_STATUS_SUCCESS;
  int sizes = 0;
  int created = 0;  // descriptors
  std::vector<std::string> passes;
  std::vector<Pointers> arrays;
  std::vector<std::array<std::size_t, 3>> bytes;  // weights, workspace, reserve
  DataOf x, y;
  std::vector<int> state;
};
inline Asked asked;

cudnnContext* const kHandle = reinterpret_cast<cudnnContext*>(0x40);

inline std::int64_t width_of(int pseudo_layer, int id) {
  const CudnnNetwork& n = asked.network;
  if (id >= num_gates(n.cell)) return n.hidden_size;
  return pseudo_layer < n.directions ? n.input_size : n.directions * n.hidden_size;
}

// Matrix and bias by turns, last to first, so that no order is taken for granted.
inline std::size_t weights_after(int pseudo_layer, int id, std::size_t gap) {
  const CudnnNetwork& n = asked.network;
  const int ids = 2 * num_gates(n.cell), layers = static_cast<int>(n.num_layers) * n.directions;
  std::size_t at = 0;
  for (int other = layers * ids - 1; other > pseudo_layer * ids + id; --other) {
    at += static_cast<std::size_t>(n.hidden_size * (width_of(other / ids, other % ids) + 1)) * sizeof(float) +
          2 * gap;
  }
  return at;
}
inline std::size_t matrix_bytes(int pseudo_layer, int id) {
  return static_cast<std::size_t>(asked.network.hidden_size * width_of(pseudo_layer, id)) * sizeof(float);
}

inline cudnnStatus_t fake_weight_params(cudnnHandle_t handle, cudnnRNNDescriptor_t, int32_t pseudo_layer,
                                        size_t bytes, const void* base, int32_t id,
                                        cudnnTensorDescriptor_t matrix, void** matrix_at,
                                        cudnnTensorDescriptor_t bias, void** bias_at) {
  EXPECT_EQ(handle, kHandle);
  EXPECT_EQ(bytes, asked.weight_bytes);
  EXPECT_NE(base, nullptr);
  const int h = static_cast<int>(asked.network.hidden_size);
  const int in = static_cast<int>(width_of(pseudo_layer, id));
  const auto set = [](cudnnTensorDescriptor_t descriptor, int rows, int columns) {
    const int sizes[] = {1, rows, columns}, strides[] = {rows * columns, columns, 1};
    cudnn().library.cudnnSetTensorNdDescriptor(descriptor, CUDNN_DATA_FLOAT, 3, sizes, strides);
  };
  set(matrix, h, in);
  set(bias, h, 1);
  auto* const at =
      const_cast<char*>(static_cast<const char*>(base)) + weights_after(pseudo_layer, id, asked.gap);
  *matrix_at = at;
  *bias_at = at + matrix_bytes(pseudo_layer, id) + asked.gap;
  return CUDNN_STATUS_SUCCESS;
}

inline cudnnStatus_t note(const char* name, cudnnRNNDataDescriptor_t x, cudnnRNNDataDescriptor_t y,
                          cudnnTensorDescriptor_t state, const Pointers& arrays,
                          const std::array<std::size_t, 3>& bytes) {
  asked.passes.push_back(name);
  asked.arrays.push_back(arrays);
  asked.bytes.push_back(bytes);
  asked.x = read_back(x);
  asked.y = read_back(y);
  int rank = 0, strides[3];
  cudnnDataType_t dtype{};
  asked.state.resize(3);
  cudnn().library.cudnnGetTensorNdDescriptor(state, 3, &dtype, &rank, asked.state.data(), strides);
  return asked.answer;
}

inline CudnnLibrary fake_library() {
  CudnnLibrary fake = cudnn().library;
  fake.cudnnCreate = [](cudnnHandle_t* handle) {
    *handle = kHandle;
    return CUDNN_STATUS_SUCCESS;
  };
  fake.cudnnDestroy = [](cudnnHandle_t) { return CUDNN_STATUS_SUCCESS; };
  fake.cudnnSetStream = [](cudnnHandle_t handle, cudaStream_t stream) {
    return handle == kHandle && stream == kStream ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
  };
  fake.cudnnGetRNNWeightSpaceSize = [](cudnnHandle_t, cudnnRNNDescriptor_t, size_t* bytes) {
    *bytes = asked.weight_bytes;
    return CUDNN_STATUS_SUCCESS;
  };
  fake.cudnnGetRNNWeightParams = fake_weight_params;
  fake.cudnnCreateRNNDescriptor = [](cudnnRNNDescriptor_t* made) {
    ++asked.created;
    return cudnn().library.cudnnCreateRNNDescriptor(made);
  };
  fake.cudnnCreateRNNDataDescriptor = [](cudnnRNNDataDescriptor_t* made) {
    ++asked.created;
    return cudnn().library.cudnnCreateRNNDataDescriptor(made);
  };
  fake.cudnnCreateTensorDescriptor = [](cudnnTensorDescriptor_t* made) {
    ++asked.created;
    return cudnn().library.cudnnCreateTensorDescriptor(made);
  };
  fake.cudnnGetRNNTempSpaceSizes = [](cudnnHandle_t, cudnnRNNDescriptor_t, cudnnForwardMode_t mode,
                                      cudnnRNNDataDescriptor_t x, size_t* workspace, size_t* reserve) {
    ++asked.sizes;
    const DataOf d = read_back(x);
    *workspace = static_cast<std::size_t>(1000 * d.t + d.n);
    *reserve = mode == CUDNN_FWD_MODE_TRAINING ? *workspace * 10 : 0;
    return asked.answer;
  };
  fake.cudnnRNNForward = [](cudnnHandle_t, cudnnRNNDescriptor_t, cudnnForwardMode_t mode,
                            const int32_t* lengths, cudnnRNNDataDescriptor_t x_of, const void* x,
                            cudnnRNNDataDescriptor_t y_of, void* y, cudnnTensorDescriptor_t h_of,
                            const void* h0, void* h_n, cudnnTensorDescriptor_t c_of, const void* c0,
                            void* c_n, size_t weight_bytes, const void* weights, size_t workspace_bytes,
                            void* workspace, size_t reserve_bytes, void* reserve) {
    EXPECT_EQ(h_of, c_of);
    return note(mode == CUDNN_FWD_MODE_TRAINING ? "train" : "infer", x_of, y_of, h_of,
                {lengths, x, y, h0, h_n, c0, c_n, weights, workspace, reserve},
                {weight_bytes, workspace_bytes, reserve_bytes});
  };
  fake.cudnnRNNBackwardData_v8 =
      [](cudnnHandle_t, cudnnRNNDescriptor_t, const int32_t* lengths, cudnnRNNDataDescriptor_t y_of,
         const void* y, const void* dy, cudnnRNNDataDescriptor_t x_of, void* dx, cudnnTensorDescriptor_t h_of,
         const void* h0, const void* dh_n, void* dh0, cudnnTensorDescriptor_t c_of, const void* c0,
         const void* dc_n, void* dc0, size_t weight_bytes, const void* weights, size_t workspace_bytes,
         void* workspace, size_t reserve_bytes, void* reserve) {
        EXPECT_EQ(h_of, c_of);
        return note("data", x_of, y_of, h_of,
                    {lengths, y, dy, dx, h0, dh_n, dh0, c0, dc_n, dc0, weights, workspace, reserve},
                    {weight_bytes, workspace_bytes, reserve_bytes});
      };
  fake.cudnnRNNBackwardWeights_v8 =
      [](cudnnHandle_t, cudnnRNNDescriptor_t, cudnnWgradMode_t mode, const int32_t* lengths,
         cudnnRNNDataDescriptor_t x_of, const void* x, cudnnTensorDescriptor_t h_of, const void* h0,
         cudnnRNNDataDescriptor_t y_of, const void* y, size_t weight_bytes, void* dweights,
         size_t workspace_bytes, void* workspace, size_t reserve_bytes, void* reserve) {
        return note(mode == CUDNN_WGRAD_MODE_ADD ? "add weights" : "set weights", x_of, y_of, h_of,
                    {lengths, x, h0, y, dweights, workspace, reserve},
                    {weight_bytes, workspace_bytes, reserve_bytes});
      };
  return fake;
}

class CudnnPasses : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(fake_cuda.last_error, cudaSuccess) << "an error was left for somebody else's check";
    fake_cuda = {};
  }
  std::unique_ptr<CudnnRnn> make(const CudnnNetwork& network, std::size_t missing_bytes = 0) {
    asked = {.network = network};
    asked.weight_bytes = weights_after(-1, 2 * num_gates(network.cell) - 1, asked.gap) - missing_bytes;
    return make_cudnn_rnn(handle_, network);
  }
  // An address for each array of a pass; none is read.
  template <class T>
  T* array(std::uintptr_t number) {
    return reinterpret_cast<T*>(number * 4096);
  }
  CudnnPass pass(const Sequence& sequence, bool training) {
    return {.sequence = sequence,
            .weights = array<const void>(1),
            .x = array<const void>(2),
            .y = array<void>(3),
            .h0 = array<const void>(4),
            .c0 = array<const void>(5),
            .workspace = array<void>(6),
            .reserve = training ? array<void>(7) : nullptr,
            .room = {1 << 20, 1 << 20}};
  }
  CudnnForward forward_of(const Sequence& sequence, bool training) {
    return {pass(sequence, training), array<void>(8), array<void>(9)};
  }
  CudnnBackward backward_of(const Sequence& sequence) {
    return {pass(sequence, true), array<const void>(10), array<const void>(11), array<const void>(12),
            array<void>(13),      array<void>(14),       array<void>(15),       array<void>(16)};
  }
  Pointers numbers(std::initializer_list<std::uintptr_t> all) {
    Pointers pointers;
    for (const std::uintptr_t number : all) pointers.push_back(array<const void>(number));
    return pointers;
  }

  const CudnnLibrary library_ = fake_library();
  CudnnHandle handle_{0, kStream, library_};
  const CudnnNetwork lstm_{.input_size = 5, .hidden_size = 7, .num_layers = 2, .directions = 2};
  const Sequence uniform_{.t = 4, .n = 3, .step_stride = 3};
};

}  // namespace rondo::cuda
