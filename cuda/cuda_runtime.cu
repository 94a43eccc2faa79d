// Memory, copies, launches and products on one device.
#include "cuda/cuda_runtime.h"

#include <vector>

#include "cuda/blas.h"
#include "cuda/cuda_error.h"
#include "cuda/cudnn_handle.h"
#include "cuda/for_each-inl.h"
#include "rondo/device.h"

namespace rondo::cuda {
namespace {

template <class T>
struct Zero {
  T* c;
  std::int64_t ldc;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const { c[row * ldc + column] = 0; }
};

// A blocking stream: the legacy default stream waits for it and it for that one, so that a caller who works
// there, as most do, hands over device memory and reads results without synchronising.
cudaStream_t make_stream(int device) {
  cudaStream_t stream = nullptr;
  check(device, "cudaStreamCreate", cudaStreamCreate(&stream));
  return stream;
}

// A pool of its own leaves the settings of the device's default pool, which are the program's, alone.
cudaMemPool_t make_pool(int device) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, device};
  cudaMemPool_t pool = nullptr;
  check(device, "cudaMemPoolCreate", cudaMemPoolCreate(&pool, &properties));
  return pool;
}

}  // namespace

CudaRuntime::CudaRuntime(int device, cudaStream_t stream)
    : device_(device), stream_(stream), lane_{device, stream} {
  const CurrentDevice current(device_);
  if (stream == nullptr) {
    own_stream_.reset(make_stream(device_));
    lane_.stream = stream_ = own_stream_.get();
  }
  expect_no_capture("a plan cannot be made in a graph: make it before the capture");
  int shared = 0;
  check(device_, "cudaDeviceGetAttribute",
        cudaDeviceGetAttribute(&traits_.multiprocessors, cudaDevAttrMultiProcessorCount, device_));
  check(device_, "cudaDeviceGetAttribute",
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device_));
  traits_.shared_bytes = shared;
  pool_.reset(make_pool(device_));
  std::uint64_t keep_all = UINT64_MAX;  // freed memory is taken again without asking the system
  check(device_, "cudaMemPoolSetAttribute",
        cudaMemPoolSetAttribute(pool_.get(), cudaMemPoolAttrReleaseThreshold, &keep_all));
  lane_.make_events();
  // Fails here, not in a pass.
  check(device_, "cudaEventRecord on the plan's stream, which has to be one of this device,",
        cudaEventRecord(lane_.events[0], stream_));

  // Whether this build has code for the device is found now, not in a pass.
  cudaFuncAttributes attributes;
  check(device_, "cudaFuncGetAttributes",
        cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&for_each_kernel<Zero<float>>)));

  void* workspace = allocate(Blas::kWorkspaceBytes);
  try {
    blas_ = std::make_unique<Blas>(device_, stream_, workspace);
  } catch (...) {
    release(workspace);
    throw;
  }
}

CudaRuntime::~CudaRuntime() {
  void* workspace = blas_ ? blas_->workspace() : nullptr;
  try {
    const CurrentDevice current(device_);
    blas_.reset();
  } catch (...) {
    // As in release.
  }
  release(workspace);
}

void CudaRuntime::expect_no_capture(const char* why) const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(device_, "cudaStreamIsCapturing", cudaStreamIsCapturing(stream_, &status));
  if (status == cudaStreamCaptureStatusNone) return;
  throw DeviceError(to_string(Device{Device::Kind::kCuda, device_}) + ": the stream is being captured, and " +
                    why);
}

void* CudaRuntime::allocate(std::size_t bytes) {
  const CurrentDevice current(device_);
  expect_no_capture("memory cannot be taken in a graph: plan and pack before the capture");
  void* memory = nullptr;
  const std::size_t asked = bytes > 0 ? bytes : 1;
  const cudaError_t status = cudaMallocFromPoolAsync(&memory, asked, pool_.get(), stream_);
  if (status != cudaSuccess) {
    throw_cuda_error(device_, "cudaMallocFromPoolAsync of " + std::to_string(bytes) + " bytes", status);
  }
  return memory;
}

void CudaRuntime::release(void* memory) noexcept {
  if (memory == nullptr) return;
  try {
    const CurrentDevice current(device_);
    if (cudaFreeAsync(memory, stream_) != cudaSuccess) cudaGetLastError();
  } catch (...) {
    // A device that is lost reports it at the next call that can throw.
  }
}

void CudaRuntime::trim() {
  const CurrentDevice current(device_);
  check(device_, "cudaStreamSynchronize", cudaStreamSynchronize(stream_));
  check(device_, "cudaMemPoolTrimTo", cudaMemPoolTrimTo(pool_.get(), 0));
}

