// The product of the kernels: register tiles over a packed matrix, and the walk over rows and blocks.
// Every output element is one sum over k in rising order, whatever the tile, so results do not depend on
// how the work is split.
//
// Included once per instruction set, inside that set's namespace.

namespace hn = hwy::HWY_NAMESPACE;

// Accumulators in flight: what the registers hold beside one weight and a tile's inputs.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kAccumulators = 24;
#else
constexpr int kAccumulators = 12;
#endif

// The product's part of a step: row r of in starts at in + r * ld; gate g reads in + g * group.
template <class T>
struct Operand {
  const T* packed;
  std::int64_t k;
  const T* in;
  std::int64_t ld;
  std::int64_t group;
};

// One gate wide: two blocks at once re-use a broadcast. More gates do so by themselves.
template <int G>
constexpr int kTileBlocks = G == 1 ? 2 : 1;
template <int G>
constexpr int kTileRows = kAccumulators / (G * kTileBlocks<G>);

// out [kRows][kBlocks][G][lanes] = in * packed, blocks block_stride apart.
template <int G, int kRows, int kBlocks, bool kPerGate, class D, class T = hn::TFromD<D>>
HWY_INLINE void Accumulate(D d, const Operand<T>& p, const T* HWY_RESTRICT packed, std::int64_t block_stride,
                           const T* HWY_RESTRICT in, T* HWY_RESTRICT out) {
  using V = hn::Vec<D>;
  constexpr int kInputs = kPerGate ? G : 1;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V acc[kRows][kBlocks][G];
  HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(24) for (int b = 0; b < kBlocks; ++b) {
      HWY_UNROLL(24) for (int g = 0; g < G; ++g) acc[r][b][g] = hn::Zero(d);
    }
  }
  // The fewer of weights and inputs stay in registers while the others pass by.
  constexpr bool kHoldWeights = !kPerGate && kBlocks * G < kRows;
  for (std::int64_t i = 0; i < p.k; ++i) {
    const T* HWY_RESTRICT weights = packed + i * G * lanes;
    if constexpr (kHoldWeights) {
      V w[kBlocks][G];
      HWY_UNROLL(24) for (int b = 0; b < kBlocks; ++b) {
        HWY_UNROLL(24) for (int g = 0; g < G; ++g) w[b][g] = hn::Load(d, weights + b * block_stride + g * lanes);
      }
      HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
        const V x = hn::Set(d, in[r * p.ld + i]);
        HWY_UNROLL(24) for (int b = 0; b < kBlocks; ++b) {
          HWY_UNROLL(24) for (int g = 0; g < G; ++g) acc[r][b][g] = hn::MulAdd(x, w[b][g], acc[r][b][g]);
        }
      }
    } else {
      V x[kRows][kInputs];
      HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
        HWY_UNROLL(24) for (int g = 0; g < kInputs; ++g) x[r][g] = hn::Set(d, in[r * p.ld + g * p.group + i]);
      }
      HWY_UNROLL(24) for (int b = 0; b < kBlocks; ++b) {
        HWY_UNROLL(24) for (int g = 0; g < G; ++g) {
          const V w = hn::Load(d, weights + b * block_stride + g * lanes);
          HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
            acc[r][b][g] = hn::MulAdd(x[r][kPerGate ? g : 0], w, acc[r][b][g]);
          }
        }
      }
    }
  }
  HWY_UNROLL(24) for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(24) for (int b = 0; b < kBlocks; ++b) {
      HWY_UNROLL(24) for (int g = 0; g < G; ++g) {
        hn::Store(acc[r][b][g], d, out + ((r * kBlocks + b) * G + g) * lanes);
      }
    }
  }
}

// A Step says what a tile computes: kGates, Input(args) and, for one row and block of units,
// Epilogue(d, args, row, unit, sums[kGates][lanes]). This one multiplies all of K at once.
template <class Step, int kRows, int kBlocks, bool kPerGate, class D, class Args>
HWY_INLINE void Tile(D d, const Args& args, std::int64_t row, std::int64_t block) {
  using T = hn::TFromD<D>;
  constexpr int G = Step::kGates;
  const Operand<T> p = Step::Input(args);
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t block_stride = p.k * G * lanes;
  HWY_ALIGN T sums[kRows * kBlocks * G * hn::MaxLanes(d)];
  Accumulate<G, kRows, kBlocks, kPerGate>(d, p, p.packed + block * block_stride, block_stride, p.in + row * p.ld,
                                          sums);
  for (int r = 0; r < kRows; ++r) {
    for (int b = 0; b < kBlocks; ++b) {
      Step::Epilogue(d, args, row + r, (block + b) * lanes, sums + (r * kBlocks + b) * G * lanes);
    }
  }
}

// Rows [row, row + kRows) over blocks [block, end), kBlocks at a time while there are so many: few rows
// with one block leave the multipliers waiting for one another's sums.
template <class Step, int kRows, int kBlocks, bool kPerGate, class D, class Args>
HWY_INLINE void FewRows(D d, const Args& args, std::int64_t row, std::int64_t block, std::int64_t end) {
  for (; block + kBlocks <= end; block += kBlocks) Tile<Step, kRows, kBlocks, kPerGate>(d, args, row, block);
  if constexpr (kBlocks > 1) FewRows<Step, kRows, (kBlocks + 1) / 2, kPerGate>(d, args, row, block, end);
}
template <class Step, int kRows, bool kPerGate, class D, class Args>
HWY_INLINE void FewRows(D d, const Args& args, std::int64_t row, const Range& range) {
  constexpr int kFit = kAccumulators / (kRows * Step::kGates);
  constexpr int kBlocks = kFit < 1 ? 1 : (kFit > 8 ? 8 : kFit);
  FewRows<Step, kRows, kBlocks, kPerGate>(d, args, row, range.block_begin, range.block_end);
}

