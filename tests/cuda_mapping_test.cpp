// What the CUDA backend computes on the host before it calls the GPU: which thread visits which index, and
// how a row-major product is put to a column-major BLAS. Needs neither a GPU nor CUDA.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/column_major.h"
#include "cuda/launch.h"

namespace rondo::cuda {
namespace {

constexpr std::int64_t kBeyond32Bits = (std::int64_t{1} << 31) + 7;

void expect_legal(const Launch& l, std::int64_t rows, std::int64_t width) {
  EXPECT_GE(l.block_x * l.block_y, 1U);
  EXPECT_LE(l.block_x * l.block_y, kBlockThreads);
  EXPECT_GE(l.grid_x, 1U);
  EXPECT_GE(l.grid_y, 1U);
  EXPECT_LE(l.grid_x, kMaxGridX);
  EXPECT_LE(l.grid_y, kMaxGridY);
  // No block is without work.
  EXPECT_LT((std::int64_t{l.grid_x} - 1) * l.block_x, width);
  EXPECT_LT((std::int64_t{l.grid_y} - 1) * l.block_y, rows);
}

// Visits of `size` indices by `threads` that each start at their number and stride by their count.
std::int64_t visits(std::int64_t size, std::int64_t threads) {
  const std::int64_t all_make = size / threads, one_more = size % threads;
  return one_more * (all_make + 1) + (threads - one_more) * all_make;
}

TEST(CudaLaunch, VisitsEveryIndexOnce) {
  const std::int64_t shapes[][2] = {{1, 1},   {1, 127}, {1, 129}, {7, 3},
                                    {128, 1}, {129, 1}, {33, 64}, {5, 1000}};
  for (const auto& [rows, width] : shapes) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(width));
    const Launch l = launch_over(rows, width);
    expect_legal(l, rows, width);
    std::vector<int> count(static_cast<std::size_t>(rows * width));
    const std::int64_t across = std::int64_t{l.grid_x} * l.block_x, down = std::int64_t{l.grid_y} * l.block_y;
    for (std::int64_t y = 0; y < down; ++y) {
      for (std::int64_t x = 0; x < across; ++x) {
        LaunchedThread{x, y, across, down}.visit(rows, width, [&](std::int64_t row, std::int64_t column) {
          ASSERT_TRUE(row < rows && column < width);
          ++count[static_cast<std::size_t>(row * width + column)];
        });
      }
    }
    EXPECT_EQ(count, std::vector<int>(count.size(), 1));
  }
}

TEST(CudaLaunch, StridesWhereTheGridIsSmallerThanTheIndices) {
  std::vector<int> count(5 * 11);
  for (std::int64_t y = 0; y < 2; ++y) {
    for (std::int64_t x = 0; x < 4; ++x) {
      LaunchedThread{x, y, 4, 2}.visit(5, 11, [&](std::int64_t row, std::int64_t column) {
        ++count[static_cast<std::size_t>(row * 11 + column)];
      });
    }
  }
  EXPECT_EQ(count, std::vector<int>(count.size(), 1));
}

TEST(CudaLaunch, KeepsToTheLimitsOfAGrid) {
  const std::int64_t most = std::int64_t{1} << 40;
  const std::int64_t shapes[][2] = {{65535 * 3, 1},   {65535 * 3, 3},     {65535 * 3, 128},
                                    {65535 * 3, 500}, {kBeyond32Bits, 1}, {1, kBeyond32Bits},
                                    {most, 5},        {5, most}};
  for (const auto& [rows, width] : shapes) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(width));
    const Launch l = launch_over(rows, width);
    expect_legal(l, rows, width);
    EXPECT_EQ(visits(width, std::int64_t{l.grid_x} * l.block_x), width);
    EXPECT_EQ(visits(rows, std::int64_t{l.grid_y} * l.block_y), rows);
  }
  EXPECT_EQ(launch_over(65535 * 3, 500).grid_y, 65535U);  // three rows a thread
}

TEST(CudaLaunch, VisitsNothingOfNothing) {
  const auto fail = [](std::int64_t, std::int64_t) { ADD_FAILURE(); };
  LaunchedThread{0, 0, 128, 1}.visit(0, 5, fail);
  LaunchedThread{0, 0, 128, 1}.visit(5, 0, fail);
}

