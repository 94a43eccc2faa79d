// Networks by cuDNN without a GPU: descriptors are cuDNN's own, but what takes a handle is a fake that notes
// what it is given, and so is the CUDA runtime.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "cuda/cudnn_handle.h"
#include "opened_cudnn.h"

namespace {
cudaError_t last_error = cudaSuccess;
}  // namespace
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t) { return "the device is lost"; }

namespace rondo::cuda {
namespace {

using testing::cudnn;
using testing::error_of;
using testing::expect_parts;
using Pointers = std::vector<const void*>;

struct DataOf {
  cudnnRNNDataLayout_t layout{};
  int t = 0, n = 0, width = 0;
  std::vector<int> lengths;
  bool operator==(const DataOf&) const = default;
};
DataOf read_back(cudnnRNNDataDescriptor_t descriptor) {
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
  std::vector<int> built;
  std::vector<std::string> passes;
  std::vector<Pointers> arrays;
  std::vector<std::array<std::size_t, 3>> bytes;  // weights, workspace, reserve
  DataOf x, y;
  std::vector<int> state;
};
Asked asked;

cudnnContext* const kHandle = reinterpret_cast<cudnnContext*>(0x40);
cudaStream_t const kStream = reinterpret_cast<cudaStream_t>(0x80);

std::int64_t width_of(int pseudo_layer, int id) {
  const CudnnNetwork& n = asked.network;
  if (id >= num_gates(n.cell)) return n.hidden_size;
  return pseudo_layer < n.directions ? n.input_size : n.directions * n.hidden_size;
}

// Matrix and bias by turns, last to first, so that no order is taken for granted.
std::size_t weights_after(int pseudo_layer, int id, std::size_t gap) {
  const CudnnNetwork& n = asked.network;
  const int ids = 2 * num_gates(n.cell), layers = static_cast<int>(n.num_layers) * n.directions;
  std::size_t at = 0;
  for (int other = layers * ids - 1; other > pseudo_layer * ids + id; --other) {
    at += static_cast<std::size_t>(n.hidden_size * (width_of(other / ids, other % ids) + 1)) * sizeof(float) +
          2 * gap;
  }
  return at;
}
std::size_t matrix_bytes(int pseudo_layer, int id) {
  return static_cast<std::size_t>(asked.network.hidden_size * width_of(pseudo_layer, id)) * sizeof(float);
}

cudnnStatus_t fake_weight_params(cudnnHandle_t handle, cudnnRNNDescriptor_t, int32_t pseudo_layer,
                                 size_t bytes, const void* base, int32_t id, cudnnTensorDescriptor_t matrix,
                                 void** matrix_at, cudnnTensorDescriptor_t bias, void** bias_at) {
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

cudnnStatus_t note(const char* name, cudnnRNNDataDescriptor_t x, cudnnRNNDataDescriptor_t y,
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

CudnnLibrary fake_library() {
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
  fake.cudnnBuildRNNDynamic = [](cudnnHandle_t, cudnnRNNDescriptor_t, int n) {
    asked.built.push_back(n);
    return CUDNN_STATUS_SUCCESS;
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

TEST_F(CudnnPasses, FindThePlacesOfWeights) {
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    CudnnNetwork network = lstm_;
    network.cell = cell;
    const auto rnn = make(network);
    EXPECT_EQ(rnn->weight_bytes(), asked.weight_bytes);
    const int gates = num_gates(cell);
    for (int i = 0; i < 2 * 2 * 2 * gates; ++i) {
      const int layer = i / (4 * gates), direction = i / (2 * gates) % 2, id = i % (2 * gates);
      const CudnnRnn::Place place = rnn->place(layer, direction, id % gates, id >= gates);
      const std::size_t expected = weights_after(layer * 2 + direction, id, asked.gap);
      EXPECT_EQ(place.matrix, expected) << i;
      EXPECT_EQ(place.bias, expected + matrix_bytes(layer * 2 + direction, id) + asked.gap) << i;
    }
  }
  expect_parts(error_of<CudnnRefusal>([&] { make(lstm_, 17); }), {"bytes of weights at", "weight space of"});
}

TEST_F(CudnnPasses, ForwardHandsOverEveryArray) {
  const auto rnn = make(lstm_);
  rnn->forward(forward_of(uniform_, false));
  rnn->forward(forward_of(uniform_, true));
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"infer", "train"}));
  EXPECT_EQ(asked.arrays[0], numbers({0, 2, 3, 4, 8, 5, 9, 1, 6, 0}));
  EXPECT_EQ(asked.arrays[1], numbers({0, 2, 3, 4, 8, 5, 9, 1, 6, 7}));
  // What was asked for, and not all the room that there is.
  EXPECT_EQ(asked.bytes[0], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 0}));
  EXPECT_EQ(asked.bytes[1], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 40030}));
  const auto layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
  EXPECT_TRUE(asked.x == (DataOf{layout, 4, 3, 5, {4, 4, 4}}));
  EXPECT_TRUE(asked.y == (DataOf{layout, 4, 3, 14, {4, 4, 4}}));
  EXPECT_EQ(asked.state, (std::vector<int>{4, 3, 7}));
}

