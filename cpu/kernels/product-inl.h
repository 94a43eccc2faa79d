// What all kernels share: the product, that is register tiles over a packed matrix and the walk over rows and
// blocks, with an epilogue that takes each on from its sums.
// Every output element is one sum over k in rising order, whatever the tile, so results do not depend on
// how the work is split.
//
// Included once per instruction set.
#include <algorithm>
#include <limits>

#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "core/cell_options.h"
#include "cpu/kernels/kernels.h"

#define RONDO_CELL_FN HWY_INLINE
#define RONDO_CELL_CALL HWY_NOINLINE

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
#include "cpu/kernels/ops-inl.h"

#include "core/cells/functions-inl.h"

// Accumulators in flight: what the registers hold beside one weight and a tile's inputs.
constexpr int kAccumulators = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 24 : 12;

template <class T>
constexpr std::int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());

#include "cpu/kernels/epilogue-inl.h"

// The product's part of a step: row r of in starts at in + r * ld; gate g reads in + g * group.
template <class T>
struct Operand {
  const T* packed;
  std::int64_t k, packed_k;  // rows that are multiplied, and those that are packed
  const T* in;
  std::int64_t ld, group;
};

// Where a tile's sums go: [kRows] ld, [kBlocks][G][lanes] wide.
template <class T>
struct Sums {
  T* to;
  std::int64_t ld;
};

// out = in * packed, from a row and a block on. Inlined, though all cells could share it: as a call it
// measures 4 % slower.
template <int G, int kRows, int kBlocks, bool kPerGate, class T>
HWY_INLINE void Accumulate(const Operand<T>& p, std::int64_t row, std::int64_t block, const Sums<T>& out) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int kColumns = kBlocks * G, kInputs = kPerGate ? G : 1;
  const T* HWY_RESTRICT blocks[kBlocks];
  HWY_UNROLL(24)
  for (int b = 0; b < kBlocks; ++b) blocks[b] = p.packed + (block + b) * p.packed_k * G * kLanes<T>;
  const T* HWY_RESTRICT in = p.in + row * p.ld;
  V sums[kRows * kColumns];
  HWY_UNROLL(24) for (int s = 0; s < kRows * kColumns; ++s) sums[s] = hn::Zero(d);
  for (std::int64_t k = 0; k < p.k; ++k) {
    const auto weight = [&](int c)
                            HWY_ATTR { return hn::Load(d, blocks[c / G] + (k * G + c % G) * kLanes<T>); };
    const auto input = [&](int r, int g) HWY_ATTR { return hn::Set(d, in[r * p.ld + g * p.group + k]); };
    const auto add = [&](int r, int c, V x, V w)
                         HWY_ATTR { sums[r * kColumns + c] = hn::MulAdd(x, w, sums[r * kColumns + c]); };
    // The fewer of weights and inputs stay in registers while the others pass by.
    if constexpr (!kPerGate && kColumns < kRows) {
      V w[kColumns];
      HWY_UNROLL(24) for (int c = 0; c < kColumns; ++c) w[c] = weight(c);
      HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
        const V x = input(r, 0);
        HWY_UNROLL(24) for (int c = 0; c < kColumns; ++c) add(r, c, x, w[c]);
      }
    } else {
      V x[kRows * kInputs];
      HWY_UNROLL(24) for (int i = 0; i < kRows * kInputs; ++i) x[i] = input(i / kInputs, i % kInputs);
      HWY_UNROLL(24) for (int c = 0; c < kColumns; ++c) {
        const V w = weight(c);
        HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) add(r, c, x[r * kInputs + c % kInputs], w);
      }
    }
  }
  HWY_UNROLL(24) for (int s = 0; s < kRows * kColumns; ++s) {
    hn::StoreU(sums[s], d, out.to + s / kColumns * out.ld + s % kColumns * kLanes<T>);
  }
}

// What takes rows and blocks on from their sums: kOne(args, at, sums [G][lanes]), and where there is one,
// kTwo for two places at once.
template <auto kOne, auto kTwo>
struct Epilogue {
  static constexpr bool kHasTwo = !std::is_null_pointer_v<decltype(kTwo)>;
};

