// Arrays of a GPU by a CUDA runtime that is a fake on the host: what it is asked, and what its errors become.
#include "bench/device_arrays.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct FakeCuda {
  std::string calls;
  std::string failing;  // the call that fails
  std::set<void*> blocks;
  int graphs = 0, instances = 0;
  bool capturing = false;
};
FakeCuda fake;

cudaError_t note(const std::string& call) {
  fake.calls += call + " ";
  return call == fake.failing ? cudaErrorMemoryAllocation : cudaSuccess;
}
template <class Handle>
Handle handle(std::uintptr_t value) {
  return reinterpret_cast<Handle>(value);
}

}  // namespace

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13010, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 12040, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return note("device" + std::to_string(device)); }
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "as the test has it"; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = handle<cudaStream_t>(0x10);
  return note(flags == cudaStreamNonBlocking ? "stream" : "blocking-stream");
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return note("~stream"); }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return note("wait"); }
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (const cudaError_t status = note("malloc"); status != cudaSuccess) return status;
  *memory = std::malloc(bytes);
  std::memset(*memory, 0xFF, bytes);
  fake.blocks.insert(*memory);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (fake.blocks.erase(memory) == 1) std::free(memory);
  return note("free");
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  fake.capturing = true;
  return note("begin");
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  fake.capturing = false;
  ++fake.graphs;
  *graph = handle<cudaGraph_t>(0x20);
  return note("end");
}
cudaError_t cudaGraphDestroy(cudaGraph_t) {
  --fake.graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t, unsigned long long) {
  ++fake.instances;
  *exec = handle<cudaGraphExec_t>(0x30);
  return note("instantiate");
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) {
  --fake.instances;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return note("launch"); }

namespace bench {
namespace {

constexpr rondo::Device kGpu{rondo::Device::Kind::kCuda, 1};

class CudaArrays : public ::testing::Test {
 protected:
  void SetUp() override { fake = {}; }
};

template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(CudaArrays, HaveTheVersionsAsTheyAreCounted) {
  EXPECT_EQ(gpu_versions().driver, "13.1");
  EXPECT_EQ(gpu_versions().runtime, "12.4");
}

TEST_F(CudaArrays, HaveTheHostsValuesOnTheirDeviceAndAStream) {
  const auto gpu = make_cuda_arrays(kGpu), host = make_device_arrays(rondo::Device{});
  EXPECT_NE(gpu->stream(), nullptr);
  EXPECT_EQ(host->stream(), nullptr);
  const rondo::Shape shape{3, 400000};  // longer than what is drawn
  for (const rondo::DType dtype :
       {rondo::DType::kF32, rondo::DType::kF64, rondo::DType::kF16, rondo::DType::kBf16}) {
    const rondo::TensorView a = gpu->make_random(dtype, shape, 0.5, 7);
    const rondo::TensorView b = host->make_random(dtype, shape, 0.5, 7);
    EXPECT_EQ(a.device, kGpu);
    EXPECT_EQ(b.device, rondo::Device{});
    const auto bytes = static_cast<std::size_t>(shape.count() * rondo::element_bytes(dtype));
    EXPECT_EQ(std::memcmp(a.data, b.data, bytes), 0) << to_string(dtype);
    EXPECT_NE(std::memcmp(a.data, host->make_random(dtype, shape, 0.5, 8).data, bytes), 0);
  }
  const auto values = host->make_random(rondo::DType::kF32, shape, 0.5, 7).span<float>();
  float least = 0, most = 0;
  for (const float value : values) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
  EXPECT_TRUE(least >= -0.5F && least < -0.49F && most <= 0.5F && most > 0.49F) << least << " " << most;
  for (const std::byte byte : gpu->make_bytes(1000)) ASSERT_EQ(byte, std::byte{0});
}

TEST_F(CudaArrays, CaptureOnceAndReplay) {
  {
    const auto gpu = make_cuda_arrays(kGpu);
    gpu->make_bytes(8);
    bool captured = false;
    gpu->capture([&] { captured = fake.capturing; });
    EXPECT_TRUE(captured);
    gpu->replay();
    gpu->replay();
    gpu->synchronize();
    gpu->capture([] {});
    EXPECT_EQ(fake.instances, 1) << "the one before is forgotten";
  }
  EXPECT_EQ(fake.calls,
            "device1 stream malloc begin end instantiate launch launch wait begin end instantiate wait free "
            "~stream ");
  EXPECT_EQ(fake.graphs, 0);
  EXPECT_EQ(fake.instances, 0);
  EXPECT_TRUE(fake.blocks.empty());
}

TEST_F(CudaArrays, EndACaptureThatFails) {
  const auto gpu = make_cuda_arrays(kGpu);
  EXPECT_EQ(error_of([&] { gpu->capture([] { throw std::runtime_error("not in a graph"); }); }),
            "not in a graph");
  EXPECT_FALSE(fake.capturing);
  EXPECT_EQ(fake.graphs, 0);
  fake.failing = "instantiate";
  EXPECT_EQ(error_of([&] { gpu->capture([] {}); }),
            "cuda:1: cudaGraphInstantiate failed: as the test has it");
  EXPECT_EQ(fake.graphs, 0);
}

TEST_F(CudaArrays, SayWhatFailed) {
  fake.failing = "device1";
  EXPECT_EQ(error_of([] { make_cuda_arrays(kGpu); }), "cuda:1: cudaSetDevice failed: as the test has it");
  fake.failing = "malloc";
  EXPECT_EQ(error_of([] { make_cuda_arrays(kGpu)->make_bytes(12); }),
            "cuda:1: cudaMalloc of 12 bytes failed: as the test has it");
}

}  // namespace
}  // namespace bench