// The walk: full row tiles with a block's weights kept in cache over all rows, then what is left.
template <class Step, bool kPerGate, class D, class Args>
HWY_INLINE void Walk(D d, const Args& args, const Range& range) {
  constexpr int kRows = kTileRows<Step::kGates>;
  constexpr int kBlocks = kTileBlocks<Step::kGates>;
  const std::int64_t rows = range.row_end - range.row_begin;
  // One row left over of tiles of three: better two and two.
  const std::int64_t left = kRows == 3 && rows > kRows && rows % kRows == 1 ? kRows + 1 : rows % kRows;
  const std::int64_t full_end = range.row_end - left;
  if (full_end > range.row_begin) {
    std::int64_t block = range.block_begin;
    for (; block + kBlocks <= range.block_end; block += kBlocks) {
      for (std::int64_t row = range.row_begin; row < full_end; row += kRows) {
        Tile<Step, kRows, kBlocks, kPerGate>(d, args, row, block);
      }
    }
    for (; block < range.block_end; ++block) {
      for (std::int64_t row = range.row_begin; row < full_end; row += kRows) {
        Tile<Step, kRows, 1, kPerGate>(d, args, row, block);
      }
    }
  }
  std::int64_t row = full_end;
  if constexpr (kRows > 4) {
    for (; row + 4 <= range.row_end; row += 4) FewRows<Step, 4, kPerGate>(d, args, row, range);
  }
  for (; row + 2 <= range.row_end; row += 2) FewRows<Step, 2, kPerGate>(d, args, row, range);
  for (; row < range.row_end; ++row) FewRows<Step, 1, kPerGate>(d, args, row, range);
}

template <class Step, class T>
void RunForward(const ForwardStep<T>& args, const Range& range) {
  const hn::ScalableTag<T> d;
  if constexpr (Step::kGates > 1) {
    if (args.group != 0) return Walk<Step, true>(d, args, range);
  }
  Walk<Step, false>(d, args, range);
}

// Backward sums are one gate wide; a mask, or one a gate-wide segment of K, scales them.
template <class Step>
struct Masked {
  static constexpr int kGates = 1;
  template <class T>
  static HWY_INLINE Operand<T> Input(const BackwardStep<T>& a) {
    return {a.recurrent, a.k, a.da, a.ld_gates, 0};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_INLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                  const T* HWY_RESTRICT sums) {
    auto sum = hn::Load(d, sums);
    if (a.mask != nullptr) sum = hn::Mul(sum, hn::LoadU(d, a.mask + row * a.hp + unit));
    Step::Epilogue(d, a, row, unit, sum);
  }
};

template <class Step, class T>
void RunBackward(const BackwardStep<T>& args, const Range& range) {
  const hn::ScalableTag<T> d;
  if (args.segments == 1 || args.k == 0) return Walk<Masked<Step>, false>(d, args, range);
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t k = args.k / args.segments;
  HWY_ALIGN T part[hn::MaxLanes(d)];
  for (std::int64_t block = range.block_begin; block < range.block_end; ++block) {
    for (std::int64_t row = range.row_begin; row < range.row_end; ++row) {
      auto sum = hn::Zero(d);
      for (int s = 0; s < args.segments; ++s) {
        const Operand<T> p{args.recurrent, k, args.da, args.ld_gates, 0};
        Accumulate<1, 1, 1, false>(d, p, p.packed + (block * args.k + s * k) * lanes, 0,
                                   p.in + row * p.ld + s * k, part);
        const T* mask = args.mask + s * args.mask_group + row * args.hp + block * lanes;
        sum = hn::MulAdd(hn::LoadU(d, mask), hn::Load(d, part), sum);
      }
      Step::Epilogue(d, args, row, block * lanes, sum);
    }
  }
}

// Rows outside the backend are H wide: the last block of units is loaded and stored in part, by way of the
// stack, since a masked access may still touch all of the vector (NEON) and so the next row.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadPart(D d, const T* row, std::int64_t unit, std::int64_t h) {
  const std::int64_t left = h - unit;
  if (left >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::LoadU(d, row + unit);
  HWY_ALIGN T part[hn::MaxLanes(d)] = {};
  for (std::int64_t i = 0; i < left; ++i) part[i] = row[unit + i];
  return hn::Load(d, part);
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StorePart(hn::Vec<D> v, D d, T* row, std::int64_t unit, std::int64_t h) {
  const std::int64_t left = h - unit;
  if (left >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::StoreU(v, d, row + unit);
  HWY_ALIGN T part[hn::MaxLanes(d)];
  hn::Store(v, d, part);
  for (std::int64_t i = 0; i < left; ++i) row[unit + i] = part[i];
}

// h_t to where the next step, the mask and the caller want it.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreState(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit, hn::Vec<D> h) {
  hn::StoreU(h, d, a.h_next + row * a.hp + unit);
  if (a.y != nullptr) StorePart(h, d, a.y + row * a.ld_y, unit, a.h);
  if (a.mask != nullptr) {
    for (int g = 0; g < a.groups; ++g) {
      const std::int64_t at = g * a.mask_group + row * a.hp + unit;
      hn::StoreU(hn::Mul(h, hn::LoadU(d, a.mask + at)), d, a.h_masked_next + at);
    }
  }
}

// d loss / d h_t, complete: from above, from the next step's direct term and through R.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> StateGradient(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    hn::Vec<D> sum) {
  sum = hn::Add(sum, hn::LoadU(d, a.carry + row * a.hp + unit));
  if (a.dy == nullptr) return sum;
  return hn::Add(sum, LoadPart(d, a.dy + row * a.ld_dy, unit, a.h));
}
