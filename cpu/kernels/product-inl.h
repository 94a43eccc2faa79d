// What all kernels share: the product, that is register tiles over a packed matrix and the walk over rows and
// blocks, and what the cells' epilogues load and store.
// Every output element is one sum over k in rising order, whatever the tile, so results do not depend on
// how the work is split.
//
// Included once per instruction set.
#include <algorithm>
#include <limits>

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

// The product's part of a step: row r of in starts at in + r * ld; gate g reads in + g * group.
template <class T>
struct Operand {
  const T* packed;
  std::int64_t k, packed_k;  // rows that are multiplied, and those that are packed
  const T* in;
  std::int64_t ld, group;
};

// out [kRows][kBlocks][G][lanes] = in * packed, from a row and a block on. Inlined, though all cells could
// share it: as a call it measures 4 % slower.
template <int G, int kRows, int kBlocks, bool kPerGate, class T>
HWY_INLINE void Accumulate(const Operand<T>& p, std::int64_t row, std::int64_t block, T* HWY_RESTRICT out) {
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
  HWY_UNROLL(24) for (int s = 0; s < kRows * kColumns; ++s) hn::Store(sums[s], d, out + s * kLanes<T>);
}

// Where an epilogue works: one row, and the vector of units from `unit` on.
template <class D>
struct At {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  std::int64_t row, unit;

  HWY_INLINE V Load(const T* rows, std::int64_t ld) const { return hn::LoadU(D(), rows + row * ld + unit); }
  HWY_INLINE void Store(V v, T* rows, std::int64_t ld) const { hn::StoreU(v, D(), rows + row * ld + unit); }

  // v, with zeros for the units from H on.
  HWY_INLINE V Live(V v, std::int64_t h) const {
    if (h - unit >= kLanes<T>) return v;
    return hn::IfThenElseZero(hn::FirstN(D(), static_cast<std::size_t>(h - unit)), v);
  }

  // Rows outside the backend are H wide: the last block of units is loaded and stored in part, by way of
  // the stack, since a masked access may still touch all of the vector (NEON) and so the next row.
  HWY_INLINE V LoadPart(const T* rows, std::int64_t ld, std::int64_t h) const {
    if (h - unit >= kLanes<T>) return Load(rows, ld);
    HWY_ALIGN T part[kLanes<T>] = {};
    for (std::int64_t i = 0; i < h - unit; ++i) part[i] = rows[row * ld + unit + i];
    return hn::Load(D(), part);
  }
  HWY_INLINE void StorePart(V v, T* rows, std::int64_t ld, std::int64_t h) const {
    if (h - unit >= kLanes<T>) return Store(v, rows, ld);
    HWY_ALIGN T part[kLanes<T>];
    hn::Store(v, D(), part);
    for (std::int64_t i = 0; i < h - unit; ++i) rows[row * ld + unit + i] = part[i];
  }
};

// Full tiles of rows, kBlocks blocks at a time while there are so many; a block's weights stay in cache over
// all rows. kEpilogue(args, at, sums [G][lanes]) takes each row and block on from its sums.
template <int G, bool kPerGate, auto kEpilogue, int kRows, int kBlocks, class Args, class T>
HWY_INLINE void MultiplyTiles(const Args& args, const Operand<T>& p, const Range& range) {
  HWY_ALIGN T sums[kRows * kBlocks * G * kLanes<T>];
  std::int64_t block = range.block_begin;
  for (; block + kBlocks <= range.block_end; block += kBlocks) {
    for (std::int64_t row = range.row_begin; row < range.row_end; row += kRows) {
      Accumulate<G, kRows, kBlocks, kPerGate>(p, row, block, sums);
      for (int r = 0; r < kRows; ++r) {
        for (int b = 0; b < kBlocks; ++b) {
          const At<hn::ScalableTag<T>> at{row + r, (block + b) * kLanes<T>};
          kEpilogue(args, at, sums + (r * kBlocks + b) * G * kLanes<T>);
        }
      }
    }
  }
  const Range rest{range.row_begin, range.row_end, block, range.block_end};
  if constexpr (kBlocks > 1) MultiplyTiles<G, kPerGate, kEpilogue, kRows, (kBlocks + 1) / 2>(args, p, rest);
}

