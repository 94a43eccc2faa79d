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

// With the options of RnnConfig: f = 1 - i (input_forget); peepholes p (Gers and Schmidhuber 2000), zeros
// where there are none; c_t clipped.
//
//   i = gate(a_i + p_i c_{t-1})     f = gate(a_f + p_f c_{t-1})     g = candidate(a_g)
//   c_t = clip(f c_{t-1} + i g)     o = gate(a_o + p_o c_t)         h_t = o output(c_t)
template <class V>
struct Peepholes {
  V i, f, o;
};

// Both passes.
template <class Ops, class T, class V>
RONDO_CELL_FN V lstm_cell_state(const Ops& ops, const CellOptions<T>& options, const V& i, const V& f,
                                const V& g, const V& c_prev) {
  const V c = ops.fma(f, c_prev, ops.mul(i, g));
  return options.cell_clip > 0 ? ops.clamp(c, options.cell_clip) : c;
}

// i f g o: pre-activations in, activations out. c: c_t out.
template <class Ops, class T, class V>
RONDO_CELL_FN void lstm_gates_forward(const Ops& ops, const CellOptions<T>& options, const Peepholes<V>& p,
                                      V& i, V& f, V& g, V& o, const V& c_prev, V& c) {
  const ChosenFunctions<T> functions{options};
  i = functions.gate(ops, ops.fma(p.i, c_prev, i));
  f = options.input_forget ? ops.sub(ops.one(), i) : functions.gate(ops, ops.fma(p.f, c_prev, f));
  g = functions.candidate(ops, g);
  c = lstm_cell_state(ops, options, i, f, g, c_prev);
  o = functions.gate(ops, ops.fma(p.o, c, o));
}

// h of c, or of what layer normalisation makes of it.
template <class Ops, class T, class V>
RONDO_CELL_FN V lstm_output_forward(const Ops& ops, const CellOptions<T>& options, const V& o, const V& c) {
  return ops.mul(o, activate(ops, options.output, c));
}

template <class Ops, class T, class V>
RONDO_CELL_FN void lstm_general_forward(const Ops& ops, const CellOptions<T>& options, const Peepholes<V>& p,
                                        V& i, V& f, V& g, V& o, const V& c_prev, V& c, V& h) {
  lstm_gates_forward(ops, options, p, i, f, g, o, c_prev, c);
  h = lstm_output_forward(ops, options, o, c);
}

// o: activation in, gradient of the pre-activation out. c: what lstm_output_forward read. Returns d loss / d
// of that.
template <class Ops, class T, class V>
RONDO_CELL_FN V lstm_output_backward(const Ops& ops, const CellOptions<T>& options, V& o, const V& c,
                                     const V& dh) {
  const V out = activate(ops, options.output, c);
  const V d_out = ops.mul(ops.mul(dh, o), slope(ops, options.output, out));
  o = ops.mul(ops.mul(dh, out), ChosenFunctions<T>{options}.gate_slope(ops, o));
  return d_out;
}

// i f g: activations in, gradients of the pre-activations out. o: its gradient. c: c_t. dc: d loss / d c_t,
// before zoneout, but for what comes through o, in; d loss / d c_{t-1} out.
template <class Ops, class T, class V>
RONDO_CELL_FN void lstm_gates_backward(const Ops& ops, const CellOptions<T>& options, const Peepholes<V>& p,
                                       V& i, V& f, V& g, const V& o, const V& c_prev, const V& c, V& dc) {
  const ChosenFunctions<T> functions{options};
  V d_c = ops.fma(o, p.o, dc);
  if (options.cell_clip > 0) {
    const V bound = ops.set(options.cell_clip);
    d_c = ops.where_between(c, ops.sub(ops.set(T(0)), bound), bound, d_c);
  }
  V d_i = ops.mul(d_c, g), d_f = ops.mul(d_c, c_prev);
  const V d_g = ops.mul(d_c, i), kept = f;
  if (options.input_forget) {
    d_i = ops.sub(d_i, d_f);
    d_f = ops.set(T(0));
  }
  i = ops.mul(d_i, functions.gate_slope(ops, i));
  f = ops.mul(d_f, functions.gate_slope(ops, f));
  g = ops.mul(d_g, functions.candidate_slope(ops, g));
  dc = ops.fma(d_c, kept, ops.fma(i, p.i, ops.mul(f, p.f)));
}

// As lstm_backward; dc in is of c_t before zoneout. c: out, c_t once more.
template <class Ops, class T, class V>
RONDO_CELL_FN void lstm_general_backward(const Ops& ops, const CellOptions<T>& options, const Peepholes<V>& p,
                                         V& i, V& f, V& g, V& o, const V& c_prev, const V& dh, V& dc, V& c) {
  c = lstm_cell_state(ops, options, i, f, g, c_prev);
  dc = ops.add(lstm_output_backward(ops, options, o, c, dh), dc);
  lstm_gates_backward(ops, options, p, i, f, g, o, c_prev, c, dc);
}
