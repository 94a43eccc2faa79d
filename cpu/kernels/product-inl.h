// What all kernels share: the product, that is register tiles over a packed matrix and the walk over rows and
// blocks, and what the cells' epilogues load and store.
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

// Where an epilogue works: one row, and the vector of units from `unit` on.
template <class D>
struct At {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static HWY_INLINE Ops<D> ops() { return {}; }
  std::int64_t row, unit;

  HWY_INLINE V Load(const T* rows, std::int64_t ld) const { return hn::LoadU(D(), rows + row * ld + unit); }
  HWY_INLINE void Store(V v, T* rows, std::int64_t ld) const { hn::StoreU(v, D(), rows + row * ld + unit); }
  // A column of sums [G][lanes].
  HWY_INLINE V Sum(const T* sums, int column) const { return hn::Load(D(), sums + column * kLanes<T>); }

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

// Two of them at once: while the chain of one waits for a result, the other's goes on.
template <class D>
struct AtTwo {
  using T = hn::TFromD<D>;
  using V = Two<hn::Vec<D>>;
  static HWY_INLINE OpsOfTwo<D> ops() { return {}; }
  At<D> a, b;
  std::int64_t apart;  // from the sums of a to those of b

  HWY_INLINE V Load(const T* rows, std::int64_t ld) const { return {a.Load(rows, ld), b.Load(rows, ld)}; }
  HWY_INLINE void Store(V v, T* rows, std::int64_t ld) const {
    a.Store(v.a, rows, ld), b.Store(v.b, rows, ld);
  }
  HWY_INLINE V Sum(const T* sums, int column) const {
    return {a.Sum(sums, column), b.Sum(sums + apart, column)};
  }
  HWY_INLINE V Live(V v, std::int64_t h) const { return {a.Live(v.a, h), b.Live(v.b, h)}; }
  HWY_INLINE V LoadPart(const T* rows, std::int64_t ld, std::int64_t h) const {
    return {a.LoadPart(rows, ld, h), b.LoadPart(rows, ld, h)};
  }
  HWY_INLINE void StorePart(V v, T* rows, std::int64_t ld, std::int64_t h) const {
    a.StorePart(v.a, rows, ld, h), b.StorePart(v.b, rows, ld, h);
  }
};

// What takes rows and blocks on from their sums: kOne(args, at, sums [G][lanes]), and where there is one,
// kTwo for two places at once.
template <auto kOne, auto kTwo>
struct Epilogue {};

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
  if constexpr (!std::is_null_pointer_v<decltype(kTwo)>) {
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
      if (!done) Finish<G>(then, args, row, block, kRows, kBlocks, sums);
    }
  }
  const Range rest{range.row_begin, range.row_end, block, range.block_end};
  if constexpr (kBlocks > 1) MultiplyTiles<G, kPerGate, kRows, (kBlocks + 1) / 2>(then, args, p, rest);
}

// One gate wide, three blocks at once re-use a broadcast; more gates do so by themselves.
template <int G>
constexpr int kMostRows = kAccumulators / (G == 1 ? 3 : G);

