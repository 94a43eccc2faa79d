// Masks of dropout: Philox 4x32-10 (core/philox.h) on vectors, a block of four units a lane.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/masks.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include <algorithm>

#include <hwy/highway.h>

#include "core/philox.h"
#include "cpu/kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::ScalableTag<std::uint32_t>;
using V = hn::Vec<Words>;
constexpr std::int64_t kBlocks = hn::MaxLanes(Words());

// High and low halves of a 32-bit product with a constant.
HWY_INLINE void MultiplyWide(std::uint32_t by, V x, V& high, V& low) {
  const Words d;
#if HWY_TARGET == HWY_SCALAR
  const std::uint64_t product = std::uint64_t{by} * hn::GetLane(x);
  high = hn::Set(d, static_cast<std::uint32_t>(product >> 32));
  low = hn::Set(d, static_cast<std::uint32_t>(product));
#else
  const V factor = hn::Set(d, by);
  const auto even = hn::BitCast(d, hn::MulEven(x, factor));
  const auto odd = hn::BitCast(d, hn::MulEven(hn::DupOdd(x), factor));
  low = hn::OddEven(hn::DupEven(odd), even);
  high = hn::OddEven(odd, hn::DupOdd(even));
#endif
}

// Random words of units [0, 4 * kBlocks) from block `first` on.
HWY_INLINE void DrawWords(const MaskRow& row, std::uint32_t first, std::uint32_t* HWY_RESTRICT words) {
  const Words d;
  V c0 = hn::Iota(d, first), c1 = hn::Set(d, row.n), c2 = hn::Set(d, row.t), c3 = hn::Set(d, row.stream);
  std::uint32_t key0 = row.key[0], key1 = row.key[1];
  for (int round = 0; round < kPhiloxRounds; ++round) {
    V high0, low0, high1, low1;
    MultiplyWide(kPhiloxMultipliers[0], c0, high0, low0);
    MultiplyWide(kPhiloxMultipliers[1], c2, high1, low1);
    c0 = hn::Xor(hn::Xor(high1, c1), hn::Set(d, key0));
    c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(d, key1));
    c1 = low1;
    c3 = low0;
    key0 += kPhiloxWeyl[0];
    key1 += kPhiloxWeyl[1];
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, d, words);
}

template <class T>
void DrawMaskRow(const MaskRow& row, T* to, std::int64_t width) {
  HWY_ALIGN std::uint32_t words[4 * kBlocks];
  const T kept = static_cast<T>(row.kept);
  for (std::int64_t j = 0; j < width; j += 4 * kBlocks) {
    DrawWords(row, static_cast<std::uint32_t>(j / 4), words);
    const std::int64_t count = std::min(width - j, 4 * kBlocks);
    for (std::int64_t i = 0; i < count; ++i) to[j + i] = (words[i] >> 8) < row.below ? T(0) : kept;
  }
}

void FillMasks(KernelTables& t) {
  std::get<0>(t).draw_mask_row = DrawMaskRow<float>;
  std::get<1>(t).draw_mask_row = DrawMaskRow<double>;
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillMasks[] = RONDO_EACH_ISA(FillMasks);
#endif
