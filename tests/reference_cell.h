// One step of one row of one cell, forward and backward, in plain loops from the equations.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rondo/types.h"
#include "rounded.h"

namespace rondo::reference {

using Index = std::int64_t;
template <class Real>
using Vec = std::vector<Real>;

// What a step read and computed; backward reads it again. Vectors of all gates are [G, width].
template <class Real>
struct Step {
  Vec<Real> x, h_prev, c_prev;
  Vec<Real> x_in, h_in;  // what W and R of each gate were multiplied with: masked x, masked (and reset) h
  Vec<Real> u, v;        // u = W x_in + b_ih, v = R h_in + b_hh
  Vec<Real> gate;        // activated
  Vec<Real> h, c;
};

// The parameters of one layer and direction; absent biases are null.
template <class Real>
struct CellWeights {
  const Real* w = nullptr;
  const Real* r = nullptr;
  const Real* b_ih = nullptr;
  const Real* b_hh = nullptr;
};
template <class Real>
struct CellGradients {
  Real* w = nullptr;
  Real* r = nullptr;
  Real* b_ih = nullptr;
  Real* b_hh = nullptr;
};

template <class Real>
Real sigmoid(Real a) {
  using std::exp;
  return 1 / (1 + exp(-a));
}

template <class Real>
struct RowCell {
  using Sum = SumOf<Real>;
  RnnConfig config;
  Index in = 0;
  CellWeights<Real> weights;
  Vec<const Real*> x_mask, h_mask;  // one pointer a gate, null without a mask

  Index hidden() const { return config.hidden_size; }
  Index gates() const { return config.cell == Cell::kLstm ? 4 : config.cell == Cell::kGru ? 3 : 1; }
  bool reset_before() const { return config.cell == Cell::kGru && config.gru_reset == GruReset::kBefore; }
  Real x_factor(Index g, Index i) const { return x_mask[g] ? x_mask[g][i] : Real(1); }
  Real h_factor(Index g, Index k) const { return h_mask[g] ? h_mask[g][k] : Real(1); }

  // x, h_prev and c_prev are given; fills the rest.
  void forward(Step<Real>& s) const {
    const Index H = hidden(), G = gates();
    s.x_in.assign(G * in, 0);
    s.h_in.assign(G * H, 0);
    s.u.assign(G * H, 0);
    s.v.assign(G * H, 0);
    s.gate.assign(G * H, 0);
    for (Index g = 0; g < G; ++g) {
      for (Index i = 0; i < in; ++i) s.x_in[g * in + i] = s.x[i] * x_factor(g, i);
      for (Index k = 0; k < H; ++k) {
        s.h_in[g * H + k] = s.h_prev[k] * h_factor(g, k);
        if (reset_before() && g == 2) s.h_in[g * H + k] *= s.gate[k];
      }
      for (Index j = g * H; j < (g + 1) * H; ++j) {
        Sum u(weights.b_ih ? weights.b_ih[j] : Real(0)), v(weights.b_hh ? weights.b_hh[j] : Real(0));
        for (Index i = 0; i < in; ++i) u += Sum(weights.w[j * in + i]) * Sum(s.x_in[g * in + i]);
        for (Index k = 0; k < H; ++k) v += Sum(weights.r[j * H + k]) * Sum(s.h_in[g * H + k]);
        s.u[j] = Real(u);
        s.v[j] = Real(v);
        s.gate[j] = activate(g, j - g * H, s.u[j], s.v[j], s);
      }
    }
    s.h.assign(H, 0);
    s.c.assign(config.cell == Cell::kLstm ? H : 0, 0);
    for (Index j = 0; j < H; ++j) next_state(s, j);
  }

  Real activate(Index g, Index j, Real u, Real v, const Step<Real>& s) const {
    using std::tanh;
    if (config.cell == Cell::kSimpleRnn) {
      return config.activation == Activation::kRelu ? std::max(u + v, Real(0)) : tanh(u + v);
    }
    if (config.cell == Cell::kLstm) return g == 2 ? tanh(u + v) : sigmoid(u + v);
    if (g < 2) return sigmoid(u + v);
    return reset_before() ? tanh(u + v) : tanh(u + s.gate[j] * v);
  }