// One gate wide, three blocks at once re-use a broadcast; more gates do so by themselves.
template <int G>
constexpr int kMostRows = kAccumulators / (G == 1 ? 3 : G);

// kRows rows at a time while there are so many, then fewer. The fewer rows, the more blocks at once: few
// accumulators leave the multipliers waiting for one another's sums.
template <int G, bool kPerGate, auto kEpilogue, int kRows = kMostRows<G>, class Args, class T>
HWY_INLINE void Multiply(const Args& args, const Operand<T>& p, const Range& range) {
  constexpr int kBlocks = std::clamp(kAccumulators / (kRows * G), 1, 8);
  const std::int64_t rows = range.row_end - range.row_begin;
  // One row left over of tiles of three: better two and two.
  const std::int64_t left = kRows == 3 && rows > kRows && rows % kRows == 1 ? kRows + 1 : rows % kRows;
  const std::int64_t end = range.row_end - left;
  const Range tiles{range.row_begin, end, range.block_begin, range.block_end};
  const Range rest{end, range.row_end, range.block_begin, range.block_end};
  if (rows > left) MultiplyTiles<G, kPerGate, kEpilogue, kRows, kBlocks>(args, p, tiles);
  if (left == 0) return;
  if constexpr (kRows > 1) Multiply<G, kPerGate, kEpilogue, (kRows > 4 ? 4 : (kRows + 1) / 2)>(args, p, rest);
}

// What a phase of a step multiplies: R h, the second half of the GRU with reset_before, or the projection.
enum class Multiplies { kState, kCandidate, kProjection };
template <int G, auto kEpilogue, Multiplies kWhat = Multiplies::kState, class T>
void RunForward(const ForwardStep<T>& a, const Range& range) {
  if constexpr (kWhat == Multiplies::kCandidate) {
    return Multiply<G, false, kEpilogue>(a, Operand<T>{a.recurrent_n, a.k, a.k, a.rh, a.hp, 0}, range);
  }
  if constexpr (kWhat == Multiplies::kProjection) {
    return Multiply<G, false, kEpilogue>(a, Operand<T>{a.projection, a.h, a.h, a.m, a.ld_m, 0}, range);
  }
  const Operand<T> p{a.recurrent, a.k, a.k, a.h_in, a.sp, a.group};
  if constexpr (G > 1) {
    if (a.group != 0) return Multiply<G, true, kEpilogue>(a, p, range);
  }
  Multiply<G, false, kEpilogue>(a, p, range);
}

