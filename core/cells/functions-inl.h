// The functions of gates, candidate and output: the usual ones at compile time, others by CellOptions, which
// is asked once for a vector. Derivatives follow from values. And zoneout (Krueger et al. 2017,
// arXiv:1606.01305).
//
// Included once per instruction set, in a namespace that has RONDO_CELL_FN, RONDO_CELL_CALL (the same, not
// inlined) and an Ops policy: no includes.

template <class Ops, class T, class V>
RONDO_CELL_CALL V activate(const Ops& ops, const CellFunction<T>& f, V x) {
  const V alpha = ops.set(f.alpha), beta = ops.set(f.beta), one = ops.set(T(1));
  switch (f.kind) {
    case Activation::kTanh:
      return ops.tanh(x);
    case Activation::kRelu:
      return ops.max_zero(x);
    case Activation::kSigmoid:
      return ops.sigmoid(x);
    case Activation::kHardSigmoid:
      x = ops.max_zero(ops.fma(alpha, x, beta));
      return ops.where_positive(ops.sub(x, one), one, x);
    case Activation::kAffine:
      return ops.fma(alpha, x, beta);
    case Activation::kSoftsign:
      return ops.div(x, ops.add(one, ops.abs(x)));
    case Activation::kSoftplus:
      return ops.softplus(x);
    case Activation::kElu:
      return ops.where_positive(x, x, ops.mul(alpha, ops.expm1(x)));
    case Activation::kLeakyRelu:
      return ops.where_positive(x, x, ops.mul(alpha, x));
    case Activation::kScaledTanh:
      return ops.mul(alpha, ops.tanh(ops.mul(beta, x)));
    case Activation::kThresholdedRelu:
      return ops.where_positive(ops.sub(x, alpha), x, ops.set(T(0)));
  }
  return x;
}

// By the value y = f(x).
template <class Ops, class T, class V>
RONDO_CELL_FN V unclipped_slope(const Ops& ops, const CellFunction<T>& f, V y) {
  const V alpha = ops.set(f.alpha), beta = ops.set(f.beta), one = ops.set(T(1)), zero = ops.set(T(0));
  switch (f.kind) {
    case Activation::kTanh:
      return ops.tanh_slope(y);
    case Activation::kRelu:
    case Activation::kThresholdedRelu:
      return ops.where_positive(y, one, zero);
    case Activation::kSigmoid:
      return ops.sigmoid_slope(y);
    case Activation::kHardSigmoid:
      return ops.where_between(y, zero, one, alpha);
    case Activation::kAffine:
      return alpha;
    case Activation::kSoftsign: {
      const V rest = ops.sub(one, ops.abs(y));
      return ops.mul(rest, rest);
    }
    case Activation::kSoftplus:  // 1 - e^-y
      return ops.sub(zero, ops.expm1(ops.sub(zero, y)));
    case Activation::kElu:
      return ops.where_positive(y, one, ops.add(y, alpha));
    case Activation::kLeakyRelu:
      return ops.where_positive(y, one, alpha);
    case Activation::kScaledTanh:
      return ops.mul(beta, ops.sub(alpha, ops.div(ops.mul(y, y), alpha)));
  }
  return y;
}
template <class Ops, class T, class V>
RONDO_CELL_CALL V slope(const Ops& ops, const CellFunction<T>& f, V y) {
  const V whole = unclipped_slope(ops, f, y);
  const bool bounded = f.low > -std::numeric_limits<T>::infinity();  // else infinities and NaN pass too
  return bounded ? ops.where_between(y, ops.set(f.low), ops.set(f.high), whole) : whole;
}

// Of GRU and LSTM: sigmoid and tanh.
struct UsualFunctions {
  template <class Ops, class V>
  RONDO_CELL_FN V gate(const Ops& ops, const V& x) const {
    return ops.sigmoid(x);
  }
  template <class Ops, class V>
  RONDO_CELL_FN V gate_slope(const Ops& ops, const V& y) const {
    return ops.sigmoid_slope(y);
  }
  template <class Ops, class V>
  RONDO_CELL_FN V candidate(const Ops& ops, const V& x) const {
    return ops.tanh(x);
  }
  template <class Ops, class V>
  RONDO_CELL_FN V candidate_slope(const Ops& ops, const V& y) const {
    return ops.tanh_slope(y);
  }
};

// As configured, behind the clip of pre-activations.
template <class T>
struct ChosenFunctions {
  const CellOptions<T>& options;
  template <class Ops, class V>
  RONDO_CELL_FN V clipped(const Ops& ops, const V& x) const {
    return options.clip > 0 ? ops.clamp(x, options.clip) : x;
  }
  template <class Ops, class V>
  RONDO_CELL_FN V gate(const Ops& ops, const V& x) const {
    return activate(ops, options.gate, clipped(ops, x));
  }
  template <class Ops, class V>
  RONDO_CELL_FN V gate_slope(const Ops& ops, const V& y) const {
    return slope(ops, options.gate, y);
  }
  template <class Ops, class V>
  RONDO_CELL_FN V candidate(const Ops& ops, const V& x) const {
    return activate(ops, options.candidate, clipped(ops, x));
  }
  template <class Ops, class V>
  RONDO_CELL_FN V candidate_slope(const Ops& ops, const V& y) const {
    return slope(ops, options.candidate, y);
  }
};

// s_t = u s~_t + (1 - u) s_{t-1}, u = 0 or 1 in training, in inference 1 less the rate.
template <class Ops, class V>
RONDO_CELL_FN V zoneout_forward(const Ops& ops, const V& u, const V& prev, const V& next) {
  return ops.fma(u, next, ops.mul(ops.sub(ops.one(), u), prev));
}
// d: d loss / d s_t in, d loss / d s~_t out. Returns what goes to s_{t-1} at once.
template <class Ops, class V>
RONDO_CELL_FN V zoneout_backward(const Ops& ops, const V& u, V& d) {
  const V whole = d;
  d = ops.mul(whole, u);
  return ops.sub(whole, d);
}
