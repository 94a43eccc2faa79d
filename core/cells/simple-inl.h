// SimpleRNN cell, pointwise part (Elman 1990).
//
//   h_t = f(W x_t + R h_{t-1} + b)      f = tanh or relu, or the candidate's function of ChosenFunctions
//
// Included once per instruction set, in a namespace that has RONDO_CELL_FN and an Ops policy: no includes.

template <bool kRelu, class Ops, class V>
RONDO_CELL_FN V simple_forward(const Ops& ops, const V& a) {
  return kRelu ? ops.max_zero(a) : ops.tanh(a);
}

// h = f(a); both derivatives follow from it.
template <bool kRelu, class Ops, class V>
RONDO_CELL_FN V simple_backward(const Ops& ops, const V& h, const V& dh) {
  return kRelu ? ops.where_positive(h, dh) : ops.mul(dh, ops.tanh_slope(h));
}