  void next_state(Step<Real>& s, Index j) const {
    using std::tanh;
    const Index H = hidden();
    const Vec<Real>& a = s.gate;
    if (config.cell == Cell::kSimpleRnn) s.h[j] = a[j];
    if (config.cell == Cell::kLstm) {
      s.c[j] = a[H + j] * s.c_prev[j] + a[j] * a[2 * H + j];
      s.h[j] = a[3 * H + j] * tanh(s.c[j]);
    }
    if (config.cell == Cell::kGru) s.h[j] = (1 - a[H + j]) * a[2 * H + j] + a[H + j] * s.h_prev[j];
  }

  // dh and dc: gradients of this step's h and c on entry, of h_prev and c_prev on return.
  // Adds to dx [in] and to the gradients of the parameters.
  void backward(const Step<Real>& s, Vec<Real>& dh, Vec<Real>& dc, Real* dx, CellGradients<Real> d) const {
    const Index H = hidden(), G = gates();
    Vec<Real> du(G * H, 0), dv(G * H, 0), dh_prev(H, 0);
    for (Index j = 0; j < H; ++j) {
      if (config.cell == Cell::kSimpleRnn) du[j] = dv[j] = dh[j] * slope(s.h[j]);
      if (config.cell == Cell::kLstm) lstm_backward(s, j, dh[j], dc[j], du);
      if (config.cell == Cell::kGru) dh_prev[j] += gru_backward(s, j, dh[j], du, dv);
    }
    if (config.cell == Cell::kLstm) dv = du;
    for (Index g = G; g-- > 0;) {  // n before r: under reset_before r's gradient comes through n's product
      for (Index k = 0; k < H; ++k) {
        Sum sum = 0;
        for (Index j = g * H; j < (g + 1) * H; ++j) {
          sum += Sum(weights.r[j * H + k]) * Sum(dv[j]);
          d.r[j * H + k] += dv[j] * s.h_in[g * H + k];
        }
        Real dh_in = Real(sum) * h_factor(g, k);
        if (reset_before() && g == 2) {
          const Real r = s.gate[k];
          du[k] = dv[k] = dh_in * s.h_prev[k] * r * (1 - r);
          dh_in *= r;
        }
        dh_prev[k] += dh_in;
      }
      for (Index j = g * H; j < (g + 1) * H; ++j) {
        for (Index i = 0; i < in; ++i) {
          dx[i] += weights.w[j * in + i] * du[j] * x_factor(g, i);
          d.w[j * in + i] += du[j] * s.x_in[g * in + i];
        }
        if (d.b_ih) d.b_ih[j] += du[j];
        if (d.b_hh) d.b_hh[j] += dv[j];
      }
    }
    dh = dh_prev;
  }

  // The derivative of the SimpleRNN's activation, from its value.
  Real slope(Real h) const {
    if (config.activation == Activation::kRelu) return h > 0 ? Real(1) : Real(0);
    return 1 - h * h;
  }

  void lstm_backward(const Step<Real>& s, Index j, Real dh, Real& dc, Vec<Real>& da) const {
    using std::tanh;
    const Index H = hidden();
    const Real i = s.gate[j], f = s.gate[H + j], g = s.gate[2 * H + j], o = s.gate[3 * H + j];
    const Real tanh_c = tanh(s.c[j]);
    const Real dc_all = dc + dh * o * (1 - tanh_c * tanh_c);
    da[j] = dc_all * g * i * (1 - i);
    da[H + j] = dc_all * s.c_prev[j] * f * (1 - f);
    da[2 * H + j] = dc_all * i * (1 - g * g);
    da[3 * H + j] = dh * tanh_c * o * (1 - o);
    dc = dc_all * f;
  }

  // Returns the part of dh_prev that comes through z * h_prev. Under reset_before r's gradient is
  // left to the caller, who knows it after n's recurrent product.
  Real gru_backward(const Step<Real>& s, Index j, Real dh, Vec<Real>& du, Vec<Real>& dv) const {
    const Index H = hidden();
    const Real r = s.gate[j], z = s.gate[H + j], n = s.gate[2 * H + j];
    const Real dn = dh * (1 - z) * (1 - n * n);
    du[H + j] = dv[H + j] = dh * (s.h_prev[j] - n) * z * (1 - z);
    du[2 * H + j] = dn;
    dv[2 * H + j] = reset_before() ? dn : dn * r;
    if (!reset_before()) du[j] = dv[j] = dn * s.v[2 * H + j] * r * (1 - r);
    return dh * z;
  }
};

}  // namespace rondo::reference
