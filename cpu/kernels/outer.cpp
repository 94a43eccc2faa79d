// Gradients of weights: outer products summed over all rows, which lie as the passes left them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/outer.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include <algorithm>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "cpu/kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A tile: so many columns of a (rows of c) by two vectors of b. Its sums stay in registers over kOuterDepth
// rows, whose part of a and b stays in the first-level cache; kStrip columns of a stay in the second.
constexpr int kMostTall = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 8 : 6;
constexpr int kWide = 2;
constexpr std::int64_t kStrip = 256 / kMostTall * kMostTall;

template <class T>
constexpr std::int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());

// Part of b, kOuterDepth rows of kWide vectors, zero past its last column.
template <class T>
struct Panel {
  HWY_ALIGN T values[kOuterDepth * kWide * kLanes<T>];
  std::int64_t depth, width;
};

template <class T>
HWY_INLINE void Fill(Panel<T>& panel, const OuterProducts<T>& p, std::int64_t row, std::int64_t column,
                     std::int64_t n_end) {
  const hn::ScalableTag<T> d;
  panel.depth = std::min(kOuterDepth, p.rows - row);
  panel.width = std::min<std::int64_t>(kWide * kLanes<T>, n_end - column);
  T* to = panel.values;
  for (std::int64_t i = 0; i < panel.depth; ++i, to += kWide * kLanes<T>) {
    const T* from = p.b + (row + i) * p.ld_b + column;
    if (panel.width == kWide * kLanes<T>) {
      for (int w = 0; w < kWide; ++w) hn::Store(hn::LoadU(d, from + w * kLanes<T>), d, to + w * kLanes<T>);
    } else {
      std::fill(std::copy_n(from, panel.width, to), to + kWide * kLanes<T>, T(0));
    }
  }
}

// c [kTall][width] += a [depth][kTall] transposed times the panel.
template <int kTall, class T>
HWY_INLINE void AddTile(const T* HWY_RESTRICT a, std::int64_t ld_a, const Panel<T>& panel, T* HWY_RESTRICT c,
                        std::int64_t ld_c) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  V sums[kTall * kWide];
  HWY_UNROLL(16) for (int s = 0; s < kTall * kWide; ++s) {
    sums[s] = hn::Zero(d);
    hwy::Prefetch(c + s / kWide * ld_c + s % kWide * kLanes<T>);  // of a large result, far away
  }
  const T* HWY_RESTRICT b = panel.values;
  for (std::int64_t i = 0; i < panel.depth; ++i, a += ld_a, b += kWide * kLanes<T>) {
    constexpr int kAhead = 8;  // rows lie pages apart, where no hardware looks ahead
    hwy::Prefetch(a + kAhead * ld_a);
    V row[kWide];
    HWY_UNROLL(2) for (int w = 0; w < kWide; ++w) row[w] = hn::Load(d, b + w * kLanes<T>);
    HWY_UNROLL(8) for (int r = 0; r < kTall; ++r) {
      const V x = hn::Set(d, a[r]);
      HWY_UNROLL(2) for (int w = 0; w < kWide; ++w) {
        sums[r * kWide + w] = hn::MulAdd(x, row[w], sums[r * kWide + w]);
      }
    }
  }
  if (panel.width == kWide * kLanes<T>) {
    HWY_UNROLL(16) for (int s = 0; s < kTall * kWide; ++s) {
      T* to = c + s / kWide * ld_c + s % kWide * kLanes<T>;
      hn::StoreU(hn::Add(hn::LoadU(d, to), sums[s]), d, to);
    }
    return;
  }
  HWY_ALIGN T part[kTall * kWide * kLanes<T>];
  HWY_UNROLL(16) for (int s = 0; s < kTall * kWide; ++s) hn::Store(sums[s], d, part + s * kLanes<T>);
  for (int r = 0; r < kTall; ++r) {
    for (std::int64_t j = 0; j < panel.width; ++j) c[r * ld_c + j] += part[r * kWide * kLanes<T> + j];
  }
}

// Columns [begin, end) of a, kTall at a time, then fewer.
template <int kTall, class T>
HWY_INLINE void AddTiles(const OuterProducts<T>& p, const Panel<T>& panel, std::int64_t row,
                         std::int64_t column, std::int64_t begin, std::int64_t end) {
  const T* a = p.a + row * p.ld_a;
  for (; begin + kTall <= end; begin += kTall) {
    AddTile<kTall>(a + begin, p.ld_a, panel, p.c + begin * p.ld_c + column, p.ld_c);
  }
  if constexpr (kTall > 1) AddTiles<kTall / 2>(p, panel, row, column, begin, end);
}

template <class T>
void AddOuterProducts(const OuterProducts<T>& p, const Block& of_c) {
  Panel<T> panel;
  for (std::int64_t row = 0; row < p.rows; row += kOuterDepth) {
    for (std::int64_t strip = of_c.row_begin; strip < of_c.row_end; strip += kStrip) {
      for (std::int64_t j = of_c.column_begin; j < of_c.column_end; j += kWide * kLanes<T>) {
        Fill(panel, p, row, j, of_c.column_end);
        AddTiles<kMostTall>(p, panel, row, j, strip, std::min(strip + kStrip, of_c.row_end));
      }
    }
  }
}

void FillOuter(KernelTables& t) {
  std::get<0>(t).add_outer_products = AddOuterProducts<float>;
  std::get<1>(t).add_outer_products = AddOuterProducts<double>;
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillOuter[] = RONDO_EACH_ISA(FillOuter);
#endif