// Of a tile of one place or two: inlined, so that the sums can stay in registers.
template <int G, int kPlaces, auto kOne, auto kTwo, class Args, class T>
HWY_INLINE void FinishFew(Epilogue<kOne, kTwo>, const Args& args, std::int64_t row, std::int64_t block,
                          const T* sums) {
  using D = hn::ScalableTag<T>;
  const At<D> a{row, block * kLanes<T>};
  if constexpr (kPlaces == 1) {
    kOne(args, a, sums);
  } else {
    kTwo(args, AtTwo<D>{a, {row, a.unit + kLanes<T>}, G * kLanes<T>}, sums);
  }
}

// A tile's sums [rows][blocks][G][lanes].
template <int G, auto kOne, auto kTwo, class Args, class T>
HWY_NOINLINE void Finish(Epilogue<kOne, kTwo>, const Args& args, std::int64_t row, std::int64_t block,
                         int rows, int blocks, const T* sums) {
  using D = hn::ScalableTag<T>;
  constexpr std::int64_t kApart = G * kLanes<T>;
  const std::int64_t begin = block * kLanes<T>, end = begin + blocks * kLanes<T>;
  At<D> at{row, begin};
  const auto next = [&]() HWY_ATTR {
    const At<D> now = at;
    at.unit += kLanes<T>;
    if (at.unit == end) at = {at.row + 1, begin};
    return now;
  };
  int left = rows * blocks;
  if constexpr (Epilogue<kOne, kTwo>::kHasTwo) {
    for (; left >= 2; left -= 2, sums += 2 * kApart) {
      const At<D> a = next(), b = next();
      kTwo(args, AtTwo<D>{a, b, kApart}, sums);
    }
  }
  for (; left > 0; --left, sums += kApart) kOne(args, next(), sums);
}

// Where the sums of a tile are all that is wanted, and so need not go by way of the stack; null: elsewhere.
template <class T, class Step>
HWY_INLINE Sums<T> InPlace(const Step& /*of a cell*/, std::int64_t /*row*/, std::int64_t /*block*/,
                           int /*blocks*/) {
  return {nullptr, 0};
}
template <class T>
HWY_INLINE Sums<T> InPlace(const Product<T>& a, std::int64_t row, std::int64_t block, int blocks) {
  const std::int64_t end = (block + blocks) * kLanes<T>;
  if (a.add || end > a.width) return {nullptr, 0};
  return {a.out + row * a.ld_out + block * kLanes<T>, a.ld_out};
}

// What a tile will read of a sequence beside the product: [rows] ld, from a row and a unit on.
template <class T>
HWY_INLINE void Fetch(const T* all, std::int64_t ld, const Range& tile) {
  if (all == nullptr) return;
  for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row) {
    for (std::int64_t block = tile.block_begin; block < tile.block_end; ++block) {
      hwy::Prefetch(all + row * ld + block * kLanes<T>);
    }
  }
}
template <class T>
HWY_NOINLINE void FetchFarRows(const ForwardStep<T>& a, const Range& tile) {
  for (int column = 0; column < a.read_columns; ++column) Fetch(a.gates + column * a.hp, a.ld_gates, tile);
}
template <class T>
HWY_NOINLINE void FetchFarRows(const BackwardStep<T>& a, const Range& tile) {
  for (int column = 0; column < a.read_columns; ++column) Fetch(a.gates + column * a.hp, a.ld_gates, tile);
  Fetch(a.c, a.ld_c, tile), Fetch(a.c_prev, a.ld_c_prev, tile);
  Fetch(a.y, a.ld_y, tile), Fetch(a.h_prev, a.ld_h_prev, tile), Fetch(a.dy, a.ld_dy, tile);
}
template <class Step>
HWY_INLINE void FetchRows(const Step& a, const Range& tile) {
  if (a.far) FetchFarRows(a, tile);
}
template <class T>
HWY_INLINE void FetchRows(const Product<T>& /*reads nothing else*/, const Range& /*tile*/) {}

