// The Ops policy of core/cells on Highway vectors.
// Included once per instruction set, inside that set's namespace, after product-inl.h.

template <class D>
struct Ops {
  D d;
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;
  HWY_INLINE V mul(V a, V b) const { return hn::Mul(a, b); }
  HWY_INLINE V sub(V a, V b) const { return hn::Sub(a, b); }
  HWY_INLINE V fma(V a, V b, V c) const { return hn::MulAdd(a, b, c); }
  HWY_INLINE V one_minus(V a) const { return hn::Sub(hn::Set(d, T(1)), a); }
  HWY_INLINE V max_zero(V a) const { return hn::Max(a, hn::Zero(d)); }
  HWY_INLINE V where_positive(V condition, V value) const {
    return hn::IfThenElseZero(hn::Gt(condition, hn::Zero(d)), value);
  }
  // Highway's exp and tanh: at most 1 and 4 ulp (hwy/contrib/math/math-inl.h).
  HWY_INLINE V tanh(V a) const { return hn::Tanh(d, a); }
  HWY_INLINE V sigmoid(V a) const {
    const V one = hn::Set(d, T(1));
    return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(a))));
  }
};
