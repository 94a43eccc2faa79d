// Opening cuDNN and starting it on a device, and what is said where that fails. What needs a GPU is skipped
// without one.
#include <gtest/gtest.h>

#include <vector>

#include "cuda/cudnn_handle.h"
#include "cuda/devices.h"
#include "opened_cudnn.h"

namespace rondo::cuda {
namespace {

using testing::cudnn;
using testing::error_of;
using testing::expect_parts;

TEST(CudnnLibraryFile, SaysWhatIsMissing) {
  const auto refusal = [](const std::string& file) {
    return error_of<CudnnRefusal>([&] { const CudnnLibrary opened(file); });
  };
  const char* const advice =
      ": install cuDNN 9, or add the folder that has it (that of a Python wheel, say) to LD_LIBRARY_PATH";
  expect_parts(refusal("libcudnn_of_nowhere.so.9"),
               {"cuDNN cannot be loaded (libcudnn_of_nowhere.so.9: cannot open", advice});
  EXPECT_EQ(refusal(RONDO_OLD_CUDNN), std::string(RONDO_OLD_CUDNN " is cuDNN 8.9.7, expected 9.x") + advice);
  EXPECT_EQ(refusal(RONDO_NEW_CUDNN), std::string(RONDO_NEW_CUDNN " is cuDNN 10.2.1, expected 9.x") + advice);
  EXPECT_EQ(refusal(RONDO_EMPTY_CUDNN),
            std::string(RONDO_EMPTY_CUDNN " has no cudnnGetErrorString") + advice);
}

TEST(CudnnVersion, IsThatOfTheOpenedLibrary) {
  const std::size_t version = cudnn().library.version;
  EXPECT_EQ(version / 10000, static_cast<std::size_t>(CUDNN_MAJOR));
  EXPECT_EQ(cudnn_version(), std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) +
                                 "." + std::to_string(version % 100));
}

// cuDNN keeps the text of a failure until somebody reads it.
TEST(CudnnError, IsOfItsOwnCall) {
  const RnnDescriptor descriptor = create_rnn_descriptor(cudnn());
  const auto subject = [] { return std::string("this"); };
  const auto set = [&](int num_layers, cudnnRNNAlgo_t algorithm, cudnnDataType_t dtype) {
    cudnn().plan(subject, "set", cudnn().library.cudnnSetRNNDescriptor_v8, descriptor.get(), algorithm,
                 CUDNN_LSTM, CUDNN_RNN_DOUBLE_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, dtype, dtype,
                 CUDNN_FMA_MATH, 8, 8, 8, num_layers, nullptr, CUDNN_RNN_PADDED_IO_ENABLED);
  };
  EXPECT_EQ(error_of<CudnnRefusal>([&] {
              set(0, CUDNN_RNN_ALGO_STANDARD, CUDNN_DATA_FLOAT);
            }).rfind("cuDNN refuses this: set: CUDNN_STATUS_BAD_PARAM (", 0),
            0U);
  cudnn().library.cudnnSetRNNDataDescriptor(
      nullptr, CUDNN_DATA_FLOAT, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, 0, 0, 0, nullptr, nullptr);
  EXPECT_EQ(error_of<CudnnRefusal>([&] { set(1, CUDNN_RNN_ALGO_PERSIST_STATIC, CUDNN_DATA_DOUBLE); }),
            "cuDNN refuses this: set: CUDNN_STATUS_NOT_SUPPORTED");
}

std::string missing_gpu() {
  const DeviceInfo first = find_devices().front();
  return first.usable ? "" : to_string(first.device) + ": " + first.reason;
}

TEST(CudnnHandle, SaysThatThereIsNoGpu) {
  if (missing_gpu().empty()) GTEST_SKIP() << "this machine has " << find_devices().front().name;
  expect_parts(error_of<DeviceError>([] { CudnnHandle handle(0, nullptr); }), {"cuda:0: cuda", " failed: "});
  cudnnHandle_t handle = nullptr;
  const Cudnn on_stream{cudnn().library, 0, cudaStreamLegacy};
  const auto create = [&] { on_stream.call("cudnnCreate", on_stream.library.cudnnCreate, &handle); };
  const auto plan = [&] {
    on_stream.plan([] { return std::string("this"); }, "cudnnCreate", on_stream.library.cudnnCreate, &handle);
  };
  // CUDA itself says so, hence it is not taken for something that another path would do better.
  cudaError_t status = cudaStreamQuery(cudaStreamLegacy);
  cudaGetLastError();
  ASSERT_NE(status, cudaSuccess);
  for (const std::string& error : {error_of<DeviceError>(create), error_of<DeviceError>(plan)}) {
    expect_parts(error, {"cuda:0: cudnnCreate failed: CUDNN_STATUS_NOT_INITIALIZED (", "cudaGetDeviceCount",
                         cudaGetErrorString(status)});
  }
}

// Weights of every gate of a network, against sizes from the equations.
void expect_places(const CudnnNetwork& network, CudnnHandle& handle) {
  SCOPED_TRACE(describe(network));
  const std::unique_ptr<CudnnRnn> rnn = make_cudnn_rnn(handle, network);
  const auto h = network.hidden_size, bytes = element_bytes(network.dtype);
  std::vector<WeightRegion> regions;
  for (std::int64_t layer = 0; layer < network.num_layers; ++layer) {
    for (int direction = 0; direction < network.directions; ++direction) {
      for (const bool recurrent : {false, true}) {
        const std::int64_t in = recurrent ? h : layer == 0 ? network.input_size : network.directions * h;
        const auto matrix_bytes = static_cast<std::size_t>(h * in * bytes);
        const std::size_t first = rnn->place(layer, direction, 0, recurrent).matrix;
        for (int gate = 0; gate < num_gates(network.cell); ++gate) {
          const CudnnRnn::Place place = rnn->place(layer, direction, gate, recurrent);
          EXPECT_EQ(place.matrix, first + static_cast<std::size_t>(gate) * matrix_bytes) << "gate " << gate;
          regions.push_back({place.matrix, matrix_bytes});
          regions.push_back({place.bias, static_cast<std::size_t>(h * bytes)});
        }
      }
    }
  }
  EXPECT_NO_THROW(check_regions(regions, rnn->weight_bytes()));
}

TEST(CudnnWeights, HaveAPlaceForEveryGate) {
  if (const std::string missing = missing_gpu(); !missing.empty()) GTEST_SKIP() << missing;
  CudnnHandle handle(0, nullptr);
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBf16}) {
      for (const int directions : {1, 2}) {
        expect_places({.cell = cell,
                       .dtype = dtype,
                       .input_size = 5,
                       .hidden_size = 7,
                       .num_layers = 2,
                       .directions = directions},
                      handle);
      }
    }
  }
}

}  // namespace
}  // namespace rondo::cuda