// Backward sums are one gate wide; a mask, or one a gate-wide segment of K, scales them.
template <auto kEpilogue, class D, class T = hn::TFromD<D>>
HWY_INLINE void MaskSums(const BackwardStep<T>& a, At<D> at, const T* sums) {
  const auto sum = hn::Load(D(), sums);
  kEpilogue(a, at, a.mask == nullptr ? sum : hn::Mul(sum, at.Load(a.mask, a.sp)));
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
        Accumulate<1, kRows, 1, false>(segment, at.row, block, part);
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

template <auto kEpilogue, class T>
void RunBackward(const BackwardStep<T>& a, const Range& range) {
  const Operand<T> p{a.recurrent, a.k, a.k, a.da, a.ld_da, 0};
  if (a.segments > 1 && a.k > 0) return MultiplySegments<kEpilogue>(a, p, range);
  Multiply<1, false, MaskSums<kEpilogue, hn::ScalableTag<T>>>(a, p, range);
}

// The columns of a row of gates from `column` on, one for each of v.
template <class D, class Step, class... V>
HWY_INLINE void LoadGates(const Step& a, At<D> at, std::int64_t column, V&... v) {
  ((v = at.Load(a.gates + column++ * a.hp, a.ld_gates)), ...);
}
template <class D, class T = hn::TFromD<D>, class... V>
HWY_INLINE void StoreGates(const ForwardStep<T>& a, At<D> at, std::int64_t column, const V&... v) {
  (at.Store(v, a.gates + column++ * a.hp, a.ld_gates), ...);
}
// Gradients enter sums over all of a row: where padding is NaN, as it is after an infinite x, they are zero.
template <class D, class T = hn::TFromD<D>, class... V>
HWY_INLINE void StoreGates(const BackwardStep<T>& a, At<D> at, std::int64_t column, const V&... v) {
  (at.Store(at.Live(v, a.h), a.gates + column++ * a.hp, a.ld_gates), ...);
}

// W x + b of a column.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadInput(const ForwardStep<T>& a, At<D> at, std::int64_t column) {
  return hn::Add(at.Load(a.gates + column * a.hp, a.ld_gates), at.Load(a.bias + column * a.hp, 0));
}
// W x + R h + b: the product's sums from the first on, with the columns from `column` on.
template <class D, class T, class... V>
HWY_INLINE void LoadSums(const ForwardStep<T>& a, At<D> at, const T* sums, std::int64_t column, V&... v) {
  ((v = hn::Add(hn::Load(D(), sums), LoadInput(a, at, column++)), sums += kLanes<T>), ...);
}

// h_t to where the next step, the mask and the caller want it.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreState(const ForwardStep<T>& a, At<D> at, hn::Vec<D> h) {
  at.Store(h, a.h_next, a.sp);
  if (a.y != nullptr) at.StorePart(h, a.y, a.ld_y, a.s);
  if (a.mask == nullptr) return;
  for (int g = 0; g < a.groups; ++g) {
    const std::int64_t group = g * a.mask_group;
    at.Store(hn::Mul(h, at.Load(a.mask + group, a.sp)), a.h_masked_next + group, a.sp);
  }
}

// d loss / d h_t, complete: from above, from the next step's direct term and through R.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadStateGradient(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  sum = hn::Add(sum, at.Load(a.carry, a.sp));
  return a.dy == nullptr ? sum : hn::Add(sum, at.LoadPart(a.dy, a.ld_dy, a.s));
}

// The functions of a cell, usual or chosen.
template <bool kGeneral, class Step>
HWY_INLINE auto FunctionsOf(const Step& a) {
  if constexpr (kGeneral) {
    return ChosenFunctions<std::remove_cvref_t<decltype(a.options->clip)>>{*a.options};
  } else {
    return UsualFunctions();
  }
}

// Zoneout of h, forward: what h_t becomes of the cell's h.
template <bool kGeneral, class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> ZoneOut(const ForwardStep<T>& a, At<D> at, hn::Vec<D> h) {
  if constexpr (kGeneral) {
    const bool masked = a.update_h != nullptr;
    if (!masked && a.options->update_h == T(1)) return h;
    const auto u = masked ? at.LoadPart(a.update_h, a.ld_update_h, a.s) : hn::Set(D(), a.options->update_h);
    return zoneout_forward(Ops<D>(), u, at.Load(a.h_prev, a.sp), h);
  }
  return h;
}
// Backward, in training only: dh becomes that of the cell's h; returns what goes to h_{t-1} at once.
template <bool kGeneral, class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> UnzoneOut(const BackwardStep<T>& a, At<D> at, hn::Vec<D>& dh) {
  if constexpr (kGeneral) {
    if (a.update_h == nullptr) return hn::Zero(D());
    return zoneout_backward(Ops<D>(), at.LoadPart(a.update_h, a.ld_update_h, a.s), dh);
  }
  return hn::Zero(D());
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
