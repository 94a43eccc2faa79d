// SimpleRNN cell, pointwise part (Elman 1990).
//
//   h_t = f(W x_t + R h_{t-1} + b)      f = tanh or relu
//
// Included once per instruction set inside the includer's namespace: no includes, no namespace here.
// The includer defines RONDO_CELL_FN and an Ops policy.

template <class Ops, class V>
RONDO_CELL_FN V simple_tanh_forward(const Ops& ops, const V& a) {
  return ops.tanh(a);
}
// h = f(a); both derivatives follow from it.
template <class Ops, class V>
RONDO_CELL_FN V simple_tanh_backward(const Ops& ops, const V& h, const V& dh) {
  return ops.mul(dh, ops.one_minus(ops.mul(h, h)));
}
template <class Ops, class V>
RONDO_CELL_FN V simple_relu_forward(const Ops& ops, const V& a) {
  return ops.max_zero(a);
}
template <class Ops, class V>
RONDO_CELL_FN V simple_relu_backward(const Ops& ops, const V& h, const V& dh) {
  return ops.where_positive(h, dh);
}