// kRows rows at a time while there are so many, then fewer. The fewer rows, the more blocks at once: few
// accumulators leave the multipliers waiting for one another's sums.
template <int G, bool kPerGate, int kRows = kMostRows<G>, class Then, class Args, class T>
HWY_INLINE void Multiply(Then then, const Args& args, const Operand<T>& p, const Range& range) {
  constexpr int kBlocks = std::clamp(kAccumulators / (kRows * G), 1, 8);
  const std::int64_t rows = range.row_end - range.row_begin;
  // A tile of one or two rows reads weights as fast as it multiplies: after tiles of three rather two and two
  // than three and one, after tiles of six four and four than six and two.
  constexpr std::int64_t kFew = kRows / 3;
  const bool few = (kRows == 3 || kRows == 6) && rows > kRows && rows % kRows == kFew;
  const std::int64_t left = few ? kRows + kFew : rows % kRows;
  const std::int64_t end = range.row_end - left;
  const Range tiles{range.row_begin, end, range.block_begin, range.block_end};
  const Range rest{end, range.row_end, range.block_begin, range.block_end};
  if (rows > left) MultiplyTiles<G, kPerGate, kRows, kBlocks>(then, args, p, tiles);
  if (left == 0) return;
  if constexpr (kRows > 1) Multiply<G, kPerGate, (kRows > 4 ? 4 : (kRows + 1) / 2)>(then, args, p, rest);
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

// In what follows, Where is At or AtTwo.
//
// The columns of a row of gates from `column` on, one for each of v.
template <class Where, class Step, class... V>
HWY_INLINE void LoadGates(const Step& a, Where at, std::int64_t column, V&... v) {
  ((v = at.Load(a.gates + column++ * a.hp, a.ld_gates)), ...);
}
template <class Where, class T = typename Where::T, class... V>
HWY_INLINE void StoreGates(const ForwardStep<T>& a, Where at, std::int64_t column, const V&... v) {
  (at.Store(v, a.gates + column++ * a.hp, a.ld_gates), ...);
}
// Gradients enter sums over all of a row: where padding is NaN, as it is after an infinite x, they are zero.
template <class Where, class T = typename Where::T, class... V>
HWY_INLINE void StoreGates(const BackwardStep<T>& a, Where at, std::int64_t column, const V&... v) {
  (at.Store(at.Live(v, a.h), a.gates + column++ * a.hp, a.ld_gates), ...);
}

// W x + b of a column.
template <class Where, class T = typename Where::T>
HWY_INLINE typename Where::V LoadInput(const ForwardStep<T>& a, Where at, std::int64_t column) {
  return at.ops().add(at.Load(a.gates + column * a.hp, a.ld_gates), at.Load(a.bias + column * a.hp, 0));
}
// W x + R h + b: the product's sums from the first on, with the columns from `column` on.
template <class Where, class T, class... V>
HWY_INLINE void LoadSums(const ForwardStep<T>& a, Where at, const T* sums, std::int64_t column, V&... v) {
  int sum = 0;
  ((v = at.ops().add(at.Sum(sums, sum++), LoadInput(a, at, column++))), ...);
}

// h_t to where the next step, the mask and the caller want it.
template <class Where, class T = typename Where::T>
HWY_INLINE void StoreState(const ForwardStep<T>& a, Where at, typename Where::V h) {
  at.Store(h, a.h_next, a.sp);
  if (a.y != nullptr) at.StorePart(h, a.y, a.ld_y, a.s);
  if (a.mask == nullptr) return;
  for (int g = 0; g < a.groups; ++g) {
    const std::int64_t group = g * a.mask_group;
    at.Store(at.ops().mul(h, at.Load(a.mask + group, a.sp)), a.h_masked_next + group, a.sp);
  }
}

// d loss / d h_t, complete: from above, from the next step's direct term and through R.
template <class Where, class T = typename Where::T>
HWY_INLINE typename Where::V LoadStateGradient(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  sum = at.ops().add(sum, at.Load(a.carry, a.sp));
  return a.dy == nullptr ? sum : at.ops().add(sum, at.LoadPart(a.dy, a.ld_dy, a.s));
}
// Of a cell without a direct term: only a row's last step finds something there, and leaves nothing.
template <class Where, class T = typename Where::T>
HWY_INLINE typename Where::V TakeStateGradient(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  if (a.k == 0) {
    sum = at.ops().add(sum, at.Load(a.carry, a.sp));
    at.Store(at.ops().set(0), a.carry, a.sp);
  }
  return a.dy == nullptr ? sum : at.ops().add(sum, at.LoadPart(a.dy, a.ld_dy, a.s));
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
template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE typename Where::V ZoneOut(const ForwardStep<T>& a, Where at, typename Where::V h) {
  if constexpr (kGeneral) {
    const bool masked = a.update_h != nullptr;
    if (!masked && a.options->update_h == T(1)) return h;
    const auto u = masked ? at.LoadPart(a.update_h, a.ld_update_h, a.s) : at.ops().set(a.options->update_h);
    return zoneout_forward(at.ops(), u, at.Load(a.h_prev, a.sp), h);
  }
  return h;
}
// Backward, in training only: dh becomes that of the cell's h; returns what goes to h_{t-1} at once.
template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE typename Where::V UnzoneOut(const BackwardStep<T>& a, Where at, typename Where::V& dh) {
  if constexpr (kGeneral) {
    if (a.update_h == nullptr) return at.ops().set(0);
    return zoneout_backward(at.ops(), at.LoadPart(a.update_h, a.ld_update_h, a.s), dh);
  }
  return at.ops().set(0);
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
