// Shares of the result for threads. A BLAS's sums hang on sizes: its shares are the same for any number.
#include "cpu/outer_products.h"

#include <cblas.h>
#include <dlfcn.h>

#include <algorithm>
#include <string_view>

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

// An OpenBLAS that is older than the processor takes kernels of half the width.
bool blas_has_wide_vectors() {
  static const bool wide = [] {
    const auto get = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
    if (get == nullptr) return true;  // another library
    const std::string_view core = get();
    return core == "SkylakeX" || core == "Cooperlake" || core == "Sapphirerapids";
  }();
  return wide;
}

using Int = std::int32_t;
// Sizes beyond a BLAS's 32-bit integer are cut up; leading dimensions cannot be.
constexpr std::int64_t kMostAtOnce = std::int64_t{1} << 30;

void multiply(const OuterProducts<float>& p, Int m, Int n, Int k) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, p.a, static_cast<Int>(p.ld_a), p.b,
              static_cast<Int>(p.ld_b), 1, p.c, static_cast<Int>(p.ld_c));
}
void multiply(const OuterProducts<double>& p, Int m, Int n, Int k) {
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, p.a, static_cast<Int>(p.ld_a), p.b,
              static_cast<Int>(p.ld_b), 1, p.c, static_cast<Int>(p.ld_c));
}

template <class T>
void add_by_blas(OuterProducts<T> p, const Block& of_c) {
  quieten_blas();
  p.a += of_c.row_begin;
  p.b += of_c.column_begin;
  p.c += of_c.row_begin * p.ld_c + of_c.column_begin;
  const auto m = static_cast<Int>(of_c.row_end - of_c.row_begin);
  const auto n = static_cast<Int>(of_c.column_end - of_c.column_begin);
  for (; p.rows > 0; p.rows -= kMostAtOnce) {
    const std::int64_t k = std::min(kMostAtOnce, p.rows);
    multiply(p, m, n, static_cast<Int>(k));
    p.a += k * p.ld_a;
    p.b += k * p.ld_b;
  }
}

}  // namespace

// Of a large result a BLAS is the faster by 8 %: it copies a and b into the order in which it reads them,
// which pays where each is read often. Of small ones our kernel is, by 3 to 10 %.
template <class T>
bool suits_blas(const Kernels<T>& kernels, std::int64_t m, std::int64_t n) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 21;
  constexpr std::int64_t kWide = 64 / sizeof(T);
  return m >= kLarge / n && (kernels.lanes < kWide || blas_has_wide_vectors());
}

template <class T>
void add_outer_products(const Kernels<T>& kernels, const OuterProducts<T>& p, std::int64_t m, std::int64_t n,
                        int threads) {
  if (m == 0 || n == 0 || p.rows == 0) return;
  const bool by_blas = suits_blas(kernels, m, n);
  const bool by_rows = m >= n;
  const std::int64_t size = by_rows ? m : n;
  // Below about 50 us of work a hand-over does not pay. Our kernel's sums do not hang on the share of c.
  constexpr std::int64_t kLeast = 48;
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(p.rows);
  const std::int64_t most = flops < 2e6 ? 1 : std::max<std::int64_t>(1, size / kLeast);
  const std::int64_t shares = by_blas ? 8 : std::min<std::int64_t>(threads, most);
  const std::int64_t share = std::min((size / shares + 15) / 16 * 16, kMostAtOnce);
  const std::int64_t tiles = (size + share - 1) / share;
  on_team(Together::kApart, static_cast<int>(std::min<std::int64_t>(threads, tiles)),
          [&](int index, int count) {
            for (std::int64_t i = index; i < tiles; i += count) {
              const std::int64_t begin = i * share, end = std::min(begin + share, size);
              const Block part = by_rows ? Block{begin, end, 0, n} : Block{0, m, begin, end};
              if (by_blas) {
                add_by_blas(p, part);
              } else {
                kernels.add_outer_products(p, part);
              }
            }
          });
}

template bool suits_blas<float>(const Kernels<float>&, std::int64_t, std::int64_t);
template bool suits_blas<double>(const Kernels<double>&, std::int64_t, std::int64_t);
template void add_outer_products<float>(const Kernels<float>&, const OuterProducts<float>&, std::int64_t,
                                        std::int64_t, int);
template void add_outer_products<double>(const Kernels<double>&, const OuterProducts<double>&, std::int64_t,
                                         std::int64_t, int);

}  // namespace rondo::cpu