TEST_F(CudnnPasses, BackwardGoesThroughTheDataFirst) {
  const auto rnn = make(lstm_);
  CudnnBackward pass = backward_of(uniform_);
  rnn->backward(pass);
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"data", "add weights"}));
  EXPECT_EQ(asked.arrays[0], numbers({0, 3, 10, 13, 4, 11, 14, 5, 12, 15, 1, 6, 7}));
  EXPECT_EQ(asked.arrays[1], numbers({0, 2, 4, 3, 16, 6, 7}));
  EXPECT_EQ(asked.bytes[0], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 40030}));
  EXPECT_EQ(asked.bytes[1], asked.bytes[0]);
  pass.dweights = nullptr;
  rnn->backward(pass);
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"data", "add weights", "data"}));
}

TEST_F(CudnnPasses, KeepTheLastSizes) {
  const auto rnn = make(lstm_);
  const auto sizes = [&](std::int64_t n, bool training) {
    return rnn->sizes({.t = 2, .n = n, .step_stride = n}, training);
  };
  for (const bool training : {false, true, false, true}) {
    for (std::int64_t n = 2; n < 18; ++n) {
      EXPECT_EQ(sizes(n, training).workspace, static_cast<std::size_t>(2000 + n));
      EXPECT_EQ(sizes(n, training).reserve, static_cast<std::size_t>(training ? 20000 + 10 * n : 0));
    }
  }
  EXPECT_EQ(asked.sizes, 32);
  sizes(2, true);    // now 3 is the one that was used longest ago
  sizes(100, true);  // takes its place
  EXPECT_EQ(asked.sizes, 33);
  for (std::int64_t n = 4; n < 18; ++n) sizes(n, true);
  sizes(2, true);
  EXPECT_EQ(asked.sizes, 33);
  sizes(3, true);
  EXPECT_EQ(asked.sizes, 34);
  // The other layout is another sequence.
  rnn->sizes({.t = 2, .n = 2, .step_stride = 1, .row_stride = 2}, true);
  EXPECT_EQ(asked.sizes, 35);
}

TEST_F(CudnnPasses, RaggedLengthsAreThoseOfThePass) {
  CudnnNetwork network = lstm_;
  network.ragged = true;
  const auto rnn = make(network);
  const std::int64_t first[] = {0, 3, 5, 6}, second[] = {0, 3, 6, 6}, third[] = {0, 3, 4, 5};
  rnn->sizes({.t = 3, .n = 3, .offsets = first}, true);
  const auto layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
  const Sequence one{.t = 3, .n = 3, .offsets = first}, other{.t = 3, .n = 3, .offsets = second};
  rnn->forward(forward_of(one, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 2, 1}}));
  rnn->forward(forward_of(other, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 2, 3, 5, {2, 2, 2}}));
  EXPECT_TRUE(asked.y == (DataOf{layout, 2, 3, 14, {2, 2, 2}}));
  EXPECT_EQ(asked.bytes.back()[1], 2003U);
  rnn->backward(backward_of(one));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 2, 1}}));
  rnn->forward(forward_of({.t = 3, .n = 3, .offsets = third}, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 1, 1}}));
}

