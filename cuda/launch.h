// Which thread of a launch visits which of rows x width indices, as plain arithmetic that the host can test.
#pragma once

#include <algorithm>
#include <bit>
#include <limits>

#include "cuda/runtime.h"

namespace rondo::cuda {

// x runs along a row, so that neighbouring threads read neighbouring elements; y over the rows.
struct Launch {
  std::uint32_t block_x, block_y, grid_x, grid_y;
};

// Limits of CUDA since compute capability 3.0.
inline constexpr std::int64_t kMaxGridX = std::numeric_limits<std::int32_t>::max();
inline constexpr std::int64_t kMaxGridY = 65535;
// Four warps: small enough to spread one step's rows over the multiprocessors.
inline constexpr std::int64_t kBlockThreads = 128;

// For rows, width >= 1. Blocks follow the width up to a power of two, so that narrow rows waste no threads.
inline Launch launch_over(std::int64_t rows, std::int64_t width) {
  const auto threads = [](std::int64_t size, std::int64_t most) {
    return size >= most ? most : static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(size)));
  };
  const auto blocks = [](std::int64_t size, std::int64_t block, std::int64_t most) {
    return static_cast<std::uint32_t>(std::min((size - 1) / block + 1, most));
  };
  const std::int64_t x = threads(width, kBlockThreads), y = threads(rows, kBlockThreads / x);
  return {static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), blocks(width, x, kMaxGridX),
          blocks(rows, y, kMaxGridY)};
}

// One thread: where it starts, and how far it strides when the grid is smaller than the indices.
struct LaunchedThread {
  std::int64_t x, y, stride_x, stride_y;

  template <class F>
  RONDO_CELL_FN void visit(std::int64_t rows, std::int64_t width, const F& f) const {
    for (std::int64_t row = y; row < rows; row += stride_y) {
      for (std::int64_t column = x; column < width; column += stride_x) f(row, column);
    }
  }
};

}  // namespace rondo::cuda
