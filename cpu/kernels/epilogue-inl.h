// What the cells' epilogues load and store of a step, at one place or two.
// Included once per instruction set by product-inl.h, inside that set's namespace.

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

  // A row x [k] times a column [k] of packed blocks, summed as tiles do.
  HWY_INLINE V Product(const T* x, std::int64_t k, const T* packed) const {
    const T* weights = packed + unit * k;
    V sum = hn::Zero(D());
    for (std::int64_t i = 0; i < k; ++i) {
      sum = hn::MulAdd(hn::Set(D(), x[i]), hn::Load(D(), weights + i * kLanes<T>), sum);
    }
    return sum;
  }

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
  HWY_INLINE V Product(const T* x, std::int64_t k, const T* packed) const {
    return {a.Product(x, k, packed), b.Product(x, k, packed)};
  }
  HWY_INLINE V Live(V v, std::int64_t h) const { return {a.Live(v.a, h), b.Live(v.b, h)}; }
  HWY_INLINE V LoadPart(const T* rows, std::int64_t ld, std::int64_t h) const {
    return {a.LoadPart(rows, ld, h), b.LoadPart(rows, ld, h)};
  }
  HWY_INLINE void StorePart(V v, T* rows, std::int64_t ld, std::int64_t h) const {
    a.StorePart(v.a, rows, ld, h), b.StorePart(v.b, rows, ld, h);
  }
};

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
template <class Where, class T = typename Where::T>
HWY_INLINE typename Where::V LoadInput(const ForwardRow<T>& a, Where at, std::int64_t column) {
  return at.ops().add(at.Product(a.x, a.inputs, a.input + column * a.hp * a.inputs),
                      at.Load(a.bias + column * a.hp, 0));
}
// W x + R h + b: the product's sums from the first on, with the columns from `column` on.
template <class Where, class Step, class T, class... V>
HWY_INLINE void LoadSums(const Step& a, Where at, const T* sums, std::int64_t column, V&... v) {
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
