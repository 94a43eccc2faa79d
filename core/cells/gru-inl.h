// GRU cell, pointwise part (Cho et al. 2014, arXiv:1406.1078), both places of the reset gate.
//
//   r, z = sigmoid(a_r, a_z)            a = W x_t + R h_{t-1} + b, gate order r z n
//   reset_after:   n = tanh(W_n x_t + b_in + r (R_n h_{t-1} + b_hn))
//   reset_before:  n = tanh(W_n x_t + R_n (r h_{t-1}) + b_n)
//   h_t = (1 - z) n + z h_{t-1}
//
// sigmoid and tanh stand for whatever `f` has, UsualFunctions or ChosenFunctions.
//
// Included once per instruction set, in a namespace that has RONDO_CELL_FN and an Ops policy: no includes.
// Arguments are read, then overwritten.

// The half that both variants share: z activation in; n pre-activation in, activation out.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_candidate_forward(const Ops& ops, const F& f, const V& z, V& n, const V& h_prev,
                                         V& h) {
  n = f.candidate(ops, n);
  h = ops.fma(z, ops.sub(h_prev, n), n);
}

// z, n: activations in, gradients of the pre-activations out. dh: d loss / d h_t. carry: d loss / d h_{t-1}
// by way of z h_{t-1}, out.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_candidate_backward(const Ops& ops, const F& f, V& z, V& n, const V& h_prev,
                                          const V& dh, V& carry) {
  carry = ops.mul(dh, z);
  const V d_z = ops.mul(dh, ops.sub(h_prev, n));
  n = ops.mul(ops.sub(dh, carry), f.candidate_slope(ops, n));
  z = ops.mul(d_z, f.gate_slope(ops, z));
}

// r, z: pre-activations in, activations out. n: W_n x + b_in in, activation out. rn: R_n h + b_hn.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_after_forward(const Ops& ops, const F& f, V& r, V& z, V& n, const V& rn,
                                     const V& h_prev, V& h) {
  r = f.gate(ops, r);
  z = f.gate(ops, z);
  n = ops.fma(r, rn, n);
  gru_candidate_forward(ops, f, z, n, h_prev, h);
}

// As gru_candidate_backward; n's gradient is that of W_n x + b_in, rn: R_n h + b_hn in, its gradient out.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_after_backward(const Ops& ops, const F& f, V& r, V& z, V& n, V& rn, const V& h_prev,
                                      const V& dh, V& carry) {
  gru_candidate_backward(ops, f, z, n, h_prev, dh, carry);
  const V d_r = ops.mul(n, rn);
  rn = ops.mul(n, r);
  r = ops.mul(d_r, f.gate_slope(ops, r));
}

// What reset_before does first: r, z pre-activations in, activations out; rh = r h_{t-1}, masked h under
// dropout. Then n = W_n x + R_n rh + b_n goes through the shared half.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_before_forward(const Ops& ops, const F& f, V& r, V& z, const V& h_masked, V& rh) {
  r = f.gate(ops, r);
  z = f.gate(ops, z);
  rh = ops.mul(r, h_masked);
}

// Its backward. r: activation in, gradient of the pre-activation out. drh: d loss / d rh, under dropout times
// the mask, so that h_prev is unmasked. dh: d loss / d h_{t-1} by way of rh, out.
template <class Ops, class F, class V>
RONDO_CELL_FN void gru_before_backward(const Ops& ops, const F& f, V& r, const V& h_prev, const V& drh,
                                       V& dh) {
  dh = ops.mul(drh, r);
  r = ops.mul(ops.mul(drh, h_prev), f.gate_slope(ops, r));
}
