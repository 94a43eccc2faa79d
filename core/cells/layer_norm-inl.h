// Layer normalisation (Ba et al. 2016, arXiv:1607.06450), pointwise part: of a row x with its mean and
// variance,
//
//   y = factor n + shift      n = (x - mean) scale      scale = 1 / sqrt(variance + epsilon)
//
// An LSTM's and a GRU's sums W x and R h are normalised over all gates together, without a shift, since the
// biases come after; c on its way to h by itself.
//
// Included once per instruction set, in a namespace that has RONDO_CELL_FN and an Ops policy: no includes.

template <class Ops, class V>
RONDO_CELL_FN V normalise(const Ops& ops, const V& x, const V& mean, const V& scale) {
  return ops.mul(ops.sub(x, mean), scale);
}

// d loss / d x of d = d loss / d n, with the means of d and of d n over the row.
template <class Ops, class V>
RONDO_CELL_FN V normalise_backward(const Ops& ops, const V& d, const V& n, const V& mean_d, const V& mean_dn,
                                   const V& scale) {
  return ops.mul(ops.sub(ops.sub(d, mean_d), ops.mul(n, mean_dn)), scale);
}