// BLAS's dgemm as its documentation has it, with its demands on leading dimensions.
void column_major_gemm(const ColumnMajorGemm<double>& g, double beta) {
  EXPECT_GE(g.lda, std::max<std::int64_t>(1, g.transpose_a ? g.k : g.m));
  EXPECT_GE(g.ldb, std::max<std::int64_t>(1, g.transpose_b ? g.n : g.k));
  EXPECT_GE(g.ldc, std::max<std::int64_t>(1, g.m));
  for (std::int64_t i = 0; i < g.m; ++i) {
    for (std::int64_t j = 0; j < g.n; ++j) {
      double sum = beta == 0 ? 0 : beta * g.c[i + j * g.ldc];
      for (std::int64_t p = 0; p < g.k; ++p) {
        sum += g.a[g.transpose_a ? p + i * g.lda : i + p * g.lda] *
               g.b[g.transpose_b ? j + p * g.ldb : p + j * g.ldb];
      }
      g.c[i + j * g.ldc] = sum;
    }
  }
}

// Row-major loops, straight from the comment on Gemm.
void row_major_gemm(const Gemm<double>& g) {
  for (std::int64_t i = 0; i < g.m; ++i) {
    for (std::int64_t j = 0; j < g.n; ++j) {
      double sum = g.accumulate ? g.c[i * g.ldc + j] : 0;
      for (std::int64_t p = 0; p < g.k; ++p) {
        sum += g.a[g.transpose_a ? p * g.lda + i : i * g.lda + p] *
               g.b[g.transpose_b ? j * g.ldb + p : p * g.ldb + j];
      }
      g.c[i * g.ldc + j] = sum;
    }
  }
}

// Small whole numbers, whose products are exact in any order.
std::vector<double> whole_numbers(std::int64_t count, int seed) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((i * 7 + seed) % 13) - 6;
  return values;
}

void expect_equal_products(Gemm<double> g) {
  const std::vector<double> a = whole_numbers(8 * 16, 1), b = whole_numbers(8 * 16, 2);
  std::vector<double> expected = whole_numbers(8 * 16, 3), got = expected;
  g.a = a.data();
  g.b = b.data();
  g.c = expected.data();
  row_major_gemm(g);
  g.c = got.data();
  column_major_gemm(column_major(g), g.accumulate ? 1 : 0);
  EXPECT_EQ(expected, got);  // what lies between the rows too
}

TEST(CudaColumnMajor, IsTheRowMajorProduct) {
  const std::int64_t sizes[][3] = {{3, 5, 7}, {7, 3, 5}, {1, 4, 6}, {6, 1, 4}, {4, 6, 1}, {1, 1, 1}};
  for (const int flags : {0, 1, 2, 3, 4, 5, 6, 7}) {
    for (const auto& [m, n, k] : sizes) {
      SCOPED_TRACE(::testing::Message() << m << " " << n << " " << k << ", flags " << flags);
      const bool transpose_a = flags & 1, transpose_b = flags & 2, accumulate = flags & 4;
      Gemm<double> g{transpose_a, transpose_b, m, n, k};
      g.accumulate = accumulate;
      g.lda = transpose_a ? m : k;
      g.ldb = transpose_b ? k : n;
      g.ldc = n;
      expect_equal_products(g);
      g.lda = 11;
      g.ldb = 13;
      g.ldc = 9;
      expect_equal_products(g);
    }
  }
}

// A matrix of one row has no use for its leading dimension, but BLAS looks at it.
TEST(CudaColumnMajor, WidensTheLeadingDimensionOfOneRow) {
  expect_equal_products({false, false, 1, 5, 7, nullptr, 0, nullptr, 5, nullptr, 0, false});
  expect_equal_products({true, false, 3, 5, 1, nullptr, 1, nullptr, 2, nullptr, 5, true});
  expect_equal_products({false, true, 3, 1, 4, nullptr, 4, nullptr, 0, nullptr, 2, true});
}

}  // namespace
}  // namespace rondo::cuda
