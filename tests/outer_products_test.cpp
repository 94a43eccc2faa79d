// Sums of outer products by every instruction set, beside a reference in double precision.
#include "cpu/outer_products.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "instruction_sets.h"

namespace rondo::testing {
namespace {

using cpu::Block;
using cpu::OuterProducts;

struct Size {
  std::int64_t m, n, rows;
};

// a, b and c, rows longer than they are wide, between guards of NaN.
template <class T>
struct Matrices {
  explicit Matrices(const Size& of)
      : size(of),
        ld_a(of.m + 3),
        ld_b(of.n + 5),
        ld_c(of.n + 2),
        a(rows(of.rows, ld_a, of.m)),
        b(rows(of.rows, ld_b, of.n)),
        c(rows(of.m, ld_c, of.n)) {}
  std::vector<T> rows(std::int64_t count, std::int64_t ld, std::int64_t width) {
    std::vector<T> values(static_cast<std::size_t>(count * ld), std::numeric_limits<T>::quiet_NaN());
    std::uniform_real_distribution<T> uniform(-1, 1);
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t j = 0; j < width; ++j)
        values[static_cast<std::size_t>(i * ld + j)] = uniform(generator);
    }
    return values;
  }
  OuterProducts<T> products(std::vector<T>& to) const {
    return {a.data(), ld_a, b.data(), ld_b, size.rows, to.data(), ld_c};
  }
  // c and the sum in double precision, and a bound on what rounding may change in any order of summation.
  void expect_in(const std::vector<T>& result) const {
    for (std::int64_t i = 0; i < size.m; ++i) {
      for (std::int64_t j = 0; j < ld_c; ++j) {
        const auto at = static_cast<std::size_t>(i * ld_c + j);
        if (j >= size.n) {
          ASSERT_TRUE(std::isnan(result[at])) << "beyond row " << i;
          continue;
        }
        long double sum = c[at], all = std::abs(c[at]);
        for (std::int64_t r = 0; r < size.rows; ++r) {
          const long double product = static_cast<long double>(a[static_cast<std::size_t>(r * ld_a + i)]) *
                                      b[static_cast<std::size_t>(r * ld_b + j)];
          sum += product;
          all += std::abs(product);
        }
        const long double most =
            static_cast<long double>(size.rows + 2) * std::numeric_limits<T>::epsilon() * all;
        ASSERT_LE(std::abs(sum - result[at]), most) << "row " << i << ", column " << j;
      }
    }
  }

  std::mt19937 generator{5};
  Size size;
  std::int64_t ld_a, ld_b, ld_c;
  std::vector<T> a, b, c;
};

// Around the edges of tiles, strips and panels.
constexpr Size kSizes[] = {{1, 1, 1},    {5, 3, 2},    {8, 16, 127},  {15, 17, 128},  {16, 32, 129},
                           {23, 33, 64}, {257, 40, 7}, {300, 1, 300}, {511, 65, 257}, {2, 511, 130}};

template <class T>
void expect_sums(const std::string& isa) {
  const ForcedInstructionSet forced(isa);
  if (!forced.available()) GTEST_SKIP() << missing_instruction_set(isa);
  for (const Size& size : kSizes) {
    SCOPED_TRACE(std::to_string(size.m) + " x " + std::to_string(size.n) + ", " + std::to_string(size.rows) +
                 " rows");
    const Matrices<T> matrices(size);
    std::vector<T> whole = matrices.c;
    cpu::kernels<T>().add_outer_products(matrices.products(whole), {0, size.m, 0, size.n});
    matrices.expect_in(whole);
    // By parts of any size the bits are the same, which is compared as bytes for the NaNs between rows.
    std::vector<T> parts = matrices.c;
    const std::int64_t m = size.m / 3, n = size.n / 2;
    for (const auto& part : {Block{0, m, 0, n}, Block{m, size.m, 0, n}, Block{0, size.m, n, size.n}}) {
      cpu::kernels<T>().add_outer_products(matrices.products(parts), part);
    }
    EXPECT_EQ(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(T)), 0);
  }
}

class OuterProductsBy : public ::testing::TestWithParam<std::string> {};
TEST_P(OuterProductsBy, AreTheSumsInF32) { expect_sums<float>(GetParam()); }
TEST_P(OuterProductsBy, AreTheSumsInF64) { expect_sums<double>(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Isa, OuterProductsBy, ::testing::ValuesIn(kInstructionSets),
                         [](const auto& tested) { return tested.param; });

// Small results by our kernels, large ones by the BLAS, both on any number of threads.
TEST(OuterProductsOnThreads, AreTheSameBits) {
  for (const Size& size : {Size{0, 4, 4}, Size{300, 40, 200}, Size{40, 300, 200}, Size{4096, 520, 3}}) {
    SCOPED_TRACE(std::to_string(size.m) + " x " + std::to_string(size.n));
    const Matrices<float> matrices(size);
    std::vector<float> one = matrices.c;
    cpu::add_outer_products(cpu::kernels<float>(), matrices.products(one), size.m, size.n, 1);
    matrices.expect_in(one);
    for (const int threads : {2, 3, 5}) {
      std::vector<float> more = matrices.c;
      cpu::add_outer_products(cpu::kernels<float>(), matrices.products(more), size.m, size.n, threads);
      EXPECT_EQ(std::memcmp(more.data(), one.data(), one.size() * sizeof(float)), 0) << threads;
    }
  }
}

}  // namespace
}  // namespace rondo::testing
