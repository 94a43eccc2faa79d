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

void multiply(const Gemm<float>& p, CBLAS_TRANSPOSE op, const Int (&size)[3], const Int (&ld)[3]) {
  cblas_sgemm(CblasRowMajor, op, CblasNoTrans, size[0], size[1], size[2], 1, p.a, ld[0], p.b, ld[1],
              p.accumulate ? 1 : 0, p.c, ld[2]);
}
void multiply(const Gemm<double>& p, CBLAS_TRANSPOSE op, const Int (&size)[3], const Int (&ld)[3]) {
  cblas_dgemm(CblasRowMajor, op, CblasNoTrans, size[0], size[1], size[2], 1, p.a, ld[0], p.b, ld[1],
              p.accumulate ? 1 : 0, p.c, ld[2]);
}

template <class T>
void multiply(Gemm<T> p) {
  quieten_blas();
  const Int ld[] = {static_cast<Int>(p.lda), static_cast<Int>(p.ldb), static_cast<Int>(p.ldc)};
  for (; p.k > 0; p.k -= kMostAtOnce) {
    const std::int64_t k = std::min(kMostAtOnce, p.k);
    multiply(p, p.transpose_a ? CblasTrans : CblasNoTrans,
             {static_cast<Int>(p.m), static_cast<Int>(p.n), static_cast<Int>(k)}, ld);
    p.a += p.transpose_a ? k * p.lda : k;
    p.b += k * p.ldb;
    p.accumulate = true;
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
        part.b += begin;
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
