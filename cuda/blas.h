// Products by cuBLAS, whose library is opened when the first device is: it is large, and a process that only
// asks which devices there are can do without. Without vendor headers but for the stream's type.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>

#include "cuda/column_major.h"

namespace rondo::cuda {

// "libcublas.so.13", of the toolkit that this was built with.
extern const char* const kBlasLibrary;

// One handle on one stream, for one thread at a time.
class Blas {
 public:
  // What cuBLAS's documentation recommends on Hopper; less on others, where more does no harm.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  // workspace: kWorkspaceBytes on the device, which live as long as this.
  Blas(int device, cudaStream_t stream, void* workspace, const char* library = kBlasLibrary);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  void* workspace() const { return workspace_; }
  // beta is 0 or 1.
  void gemm(const ColumnMajorGemm<float>& product, float beta);
  void gemm(const ColumnMajorGemm<double>& product, double beta);

 private:
  struct Library;
  void set_math(bool tf32);
  void check(const std::string& call, int status) const;
  template <class T>
  void check_gemm(const char* name, const ColumnMajorGemm<T>& product, int status) const;

  int device_;
  cudaStream_t stream_;
  void* workspace_;
  std::unique_ptr<const Library> library_;
  void* handle_ = nullptr;
  bool tf32_ = false;
};

}  // namespace rondo::cuda
