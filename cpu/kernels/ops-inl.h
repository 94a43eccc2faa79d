// The Ops policy of core/cells on Highway vectors: arithmetic, tanh and the logistic sigmoid.
// Included once per instruction set by product-inl.h, inside that set's namespace.

// Constants of e^r - 1 = r + r^2 q(r) on |r| <= ln(2) / 2, q interpolated at Chebyshev nodes: relative error
// of the sum 2.5e-8 (f32, q of degree 4) and 4.1e-17 (f64, degree 9), below half a unit in the last place.
template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kMost = 87.3f;     // e^+-87.3 is a normal number
  static constexpr float kTanhOne = 9.02f;  // from here on tanh rounds to 1
  static constexpr float kQ[] = {0.5f, 0.166665768f, 0.0416665544f, 0.00836320297f, 0.00139262135f};
};
template <>
struct Exponential<double> {
  static constexpr double kLn2High = 0x1.62e42fefa38p-1, kLn2Low = 0x1.ef35793c7673p-45;
  static constexpr double kMost = 708, kTanhOne = 19.1;
  static constexpr double kQ[] = {0.500000000000000103,     0.166666666666666675,   0.0416666666666239915,
                                  0.00833333333333005135,   0.00138888889172817933, 0.000198412698631059687,
                                  0.0000248015211902177277, 2.75572683786841929e-6, 2.76201387197339956e-7,
                                  2.51004241570050668e-8};
};

template <class D>
struct Ops {
  D d;
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;
  using E = Exponential<T>;
  HWY_INLINE V mul(V a, V b) const { return hn::Mul(a, b); }
  HWY_INLINE V sub(V a, V b) const { return hn::Sub(a, b); }
  HWY_INLINE V fma(V a, V b, V c) const { return hn::MulAdd(a, b, c); }
  HWY_INLINE V add(V a, V b) const { return hn::Add(a, b); }
  HWY_INLINE V div(V a, V b) const { return hn::Div(a, b); }
  HWY_INLINE V abs(V a) const { return hn::Abs(a); }
  HWY_INLINE V set(T value) const { return hn::Set(d, value); }
  HWY_INLINE V one() const { return set(1); }
  HWY_INLINE V where_positive(V condition, V yes, V no) const {
    return hn::IfThenElse(hn::Gt(condition, hn::Zero(d)), yes, no);
  }
  // value where low < x < high, else 0.
  HWY_INLINE V where_between(V x, V low, V high, V value) const {
    return hn::IfThenElseZero(hn::And(hn::Gt(x, low), hn::Lt(x, high)), value);
  }
  HWY_INLINE V max_zero(V a) const { return hn::IfThenElse(hn::Lt(a, hn::Zero(d)), hn::Zero(d), a); }
  HWY_INLINE V where_positive(V condition, V value) const {
    return hn::IfThenElseZero(hn::Gt(condition, hn::Zero(d)), value);
  }
  // Derivatives of the two functions below, by the functions' values.
  HWY_INLINE V sigmoid_slope(V y) const { return hn::Mul(y, hn::Sub(set(1), y)); }
  HWY_INLINE V tanh_slope(V y) const { return hn::Sub(set(1), hn::Mul(y, y)); }

  // At most 2 ulp. 1 / (1 + e^-x)
  HWY_INLINE V sigmoid(V x) const {
    V scale;
    const V p = exp_minus_one(clamp(hn::Neg(x), E::kMost), scale);
    return reciprocal(hn::Add(set(1), hn::MulAdd(scale, p, scale)));
  }
  // At most 3 ulp, also near 0. m / (m + 2) with m = e^2x - 1
  HWY_INLINE V tanh(V x) const {
    V scale;
    const V clamped = clamp(x, E::kTanhOne);
    const V p = exp_minus_one(hn::Add(clamped, clamped), scale);
    const V m = hn::MulAdd(scale, p, hn::Sub(scale, set(1)));
    return hn::Mul(m, reciprocal(hn::Add(m, set(2))));
  }

  // e^x - 1 for x up to where e^x overflows.
  HWY_INLINE V expm1(V x) const {
    V scale;
    const V p = exp_minus_one(clamp(x, E::kMost), scale);
    return hn::MulAdd(scale, p, hn::Sub(scale, set(1)));
  }
  // ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
  HWY_INLINE V softplus(V x) const {
    V scale;
    const V p = exp_minus_one(clamp(hn::Neg(hn::Abs(x)), E::kMost), scale);
    return hn::Add(max_zero(x), hn::Log1p(d, hn::MulAdd(scale, p, scale)));
  }