// Full tiles of rows, kBlocks blocks at a time while there are so many; a block's weights stay in cache over
// all rows.
template <int G, bool kPerGate, int kRows, int kBlocks, class Then, class Args, class T>
HWY_INLINE void MultiplyTiles(Then then, const Args& args, const Operand<T>& p, const Range& range) {
  constexpr std::int64_t kColumns = kBlocks * G;
  HWY_ALIGN T sums[kRows * kColumns * kLanes<T>];
  std::int64_t block = range.block_begin;
  for (; block + kBlocks <= range.block_end; block += kBlocks) {
    for (std::int64_t row = range.row_begin; row < range.row_end; row += kRows) {
      const Sums<T> in_place = InPlace<T>(args, row, block, kBlocks);
      const bool done = in_place.to != nullptr;
      // Of one row there is little to fetch: asking cost a step of 80 ns another 45 (tanh RNN, H 32).
      if constexpr (kRows > 1) FetchRows(args, Range{row, row + kRows, block, block + kBlocks});
      Accumulate<G, kRows, kBlocks, kPerGate>(p, row, block,
                                              done ? in_place : Sums<T>{sums, kColumns * kLanes<T>});
      if (done) continue;
      if constexpr (kRows == 1 && kBlocks <= 2 && Then::kHasTwo) {
        FinishFew<G, kBlocks>(then, args, row, block, sums);
      } else {
        Finish<G>(then, args, row, block, kRows, kBlocks, sums);
      }
    }
  }
  const Range rest{range.row_begin, range.row_end, block, range.block_end};
  if constexpr (kBlocks > 1) MultiplyTiles<G, kPerGate, kRows, (kBlocks + 1) / 2>(then, args, p, rest);
}

// One gate wide, three blocks at once re-use a broadcast; more gates do so by themselves.
template <int G>
constexpr int kMostRows = kAccumulators / (G == 1 ? 3 : G);

// The fewer rows, the more blocks at once: few accumulators leave the multipliers waiting for one another's
// sums.
template <int G, int kRows>
constexpr int kMostBlocks = std::clamp(kAccumulators / (kRows * G), 1, 8);

// kRows rows at a time while there are so many, then fewer. Returns where it stopped: at the end, or at one
// last row.
template <int G, bool kPerGate, int kRows, class Then, class Args, class T>
HWY_INLINE std::int64_t MultiplyRows(Then then, const Args& args, const Operand<T>& p, const Range& range) {
  if constexpr (kRows == 1) {
    return range.row_begin;
  } else {
    const std::int64_t rows = range.row_end - range.row_begin;
    // A tile of one or two rows reads weights as fast as it multiplies: after tiles of three rather two and
    // two than three and one, after tiles of six four and four than six and two.
    constexpr std::int64_t kFew = kRows / 3;
    const bool few = (kRows == 3 || kRows == 6) && rows > kRows && rows % kRows == kFew;
    const std::int64_t left = few ? kRows + kFew : rows % kRows;
    const std::int64_t end = range.row_end - left;
    const Range tiles{range.row_begin, end, range.block_begin, range.block_end};
    const Range rest{end, range.row_end, range.block_begin, range.block_end};
    if (rows > left) MultiplyTiles<G, kPerGate, kRows, kMostBlocks<G, kRows>>(then, args, p, tiles);
    if (left == 0) return end;
    return MultiplyRows<G, kPerGate, (kRows > 4 ? 4 : (kRows + 1) / 2)>(then, args, p, rest);
  }
}

// One row, as a stream has it, comes to its tiles at once: in a small network the way there would take as
// long as the product.
template <int G, bool kPerGate, class Then, class Args, class T>
HWY_INLINE void Multiply(Then then, const Args& args, const Operand<T>& p, const Range& range) {
  Range last = range;
  if (range.row_end - range.row_begin != 1) {
    last.row_begin = MultiplyRows<G, kPerGate, kMostRows<G>>(then, args, p, range);
    if (last.row_begin == last.row_end) return;
  }
  // Both ways end here: another place would be another copy of the tiles.
  MultiplyTiles<G, kPerGate, 1, kMostBlocks<G, 1>>(then, args, p, last);
}

