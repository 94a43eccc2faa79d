// GRU cell, pointwise part (Cho et al. 2014, arXiv:1406.1078), both places of the reset gate.
//
//   r, z = sigmoid(a_r, a_z)            a = W x_t + R h_{t-1} + b, gate order r z n
//   reset_after:   n = tanh(W_n x_t + b_in + r (R_n h_{t-1} + b_hn))
//   reset_before:  n = tanh(W_n x_t + R_n (r h_{t-1}) + b_n)
//   h_t = (1 - z) n + z h_{t-1}
//
// Included once per instruction set inside the includer's namespace: no includes, no namespace here.
// The includer defines RONDO_CELL_FN and an Ops policy. Arguments are read, then overwritten.

// r, z: pre-activations in, activations out. n: W_n x + b_in in, activation out. hn: R_n h + b_hn.
template <class Ops, class V>
RONDO_CELL_FN void gru_after_forward(const Ops& ops, V& r, V& z, V& n, const V& hn, const V& h_prev, V& h) {
  r = ops.sigmoid(r);
  z = ops.sigmoid(z);
  n = ops.tanh(ops.fma(r, hn, n));
  h = ops.fma(z, ops.sub(h_prev, n), n);
}

// r, z, n: activations in, gradients of the pre-activations out (n: of W_n x + b_in). hn: R_n h + b_hn in,
// its gradient out. dh: d loss / d h_t. carry: d loss / d h_{t-1} by way of z h_{t-1}, out.
template <class Ops, class V>
RONDO_CELL_FN void gru_after_backward(const Ops& ops, V& r, V& z, V& n, V& hn, const V& h_prev, const V& dh,
                                      V& carry) {
  carry = ops.mul(dh, z);
  const V d_z = ops.mul(dh, ops.sub(h_prev, n));
  const V d_n = ops.mul(ops.sub(dh, carry), ops.one_minus(ops.mul(n, n)));
  const V d_r = ops.mul(d_n, hn);
  hn = ops.mul(d_n, r);
  n = d_n;
  r = ops.mul(d_r, ops.mul(r, ops.one_minus(r)));
  z = ops.mul(d_z, ops.mul(z, ops.one_minus(z)));
}

// First half of reset_before: r, z pre-activations in, activations out; rh = r h_{t-1}, masked h under dropout.
template <class Ops, class V>
RONDO_CELL_FN void gru_before_gates_forward(const Ops& ops, V& r, V& z, const V& h_masked, V& rh) {
  r = ops.sigmoid(r);
  z = ops.sigmoid(z);
  rh = ops.mul(r, h_masked);
}

// Second half: n = W_n x + R_n rh + b_n in, activation out.
template <class Ops, class V>
RONDO_CELL_FN void gru_before_candidate_forward(const Ops& ops, const V& z, V& n, const V& h_prev, V& h) {
  n = ops.tanh(n);
  h = ops.fma(z, ops.sub(h_prev, n), n);
}

// Backward of the second half: z, n activations in, gradients of the pre-activations out.
template <class Ops, class V>
RONDO_CELL_FN void gru_before_candidate_backward(const Ops& ops, V& z, V& n, const V& h_prev, const V& dh, V& carry) {
  carry = ops.mul(dh, z);
  const V d_z = ops.mul(dh, ops.sub(h_prev, n));
  n = ops.mul(ops.sub(dh, carry), ops.one_minus(ops.mul(n, n)));
  z = ops.mul(d_z, ops.mul(z, ops.one_minus(z)));
}

// Backward of the first half. drh: d loss / d rh. r: activation in, gradient of the pre-activation out.
// dh_masked: d loss / d h_masked by way of rh.
template <class Ops, class V>
RONDO_CELL_FN void gru_before_gates_backward(const Ops& ops, V& r, const V& h_masked, const V& drh, V& dh_masked) {
  dh_masked = ops.mul(drh, r);
  r = ops.mul(ops.mul(drh, h_masked), ops.mul(r, ops.one_minus(r)));
}