template <class T>
void CudaRuntime::gemm(const Gemm<T>& product) {
  if (product.m == 0 || product.n == 0) return;
  if (product.k == 0) {
    if (!product.accumulate) for_each(product.m, product.n, Zero<T>{product.c, product.ldc});
    return;
  }
  const CurrentDevice current(device_);
  const std::lock_guard lock(in_blas_);
  blas_->gemm(column_major(product), T(product.accumulate ? 1 : 0));
}
template void CudaRuntime::gemm(const Gemm<float>&);
template void CudaRuntime::gemm(const Gemm<double>&);

void CudaRuntime::launch(const void* kernel, const Launch& shape, void** arguments) {
  const CurrentDevice current(device_);
  // Unlike <<<>>> with cudaGetLastError, this reports no error that somebody else left behind.
  check(device_, "cudaLaunchKernel",
        cudaLaunchKernel(kernel, dim3(shape.grid_x, shape.grid_y), dim3(shape.block_x, shape.block_y),
                         arguments, 0, stream_));
}

void CudaRuntime::reserve(std::size_t bytes) {
  const CurrentDevice current(device_);
  const std::lock_guard lock(in_staging_);
  staging_.reserve(bytes);
}

void CudaRuntime::send(void* to, const void* from_host, std::size_t bytes) {
  if (bytes == 0) return;
  const CurrentDevice current(device_);
  expect_no_capture(
      "a graph would send whatever the host's memory holds by then: calls with lengths cannot be"
      " captured");
  const std::lock_guard lock(in_staging_);
  staging_.send(to, from_host, bytes);
}

cudaMemoryType CudaRuntime::place_of(const void* memory) const {
  cudaPointerAttributes attributes{};
  check(device_, "cudaPointerGetAttributes", cudaPointerGetAttributes(&attributes, memory));
  return attributes.type;
}

void CudaRuntime::zero(void* memory, std::size_t bytes) {
  const CurrentDevice current(device_);
  check(device_, "cudaMemsetAsync", cudaMemsetAsync(memory, 0, bytes, stream_));
}

void CudaRuntime::copy(std::span<const Copy> copies) {
  const CurrentDevice current(device_);
  const std::lock_guard lock(in_staging_);
  staging_.reserve(Staging<Lane>::kChunkBytes);  // the first time
  std::vector<Copy> fetched;
  bool synchronize = false;
  for (const Copy& c : copies) {
    if (c.bytes == 0) continue;
    const cudaMemoryType from = place_of(c.from), to = place_of(c.to);
    if (from == cudaMemoryTypeUnregistered) {
      staging_.send_chunks(c);
    } else if (to == cudaMemoryTypeUnregistered) {
      fetched.push_back(c);
    } else {
      lane_.copy(c.to, c.from, c.bytes);
      // Memory that the host may read or write once this returns, registered or managed.
      synchronize = synchronize || from != cudaMemoryTypeDevice || to != cudaMemoryTypeDevice;
    }
  }
  staging_.fetch(fetched);
  if (synchronize) check(device_, "cudaStreamSynchronize", cudaStreamSynchronize(stream_));
}

CudaRuntime::Lane::~Lane() {
  for (cudaEvent_t event : events) {
    if (event != nullptr) cudaEventDestroy(event);
  }
}
void CudaRuntime::Lane::make_events() {
  for (cudaEvent_t& event : events) {
    check(device, "cudaEventCreate", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  }
}
std::byte* CudaRuntime::Lane::allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaSuccess) return static_cast<std::byte*>(memory);
  throw_cuda_error(device, "cudaMallocHost of " + std::to_string(bytes) + " bytes", status);
}
void CudaRuntime::Lane::release_pinned(std::byte* memory) noexcept {
  if (memory != nullptr && cudaFreeHost(memory) != cudaSuccess) cudaGetLastError();
}
void CudaRuntime::Lane::copy(void* to, const void* from, std::size_t bytes) {
  check(device, "cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
}
void CudaRuntime::Lane::mark(int slot) {
  check(device, "cudaEventRecord", cudaEventRecord(events[slot], stream));
}
void CudaRuntime::Lane::wait(int slot) {
  if (events[slot] == nullptr) return;
  check(device, "cudaEventSynchronize", cudaEventSynchronize(events[slot]));
}

std::unique_ptr<CudnnRnn> CudaRuntime::make_cudnn_rnn(const CudnnNetwork& network) {
  const std::lock_guard lock(opening_cudnn_);
  if (cudnn_ == nullptr) cudnn_ = std::make_unique<CudnnHandle>(device_, stream_);
  return rondo::cuda::make_cudnn_rnn(*cudnn_, network);
}

}  // namespace rondo::cuda
