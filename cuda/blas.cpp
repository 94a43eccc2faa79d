// Opens cuBLAS and calls it. The only file that includes it.
#include "cuda/blas.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include "core/backend.h"
#include "cuda/cuda_error.h"

namespace rondo::cuda {

const char* const kBlasLibrary = "libcublas.so." RONDO_TEXT_OF(CUBLAS_VER_MAJOR);

namespace {

[[noreturn]] void fail(int device, const std::string& why) {
  throw DeviceError(to_string(Device{Device::Kind::kCuda, device}) + ": " + why);
}

// Searched for in LD_LIBRARY_PATH, in the folder that the build found it in (this module's run path) and
// where the system keeps libraries. Stays open: it has threads and memory of its own.
void* open_library(int device, const char* name) {
  if (void* opened = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) return opened;
  const char* text = dlerror();
  fail(device, "cuBLAS cannot be opened (" + std::string(text != nullptr ? text : name) +
                   "): install that of CUDA " RONDO_TEXT_OF(CUBLAS_VER_MAJOR) " or add its directory to"
                   " LD_LIBRARY_PATH");
}

cublasOperation_t operation(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

}  // namespace

// cuBLAS's functions by the names that its header gives them.
#define RONDO_BLAS_FUNCTION(member, name) decltype(&name) member = find<decltype(&name)>(RONDO_TEXT_OF(name))
struct Blas::Library {
  Library(int for_device, const char* file) : device(for_device), opened(open_library(for_device, file)) {}

  int device;
  void* opened;
  RONDO_BLAS_FUNCTION(create, cublasCreate);
  RONDO_BLAS_FUNCTION(destroy, cublasDestroy);
  RONDO_BLAS_FUNCTION(set_stream, cublasSetStream);
  RONDO_BLAS_FUNCTION(set_workspace, cublasSetWorkspace);
  RONDO_BLAS_FUNCTION(set_math_mode, cublasSetMathMode);
  RONDO_BLAS_FUNCTION(set_atomics_mode, cublasSetAtomicsMode);
  RONDO_BLAS_FUNCTION(status_text, cublasGetStatusString);
  RONDO_BLAS_FUNCTION(sgemm, cublasSgemm_64);
  RONDO_BLAS_FUNCTION(dgemm, cublasDgemm_64);

 private:
  template <class Function>
  Function find(const char* name) const {
    if (void* symbol = dlsym(opened, name)) return reinterpret_cast<Function>(symbol);
    fail(device, "the cuBLAS that was opened has no " + std::string(name) +
                     ": install that of CUDA " RONDO_TEXT_OF(CUBLAS_VER_MAJOR));
  }
};
#undef RONDO_BLAS_FUNCTION

Blas::Blas(int device, cudaStream_t stream, void* workspace, const char* library)
    : device_(device),
      stream_(stream),
      workspace_(workspace),
      library_(std::make_unique<Library>(device, library)) {
  cublasHandle_t handle = nullptr;
  check("cublasCreate", library_->create(&handle));
  handle_ = handle;
  try {
    // In this order: setting the stream puts cuBLAS's own workspace back, one that other streams share.
    check("cublasSetStream", library_->set_stream(handle, stream));
    check("cublasSetWorkspace", library_->set_workspace(handle, workspace, kWorkspaceBytes));
    set_math(false);
    check("cublasSetAtomicsMode", library_->set_atomics_mode(handle, CUBLAS_ATOMICS_NOT_ALLOWED));
  } catch (...) {
    library_->destroy(handle);
    throw;
  }
}

Blas::~Blas() { library_->destroy(static_cast<cublasHandle_t>(handle_)); }

void Blas::check(const std::string& call, int status) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::string text = library_->status_text(static_cast<cublasStatus_t>(status));
  if (const cudaError_t cause = stream_error(stream_); cause != cudaSuccess) {
    text += std::string(" (") + cudaGetErrorString(cause) + ")" + restart_notice(cause);
  }
  fail(device_, call + " failed: " + text);
}

template <class T>
void Blas::check_gemm(const char* name, const ColumnMajorGemm<T>& g, int status) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  check(std::string(name) + " of m=" + std::to_string(g.m) + " n=" + std::to_string(g.n) +
            " k=" + std::to_string(g.k),
        status);
}

// f32 is IEEE f32 unless TF32 was asked for: pedantic is also without emulation, which cuBLAS 13 can be told
// to use from the environment.
void Blas::set_math(bool tf32) {
  const cublasMath_t mode = tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH;
  check("cublasSetMathMode", library_->set_math_mode(static_cast<cublasHandle_t>(handle_), mode));
  tf32_ = tf32;
}

void Blas::gemm(const ColumnMajorGemm<float>& g, float beta) {
  const float alpha = 1;
  if (g.tf32 != tf32_) set_math(g.tf32);
  check_gemm("cublasSgemm", g,
             library_->sgemm(static_cast<cublasHandle_t>(handle_), operation(g.transpose_a),
                             operation(g.transpose_b), g.m, g.n, g.k, &alpha, g.a, g.lda, g.b, g.ldb, &beta,
                             g.c, g.ldc));
}
void Blas::gemm(const ColumnMajorGemm<double>& g, double beta) {
  const double alpha = 1;
  check_gemm("cublasDgemm", g,
             library_->dgemm(static_cast<cublasHandle_t>(handle_), operation(g.transpose_a),
                             operation(g.transpose_b), g.m, g.n, g.k, &alpha, g.a, g.lda, g.b, g.ldb, &beta,
                             g.c, g.ldc));
}

}  // namespace rondo::cuda