// What a phase of a step multiplies: R h, the second half of the GRU with reset_before, or the projection.
enum class Multiplies { kState, kCandidate, kProjection };
template <int G, auto kOne, auto kTwo = nullptr, Multiplies kWhat = Multiplies::kState, class T>
void RunForward(const ForwardStep<T>& a, const Range& range) {
  constexpr Epilogue<kOne, kTwo> kThen;
  if constexpr (kWhat == Multiplies::kCandidate) {
    return Multiply<G, false>(kThen, a, Operand<T>{a.recurrent_n, a.k, a.k, a.rh, a.hp, 0}, range);
  }
  if constexpr (kWhat == Multiplies::kProjection) {
    return Multiply<G, false>(kThen, a, Operand<T>{a.projection, a.h, a.h, a.m, a.ld_m, 0}, range);
  }
  const Operand<T> p{a.recurrent, a.k, a.k, a.h_in, a.sp, a.group};
  if constexpr (G > 1) {
    if (a.group != 0) return Multiply<G, true>(kThen, a, p, range);
  }
  Multiply<G, false>(kThen, a, p, range);
}

// Of an epilogue that takes a ForwardRow.
template <int G, auto kOne, auto kTwo, class T>
void RunForwardRow(const ForwardRow<T>& a, const Range& range) {
  const Operand<T> p{a.recurrent, a.k, a.k, a.h_in, a.sp, 0};
  MultiplyTiles<G, false, 1, kMostBlocks<G, 1>>(Epilogue<kOne, kTwo>(), a, p, range);
}

// Backward sums are one gate wide; a mask, or one a gate-wide segment of K, scales them.
template <auto kEpilogue, class Where, class T = typename Where::T>
HWY_INLINE void MaskSums(const BackwardStep<T>& a, Where at, const T* sums) {
  const auto sum = at.Sum(sums, 0);
  kEpilogue(a, at, a.mask == nullptr ? sum : at.ops().mul(sum, at.Load(a.mask, a.sp)));
}

// With a mask for each segment of K.
template <auto kEpilogue, int kRows = 8, class T>
HWY_INLINE void MultiplySegments(const BackwardStep<T>& a, const Operand<T>& p, const Range& range) {
  const hn::ScalableTag<T> d;
  const std::int64_t k = a.k / a.segments, tiles = (range.row_end - range.row_begin) / kRows;
  HWY_ALIGN T part[kRows * kLanes<T>];
  for (std::int64_t block = range.block_begin; block < range.block_end; ++block) {
    At<hn::ScalableTag<T>> at{range.row_begin, block * kLanes<T>};
    for (std::int64_t i = 0; i < tiles; ++i) {
      hn::Vec<decltype(d)> sums[kRows];
      HWY_UNROLL(8) for (int r = 0; r < kRows; ++r) sums[r] = hn::Zero(d);
      for (int s = 0; s < a.segments; ++s) {
        const Operand<T> segment{p.packed + s * k * kLanes<T>, k, a.k, p.in + s * k, p.ld, 0};
        Accumulate<1, kRows, 1, false>(segment, at.row, block, Sums<T>{part, kLanes<T>});
        const T* mask = a.mask + s * a.mask_group + at.row * a.sp + at.unit;
        HWY_UNROLL(8) for (int r = 0; r < kRows; ++r) {
          sums[r] = hn::MulAdd(hn::LoadU(d, mask + r * a.sp), hn::Load(d, part + r * kLanes<T>), sums[r]);
        }
      }
      HWY_UNROLL(8) for (int r = 0; r < kRows; ++r, ++at.row) kEpilogue(a, at, sums[r]);
    }
  }
  const Range rest{range.row_begin + tiles * kRows, range.row_end, range.block_begin, range.block_end};
  if constexpr (kRows > 1) MultiplySegments<kEpilogue, kRows / 2>(a, p, rest);
}

template <auto kOne, auto kTwo = nullptr, class T>
void RunBackward(const BackwardStep<T>& a, const Range& range) {
  using D = hn::ScalableTag<T>;
  const Operand<T> p{a.recurrent, a.k, a.k, a.da, a.ld_da, 0};
  if (a.segments > 1 && a.k > 0) return MultiplySegments<kOne>(a, p, range);
  if constexpr (std::is_null_pointer_v<decltype(kTwo)>) {
    Multiply<1, false>(Epilogue<MaskSums<kOne, At<D>>, nullptr>(), a, p, range);
  } else {
    Multiply<1, false>(Epilogue<MaskSums<kOne, At<D>>, MaskSums<kTwo, AtTwo<D>>>(), a, p, range);
  }
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