TEST_F(CudnnPasses, NothingIsCalledWithoutSteps) {
  CudnnNetwork network = lstm_;
  network.ragged = true;
  const auto rnn = make(network);
  const std::int64_t none[] = {0, 0, 0};
  const Sequence empty{.t = 2, .n = 0, .offsets = none};
  EXPECT_EQ(rnn->sizes(empty, true).workspace, 0U);
  rnn->forward(forward_of(empty, true));
  rnn->backward(backward_of(empty));
  EXPECT_EQ(asked.passes, std::vector<std::string>{});
}

TEST_F(CudnnPasses, DynamicNetworksAreCompiledForEachBatch) {
  CudnnNetwork network = lstm_;
  network.algorithm = CudnnAlgorithm::kPersistDynamic;
  const auto rnn = make(network);
  for (const std::int64_t n : {3, 5, 3, 5}) rnn->sizes({.t = 4, .n = n, .step_stride = n}, true);
  rnn->forward(forward_of(uniform_, true));
  EXPECT_EQ(asked.built, (std::vector<int>{3, 5}));
  // A place that is taken over by another length keeps what was compiled for its batch.
  asked.built = {};
  for (std::int64_t t = 5; t < 21; ++t) rnn->sizes({.t = t, .n = 5, .step_stride = 5}, true);
  EXPECT_EQ(asked.built, std::vector<int>(15, 5));
}

TEST_F(CudnnPasses, TooLittleRoomIsAnError) {
  const auto rnn = make(lstm_);
  CudnnForward forward = forward_of(uniform_, true);
  forward.room = {4003, 40029};
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward); }),
            "cuda:0: cudnnRNNForward needs 4003 bytes of workspace and 40030 of reserve, got 4003 and 40029");
  CudnnBackward backward = backward_of(uniform_);
  backward.room = {4002, 40030};
  expect_parts(error_of<DeviceError>([&] { rnn->backward(backward); }),
               {"cuda:0: cudnnRNNBackwardData_v8 needs", "got 4002 and 40030"});
  forward.room = {4003, 40030};
  EXPECT_NO_THROW(rnn->forward(forward));
}

TEST_F(CudnnPasses, RefusalsAreForPlanning) {
  const auto rnn = make(lstm_);
  asked.answer = CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT;
  const std::string text =
      "cuDNN refuses lstm I=5 H=7 L=2 D=2 f32 by its algorithm standard with T=4 N=3: "
      "cudnnGetRNNTempSpaceSizes: CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT";
  EXPECT_EQ(error_of<CudnnRefusal>([&] { rnn->sizes(uniform_, true); }), text);
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(uniform_, true)); }), "cuda:0: " + text);
  const Sequence large{.t = 65536, .n = 1, .step_stride = 1};
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(large, true)); }),
            "cuda:0: T is 65536, cuDNN takes 1 to 65535");
  // What was refused is asked again, and not taken for known.
  asked.answer = CUDNN_STATUS_SUCCESS;
  EXPECT_EQ(rnn->sizes(uniform_, true).workspace, 4003U);
  asked.answer = CUDNN_STATUS_INTERNAL_ERROR;
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->sizes(uniform_, false); }),
            "cuda:0: cudnnGetRNNTempSpaceSizes failed: CUDNN_STATUS_INTERNAL_ERROR");
}

TEST_F(CudnnPasses, FailuresNameTheCall) {
  const auto rnn = make(lstm_);
  rnn->sizes(uniform_, true);
  asked.answer = CUDNN_STATUS_NOT_SUPPORTED;
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(uniform_, true)); }),
            "cuda:0: cudnnRNNForward failed: CUDNN_STATUS_NOT_SUPPORTED");
  asked.answer = CUDNN_STATUS_EXECUTION_FAILED;
  last_error = cudaErrorIllegalAddress;
  expect_parts(error_of<DeviceError>([&] { rnn->backward(backward_of(uniform_)); }),
               {"cuda:0: cudnnRNNBackwardData_v8 failed: CUDNN_STATUS_EXECUTION_FAILED; the device is lost",
                "restart the process"});
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"train", "data"}));
}

}  // namespace
}  // namespace rondo::cuda
