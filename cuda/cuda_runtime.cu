// Memory, copies, launches and products on one device. The only file that includes cuBLAS.
#include "cuda/cuda_runtime.h"

#include <cublas_v2.h>

#include "cuda/column_major.h"
#include "cuda/cuda_error.h"
#include "cuda/cudnn_handle.h"
#include "cuda/for_each-inl.h"
#include "rondo/device.h"

namespace rondo::cuda {
namespace {

// What cuBLAS's documentation recommends on Hopper; less on others, where more does no harm.
constexpr std::size_t kBlasWorkspaceBytes = std::size_t{32} << 20;

void check_blas(int device, const std::string& call, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::string text = cublasGetStatusString(status);
  // cuBLAS only says that something failed; what it was, the runtime may still know.
  if (const cudaError_t cause = cudaGetLastError(); cause != cudaSuccess) {
    text += std::string(" (") + cudaGetErrorString(cause) + ")" + restart_notice(cause);
  }
  throw DeviceError(to_string(Device{Device::Kind::kCuda, device}) + ": " + call + " failed: " + text);
}

cublasStatus_t call_blas(cublasHandle_t handle, const ColumnMajorGemm<float>& g, float beta) {
  const float alpha = 1;
  return cublasSgemm_64(handle, g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                        g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, g.m, g.n, g.k, &alpha, g.a, g.lda, g.b,
                        g.ldb, &beta, g.c, g.ldc);
}
cublasStatus_t call_blas(cublasHandle_t handle, const ColumnMajorGemm<double>& g, double beta) {
  const double alpha = 1;
  return cublasDgemm_64(handle, g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                        g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, g.m, g.n, g.k, &alpha, g.a, g.lda, g.b,
                        g.ldb, &beta, g.c, g.ldc);
}

template <class T>
struct Zero {
  T* c;
  std::int64_t ldc;
  RONDO_CELL_FN void operator()(std::int64_t row, std::int64_t column) const { c[row * ldc + column] = 0; }
};

}  // namespace

struct CudaRuntime::Blas {
  Blas(int device, cudaStream_t stream, void* memory) : workspace(memory) {
    check_blas(device, "cublasCreate", cublasCreate(&handle));
    try {
      // In this order: setting the stream puts cuBLAS's own workspace back, one that other streams share.
      check_blas(device, "cublasSetStream", cublasSetStream(handle, stream));
      check_blas(device, "cublasSetWorkspace", cublasSetWorkspace(handle, workspace, kBlasWorkspaceBytes));
      // f32 is IEEE f32: no TF32, and no emulation, which cuBLAS 13 can be told to use from the environment.
      check_blas(device, "cublasSetMathMode", cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH));
      check_blas(device, "cublasSetAtomicsMode", cublasSetAtomicsMode(handle, CUBLAS_ATOMICS_NOT_ALLOWED));
    } catch (...) {
      cublasDestroy(handle);
      throw;
    }
  }
  ~Blas() { cublasDestroy(handle); }
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  cublasHandle_t handle = nullptr;
  void* workspace;
};

CudaRuntime::CudaRuntime(int device) : device_(device) {
  const CurrentDevice current(device_);
  // A blocking stream: the legacy default stream waits for it and it for that one, so that a caller who
  // works there, as most do, hands over device memory and reads results without synchronising.
  cudaStream_t stream = nullptr;
  check(device_, "cudaStreamCreate", cudaStreamCreate(&stream));
  stream_.reset(stream);

  // A pool of its own leaves the settings of the device's default pool, which are the program's, alone.
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, device_};
  cudaMemPool_t pool = nullptr;
  check(device_, "cudaMemPoolCreate", cudaMemPoolCreate(&pool, &properties));
  pool_.reset(pool);
  std::uint64_t keep_all = UINT64_MAX;  // freed memory is taken again without asking the system
  check(device_, "cudaMemPoolSetAttribute",
        cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep_all));

  // Whether this build has code for the device is found now, not in a pass.
  cudaFuncAttributes attributes;
  check(device_, "cudaFuncGetAttributes",
        cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&for_each_kernel<Zero<float>>)));

  void* workspace = allocate(kBlasWorkspaceBytes);
  try {
    blas_ = std::make_unique<Blas>(device_, stream, workspace);
  } catch (...) {
    release(workspace);
    throw;
  }
}

CudaRuntime::~CudaRuntime() {
  void* workspace = blas_ ? blas_->workspace : nullptr;
  blas_.reset();
  release(workspace);
}

void* CudaRuntime::allocate(std::size_t bytes) {
  const CurrentDevice current(device_);
  void* memory = nullptr;
  const std::size_t asked = bytes > 0 ? bytes : 1;
  const cudaError_t status = cudaMallocFromPoolAsync(&memory, asked, pool_.get(), stream_.get());
  if (status != cudaSuccess) {
    throw_cuda_error(device_, "cudaMallocFromPoolAsync of " + std::to_string(bytes) + " bytes", status);
  }
  return memory;
}

void CudaRuntime::release(void* memory) noexcept {
  if (memory == nullptr) return;
  try {
    const CurrentDevice current(device_);
    if (cudaFreeAsync(memory, stream_.get()) != cudaSuccess) cudaGetLastError();
  } catch (...) {
    // A device that is lost reports it at the next call that can throw.
  }
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
  const cublasStatus_t status = call_blas(blas_->handle, column_major(product), product.accumulate ? 1 : 0);
  if (status == CUBLAS_STATUS_SUCCESS) return;
  check_blas(device_,
             std::string(sizeof(T) == 4 ? "cublasSgemm" : "cublasDgemm") +
                 " of m=" + std::to_string(product.m) + " n=" + std::to_string(product.n) +
                 " k=" + std::to_string(product.k),
             status);
}
template void CudaRuntime::gemm(const Gemm<float>&);
template void CudaRuntime::gemm(const Gemm<double>&);

void CudaRuntime::launch(const void* kernel, const Launch& shape, void** arguments) {
  const CurrentDevice current(device_);
  // Unlike <<<>>> with cudaGetLastError, this reports no error that somebody else left behind.
  check(device_, "cudaLaunchKernel",
        cudaLaunchKernel(kernel, dim3(shape.grid_x, shape.grid_y), dim3(shape.block_x, shape.block_y),
                         arguments, 0, stream_.get()));
}

void CudaRuntime::send(void* to, const void* from_host, std::size_t bytes) {
  if (bytes == 0) return;
  const CurrentDevice current(device_);
  check(device_, "cudaMemcpyAsync",
        cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_.get()));
  // The source is rewritten soon, and whether pageable memory was staged by now CUDA does not promise.
  check(device_, "cudaStreamSynchronize", cudaStreamSynchronize(stream_.get()));
}

void CudaRuntime::copy(void* to, const void* from, std::size_t bytes) {
  const CurrentDevice current(device_);
  if (bytes > 0) {
    check(device_, "cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_.get()));
  }
  check(device_, "cudaStreamSynchronize", cudaStreamSynchronize(stream_.get()));
}

std::unique_ptr<CudnnRnn> CudaRuntime::make_cudnn_rnn(const CudnnNetwork& network) {
  const std::lock_guard lock(opening_cudnn_);
  if (cudnn_ == nullptr) cudnn_ = std::make_unique<CudnnHandle>(device_, stream_.get());
  return rondo::cuda::make_cudnn_rnn(*cudnn_, network);
}

}  // namespace rondo::cuda
