// LSTM cell, pointwise part (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).
//
//   i, f, o = sigmoid(a_i, a_f, a_o)    g = tanh(a_g)    a = W x_t + R h_{t-1} + b, gate order i f g o
//   c_t = f c_{t-1} + i g               h_t = o tanh(c_t)
//
// Included once per instruction set, in a namespace that has RONDO_CELL_FN and an Ops policy: no includes.
// Arguments are read, then overwritten.

// i f g o: pre-activations in, activations out. c: c_{t-1} in, c_t out.
template <class Ops, class V>
RONDO_CELL_FN void lstm_forward(const Ops& ops, V& i, V& f, V& g, V& o, V& c, V& h) {
  i = ops.sigmoid(i);
  f = ops.sigmoid(f);
  g = ops.tanh(g);
  o = ops.sigmoid(o);
  c = ops.fma(f, c, ops.mul(i, g));
  h = ops.mul(o, ops.tanh(c));
}

// i f g o: activations in, gradients of the pre-activations out. dc: d loss / d c_t by way of c_{t+1} in,
// d loss / d c_{t-1} out. dh: d loss / d h_t, complete.
template <class Ops, class V>
RONDO_CELL_FN void lstm_backward(const Ops& ops, V& i, V& f, V& g, V& o, const V& c_prev, const V& c,
                                 const V& dh, V& dc) {
  const V tanh_c = ops.tanh(c);
  const V d_c = ops.fma(ops.mul(dh, o), ops.tanh_slope(tanh_c), dc);
  const V d_i = ops.mul(d_c, g);
  const V d_g = ops.mul(d_c, i);
  dc = ops.mul(d_c, f);
  i = ops.mul(d_i, ops.sigmoid_slope(i));
  f = ops.mul(ops.mul(d_c, c_prev), ops.sigmoid_slope(f));
  g = ops.mul(d_g, ops.tanh_slope(g));
  o = ops.mul(ops.mul(dh, tanh_c), ops.sigmoid_slope(o));
}