  // Passes a NaN on, as do min and max of x86 where it is the second operand, and comparisons anywhere.
  HWY_INLINE V clamp(V x, T most) const {
    if constexpr (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3) {
      return hn::Max(set(-most), hn::Min(set(most), x));
    }
    const V below = hn::IfThenElse(hn::Gt(x, set(most)), set(most), x);
    return hn::IfThenElse(hn::Lt(below, set(-most)), set(-most), below);
  }

 private:
  // 1 / x for normal x of a normal reciprocal. To 14 bits, and one of Newton's steps, where that takes half
  // the time of a division.
  HWY_INLINE V reciprocal(V x) const {
    if constexpr (HWY_TARGET == HWY_AVX3 && sizeof(T) == 4) {
      const V y = hn::ApproximateReciprocal(x);
      return hn::MulAdd(hn::NegMulAdd(x, y, set(1)), y, y);
    }
    return hn::Div(set(1), x);
  }

  // p and scale with e^x = scale (1 + p), scale a power of two.
  HWY_INLINE V exp_minus_one(V x, V& scale) const {
    using Limits = std::numeric_limits<T>;
    constexpr int kMantissa = Limits::digits - 1, kBias = Limits::max_exponent - 1;
    const V rounder = set(T(3LL << (kMantissa - 1)));  // adding it leaves the nearest integer in the low bits
    const hn::RebindToUnsigned<D> du;
    const V shifted = hn::MulAdd(x, set(T(1.44269504088896341)), rounder);  // log2(e) x
    const V n = hn::Sub(shifted, rounder);
    const auto exponent = hn::Add(hn::BitCast(du, shifted), hn::Set(du, kBias));
    scale = hn::BitCast(d, hn::ShiftLeft<kMantissa>(exponent));
    const V r = hn::NegMulAdd(n, set(E::kLn2Low), hn::NegMulAdd(n, set(E::kLn2High), x));
    const V r2 = hn::Mul(r, r);
    // q by pairs of terms, then Horner in r^2: half the latency of Horner in r.
    constexpr int kTerms = static_cast<int>(std::size(E::kQ)), kLast = (kTerms - 1) / 2 * 2;
    V q = set(E::kQ[kLast]);
    if constexpr (kLast + 1 < kTerms) q = hn::MulAdd(r, set(E::kQ[kTerms - 1]), q);
    HWY_UNROLL(8) for (int i = kLast - 2; i >= 0; i -= 2) {
      q = hn::MulAdd(q, r2, hn::MulAdd(r, set(E::kQ[i + 1]), set(E::kQ[i])));
    }
    return hn::MulAdd(r2, q, r);
  }
};

// The same on two vectors.
template <class V>
struct Two {
  // Of their own, since for NEON those that a compiler adds are not of the instruction set.
  HWY_INLINE Two() {}
  HWY_INLINE Two(V of_a, V of_b) : a(of_a), b(of_b) {}
  V a, b;
};
template <class D>
struct OpsOfTwo {
  using V = Two<hn::Vec<D>>;
  using T = hn::TFromD<D>;
  Ops<D> one_of;
  HWY_INLINE V mul(V x, V y) const { return {one_of.mul(x.a, y.a), one_of.mul(x.b, y.b)}; }
  HWY_INLINE V add(V x, V y) const { return {one_of.add(x.a, y.a), one_of.add(x.b, y.b)}; }
  HWY_INLINE V sub(V x, V y) const { return {one_of.sub(x.a, y.a), one_of.sub(x.b, y.b)}; }
  HWY_INLINE V fma(V x, V y, V z) const { return {one_of.fma(x.a, y.a, z.a), one_of.fma(x.b, y.b, z.b)}; }
  HWY_INLINE V set(T value) const { return {one_of.set(value), one_of.set(value)}; }
  HWY_INLINE V sigmoid(V x) const { return {one_of.sigmoid(x.a), one_of.sigmoid(x.b)}; }
  HWY_INLINE V tanh(V x) const { return {one_of.tanh(x.a), one_of.tanh(x.b)}; }
  HWY_INLINE V max_zero(V x) const { return {one_of.max_zero(x.a), one_of.max_zero(x.b)}; }
  HWY_INLINE V sigmoid_slope(V y) const { return {one_of.sigmoid_slope(y.a), one_of.sigmoid_slope(y.b)}; }
  HWY_INLINE V tanh_slope(V y) const { return {one_of.tanh_slope(y.a), one_of.tanh_slope(y.b)}; }
  HWY_INLINE V where_positive(V condition, V value) const {
    return {one_of.where_positive(condition.a, value.a), one_of.where_positive(condition.b, value.b)};
  }
};
