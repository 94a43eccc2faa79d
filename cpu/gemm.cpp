// Whole-sequence products by a CBLAS library: fixed tiles, one thread of ours for each.
#include "cpu/gemm.h"

#include <cblas.h>
#include <dlfcn.h>

#include <algorithm>

#include "core/settings.h"
#include "cpu/team.h"

namespace rondo::cpu {
namespace {

// OpenBLAS would start threads of its own inside each of ours. Other BLAS libraries lack the function.
void quieten_blas() {
  thread_local bool done = false;  // OpenBLAS on OpenMP keeps the setting for each thread
  if (done || !blas_single_threaded()) return;
  done = true;
  if (auto* set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(1);
}

using Int = std::int32_t;
// Sizes beyond a BLAS's 32-bit integer are cut up; leading dimensions cannot be.
constexpr std::int64_t kMostAtOnce = std::int64_t{1} << 30;

void call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, Int m, Int n, Int k, const float* a, Int lda, const float* b,
          Int ldb, float beta, float* c, Int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
}
void call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, Int m, Int n, Int k, const double* a, Int lda, const double* b,
          Int ldb, double beta, double* c, Int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
void multiply(const Gemm<T>& p) {
  quieten_blas();
  for (std::int64_t k = 0; k < p.k; k += kMostAtOnce) {
    const T beta = p.accumulate || k > 0 ? T(1) : T(0);
    call(p.transpose_a ? CblasTrans : CblasNoTrans, p.transpose_b ? CblasTrans : CblasNoTrans,
         static_cast<Int>(p.m), static_cast<Int>(p.n), static_cast<Int>(std::min(kMostAtOnce, p.k - k)),
         p.a + (p.transpose_a ? k * p.lda : k), static_cast<Int>(p.lda),
         p.b + (p.transpose_b ? k : k * p.ldb), static_cast<Int>(p.ldb), beta, p.c, static_cast<Int>(p.ldc));
  }
}

}  // namespace

template <class T>
void gemm(const Gemm<T>& p, int threads) {
  if (p.m == 0 || p.n == 0 || p.k == 0) return;
  // Below about 50 us of work a hand-over does not pay; above, enough tiles to even out two to eight threads.
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool by_rows = p.m >= p.n;
  const std::int64_t size = by_rows ? p.m : p.n;
  const std::int64_t wanted = flops < 2e6 ? 1 : (flops < 2e8 ? 4 : 8);
  std::int64_t tile = std::max<std::int64_t>((size + wanted - 1) / wanted, 48);
  tile = std::min((tile + 15) / 16 * 16, kMostAtOnce);
  const std::int64_t tiles = (size + tile - 1) / tile;
  const auto body = [&](int index, int count) {
    for (std::int64_t i = index; i < tiles; i += count) {
      Gemm<T> part = p;
      const std::int64_t begin = i * tile, length = std::min(tile, size - begin);
      if (by_rows) {
        part.m = length;
        part.a += p.transpose_a ? begin : begin * p.lda;
        part.c += begin * p.ldc;
      } else {
        part.n = length;
        part.b += p.transpose_b ? begin * p.ldb : begin;
        part.c += begin;
      }
      multiply(part);
    }
  };
  on_team(Together::kApart, static_cast<int>(std::min<std::int64_t>(threads, tiles)), body);
}

template void gemm<float>(const Gemm<float>&, int);
template void gemm<double>(const Gemm<double>&, int);

}  // namespace rondo::cpu
