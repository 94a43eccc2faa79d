// Layer normalisation of whole rows, and the phases of a step around it that LSTM and GRU share.
// Included once per instruction set, after product-inl.h, inside that set's namespace.
#include "core/cells/layer_norm-inl.h"

template <class V, class D, class T = hn::TFromD<D>>
HWY_INLINE V MeanOf(D d, V sum, const Norm<T>& norm) {
  return hn::Mul(hn::SumOfLanes(d, sum), hn::Set(d, T(1) / static_cast<T>(norm.gates * norm.h)));
}

// Calls visit(column) for each vector of a row, with the At that says which lanes live.
template <class D, class T, class Visit>
HWY_INLINE void ForEachVector(const Norm<T>& norm, Visit&& visit) {
  for (int g = 0; g < norm.gates; ++g) {
    for (At<D> at{0, 0}; at.unit < norm.h; at.unit += kLanes<T>) visit(at, g * norm.hp + at.unit);
  }
}

// x [gates * Hp] in place; its n to `normal` and its scale to `scale`, if they are wanted.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void NormaliseRow(const Norm<T>& norm, T* HWY_RESTRICT x, T* normal, T* scale) {
  const D d;
  const Ops<D> ops;
  auto sum = hn::Zero(d), squares = hn::Zero(d);
  ForEachVector<D>(norm, [&](At<D> at, std::int64_t column)
                             HWY_ATTR { sum = hn::Add(sum, at.Live(hn::LoadU(d, x + column), norm.h)); });
  const auto mean = MeanOf(d, sum, norm);
  ForEachVector<D>(norm, [&](At<D> at, std::int64_t column) HWY_ATTR {
    const auto apart = at.Live(hn::Sub(hn::LoadU(d, x + column), mean), norm.h);
    squares = hn::MulAdd(apart, apart, squares);
  });
  const auto variance = hn::Add(MeanOf(d, squares, norm), hn::Set(d, norm.epsilon));
  const auto factor = hn::Div(hn::Set(d, T(1)), hn::Sqrt(variance));
  if (scale != nullptr) *scale = hn::GetLane(factor);
  ForEachVector<D>(norm, [&](At<D>, std::int64_t column) HWY_ATTR {
    const auto n = normalise(ops, hn::LoadU(d, x + column), mean, factor);
    if (normal != nullptr) hn::StoreU(n, d, normal + column);
    auto y = hn::Mul(n, hn::LoadU(d, norm.factor + column));
    if (norm.shift != nullptr) y = hn::Add(y, hn::LoadU(d, norm.shift + column));
    hn::StoreU(y, d, x + column);
  });
}

// to [gates * Hp] = d loss / d x of dy, with zeros in the padding; may be dy.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void NormaliseRowBackward(const Norm<T>& norm, const T* dy, const T* normal, T scale, T* to) {
  const D d;
  const Ops<D> ops;
  auto sum = hn::Zero(d), products = hn::Zero(d);
  const auto gradient = [&](At<D> at, std::int64_t column) HWY_ATTR {
    return at.Live(hn::Mul(hn::LoadU(d, dy + column), hn::LoadU(d, norm.factor + column)), norm.h);
  };
  ForEachVector<D>(norm, [&](At<D> at, std::int64_t column) HWY_ATTR {
    const auto dn = gradient(at, column);
    sum = hn::Add(sum, dn);
    products = hn::MulAdd(dn, at.Live(hn::LoadU(d, normal + column), norm.h), products);
  });
  const auto mean = MeanOf(d, sum, norm), mean_product = MeanOf(d, products, norm);
  ForEachVector<D>(norm, [&](At<D> at, std::int64_t column) HWY_ATTR {
    const auto dx = normalise_backward(ops, gradient(at, column), hn::LoadU(d, normal + column), mean,
                                       mean_product, hn::Set(d, scale));
    hn::StoreU(at.Live(dx, norm.h), d, to + column);
  });
}

// First phase forward: R h to sums, G gates of a row side by side.
template <int G, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void StoreSums(const ForwardStep<T>& a, At<D> at, const T* sums) {
  for (int g = 0; g < G; ++g) {
    at.Store(hn::Load(D(), sums + g * kLanes<T>), a.norms.sums + g * a.hp, G * a.hp);
  }
}

// A place in a sequence's array, null when that is.
template <class T>
HWY_INLINE T* RowOf(T* all, std::int64_t row, std::int64_t width) {
  return all == nullptr ? nullptr : all + row * width;
}

// Second phase forward, a row: normalises its sums, and has kEpilogue go on with each block.
template <int G, auto kEpilogue, class D, class T = hn::TFromD<D>>
HWY_INLINE void NormaliseSums(const ForwardStep<T>& a, std::int64_t row) {
  const std::int64_t width = G * a.hp, at_row = row * a.norms.row_stride;
  T* sums = a.norms.sums + row * width;
  NormaliseRow<D>(a.norms.h, sums, RowOf(a.norms.normal_h, at_row, width), RowOf(a.norms.scale_h, at_row, 1));
  HWY_ALIGN T block[G * kLanes<T>];
  for (At<D> at{row, 0}; at.unit < a.h; at.unit += kLanes<T>) {
    for (int g = 0; g < G; ++g) {
      hn::Store(hn::LoadU(D(), sums + g * a.hp + at.unit), D(), block + g * kLanes<T>);
    }
    kEpilogue(a, at, block);
  }
}

// First phase backward: d loss / d h_t, complete.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void StoreStateGradient(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  auto dh = LoadStateGradient(a, at, sum);
  at.Store(UnzoneOut<true>(a, at, dh), a.carry, a.sp);
  at.Store(dh, a.norms.dh, a.hp);
}

// Last in the second phase backward: from the gradients of a row's gates, from `column` on, to those of R h.
template <int G, class D, class T = hn::TFromD<D>>
HWY_INLINE void NormaliseSumsBackward(const BackwardStep<T>& a, std::int64_t row, std::int64_t column) {
  const std::int64_t width = G * a.hp, at_row = row * a.norms.row_stride;
  NormaliseRowBackward<D>(a.norms.h, a.gates + row * a.ld_gates + column * a.hp,
                          a.norms.normal_h + at_row * width, a.norms.scale_h[at_row],
                          a.norms.dr + at_row * width);
}
