// One step of one row of one cell, forward and backward, in plain loops from the equations.
#pragma once

#include "reference_lstm.h"

namespace rondo::reference {

template <class Real>
struct RowCell {
  using Sum = SumOf<Real>;
  RnnConfig config;
  Index in = 0;
  CellWeights<Real> weights;
  Vec<const Real*> x_mask, h_mask;  // one pointer a gate, null without a mask
  const Real* r_mask = nullptr;     // dropconnect, as R

  Index hidden() const { return config.hidden_size; }
  Index state() const { return config.projection_size > 0 ? config.projection_size : config.hidden_size; }
  Index gates() const { return config.cell == Cell::kLstm ? 4 : config.cell == Cell::kGru ? 3 : 1; }
  bool reset_before() const { return config.cell == Cell::kGru && config.gru_reset == GruReset::kBefore; }
  Real x_factor(Index g, Index i) const { return x_mask[g] ? x_mask[g][i] : Real(1); }
  Real h_factor(Index g, Index k) const { return h_mask[g] ? h_mask[g][k] : Real(1); }
  Real r(Index at) const { return r_mask ? weights.r[at] * r_mask[at] : weights.r[at]; }

  // t, x, h_prev, c_prev and zoneout's updates are given; fills the rest.
  void forward(Step<Real>& s) const {
    const Index H = hidden(), G = gates();
    for (Vec<Real>* of_gates : {&s.u, &s.v, &s.a, &s.gate}) of_gates->assign(G * H, 0);
    for (Index g = 0; g < G; ++g) {
      for (Index i = 0; i < in; ++i) s.x_in.push_back(s.x[i] * x_factor(g, i));
      for (Index k = 0; k < state(); ++k) s.h_in.push_back(s.h_prev[k] * h_factor(g, k));
    }
    for (Index g = 0; g < G; ++g) multiply_x(s, g);
    for (Index g = 0; g < G; ++g) {
      if (!(reset_before() && g == 2)) multiply_h(s, g);
    }
    if (config.layer_norm) normalise(s);
    if (config.cell == Cell::kLstm) lstm_forward(config, weights, s);
    if (config.cell == Cell::kGru) gru_forward(s);
    if (config.cell == Cell::kSimpleRnn) simple_forward(s);
    s.h = zoned_out(s.update_h, s.h_new, s.h_prev);
    s.c = zoned_out(s.update_c, s.c_new, s.c_prev);
  }

  // Without layer_norm the biases are part of the sum.
  void multiply_x(Step<Real>& s, Index g) const {
    for (Index j = g * hidden(); j < (g + 1) * hidden(); ++j) {
      Sum u(weights.b_ih && !config.layer_norm ? weights.b_ih[j] : Real(0));
      for (Index i = 0; i < in; ++i) u += Sum(weights.w[j * in + i]) * Sum(s.x_in[g * in + i]);
      s.u[j] = Real(u);
    }
  }
  void multiply_h(Step<Real>& s, Index g) const {
    const Index S = state();
    for (Index j = g * hidden(); j < (g + 1) * hidden(); ++j) {
      Sum v(weights.b_hh && !config.layer_norm ? weights.b_hh[j] : Real(0));
      for (Index k = 0; k < S; ++k) v += Sum(r(j * S + k)) * Sum(s.h_in[g * S + k]);
      s.v[j] = Real(v);
    }
  }
  void normalise(Step<Real>& s) const {
    s.normal_x = normalised(s.u, config.layer_norm_epsilon);
    s.normal_h = normalised(s.v, config.layer_norm_epsilon);
    for (Index j = 0; j < gates() * hidden(); ++j) {
      s.u[j] = weights.norm_ih[j] * s.normal_x.values[j] + (weights.b_ih ? weights.b_ih[j] : Real(0));
      s.v[j] = weights.norm_hh[j] * s.normal_h.values[j] + (weights.b_hh ? weights.b_hh[j] : Real(0));
    }
  }

  void activate_at(Step<Real>& s, const ActivationFunction& f, Index at, Real a) const {
    s.a[at] = a;
    s.gate[at] = activate(f, clipped(config.preactivation_clip, a));
  }
  // The gradient of the pre-activation from that of the activation.
  Real through(const Step<Real>& s, const ActivationFunction& f, Index at, Real dgate) const {
    return inside(config.preactivation_clip, s.a[at]) ? dgate * slope(f, s.a[at]) : Real(0);
  }

  void simple_forward(Step<Real>& s) const {
    for (Index j = 0; j < hidden(); ++j) activate_at(s, config.activation, j, s.u[j] + s.v[j]);
    s.h_new = s.gate;
  }

  void gru_forward(Step<Real>& s) const {
    const Index H = hidden();
    for (Index j = 0; j < 2 * H; ++j) activate_at(s, config.gate_activation, j, s.u[j] + s.v[j]);
    for (Index k = 0; k < H && reset_before(); ++k) s.h_in[2 * H + k] *= s.gate[k];
    if (reset_before()) multiply_h(s, 2);
    for (Index j = 0; j < H; ++j) {
      const Index n = 2 * H + j;
      activate_at(s, config.activation, n, reset_before() ? s.u[n] + s.v[n] : s.u[n] + s.gate[j] * s.v[n]);
      const Real z = s.gate[H + j];
      s.h_new.push_back((1 - z) * s.gate[n] + z * s.h_prev[j]);
    }
  }

  static Vec<Real> zoned_out(const Vec<Real>& update, const Vec<Real>& now, const Vec<Real>& before) {
    if (update.empty()) return now;
    Vec<Real> out;
    for (std::size_t j = 0; j < now.size(); ++j)
      out.push_back(update[j] * now[j] + (1 - update[j]) * before[j]);
    return out;
  }
  // Splits the gradient of a state into those of the new one and of the one before.
  static Vec<Real> split(const Vec<Real>& update, Vec<Real>& d) {
    Vec<Real> before(d.size(), 0);
    for (std::size_t j = 0; j < update.size(); ++j) {
      before[j] = (1 - update[j]) * d[j];
      d[j] *= update[j];
    }
    return before;
  }

  // dh and dc: gradients of this step's h and c on entry, of h_prev and c_prev on return.
  // Adds to dx [in] and to the gradients of the parameters.
  void backward(const Step<Real>& s, Vec<Real>& dh, Vec<Real>& dc, Real* dx, CellGradients<Real> d) const {
    const Index H = hidden(), G = gates();
    Vec<Real> du(G * H, 0), dv, dh_prev = split(s.update_h, dh);
    if (config.cell == Cell::kLstm) {
      Vec<Real> dc_prev = split(s.update_c, dc);
      const Vec<Real> rest = lstm_backward(config, weights, s, dh, dc, du, d);
      for (Index j = 0; j < H; ++j) dc_prev[j] += rest[j];
      dc = dc_prev;
    }
    for (Index j = 0; j < H && config.cell == Cell::kSimpleRnn; ++j)
      du[j] = through(s, config.activation, j, dh[j]);
    dv = du;
    for (Index j = 0; j < H && config.cell == Cell::kGru; ++j)
      dh_prev[j] += gru_backward(s, j, dh[j], du, dv);
    for (Index g = G; g-- > 0;) {  // n before r: under reset_before r's gradient comes through n's product
      if (reset_before() && g == 2) {
        reset_backward(s, du, dv, dh_prev, d);
      } else if (!config.layer_norm) {
        h_backward(s, g, dv, dh_prev, d);
      }
    }
    add_biases(du, dv, d);
    if (config.layer_norm) {
      du = normalised_backward(s.normal_x, weights.norm_ih, du, d.norm_ih);
      dv = normalised_backward(s.normal_h, weights.norm_hh, dv, d.norm_hh);
      for (Index g = 0; g < G; ++g) h_backward(s, g, dv, dh_prev, d);
    }
    for (Index g = 0; g < G; ++g) x_backward(s, g, du, dx, d);
    dh = dh_prev;
  }

  void add_biases(const Vec<Real>& du, const Vec<Real>& dv, CellGradients<Real>& d) const {
    for (Index j = 0; j < gates() * hidden(); ++j) {
      if (d.b_ih) d.b_ih[j] += du[j];
      if (d.b_hh) d.b_hh[j] += dv[j];
    }
  }
  void x_backward(const Step<Real>& s, Index g, const Vec<Real>& du, Real* dx, CellGradients<Real>& d) const {
    for (Index j = g * hidden(); j < (g + 1) * hidden(); ++j) {
      for (Index i = 0; i < in; ++i) {
        dx[i] += weights.w[j * in + i] * du[j] * x_factor(g, i);
        d.w[j * in + i] += du[j] * s.x_in[g * in + i];
      }
    }
  }
  // The gradient of what R of a gate was multiplied with, before the mask on h; adds to R's.
  Vec<Real> product_backward(const Step<Real>& s, Index g, const Vec<Real>& dv,
                             CellGradients<Real>& d) const {
    const Index S = state();
    Vec<Real> dh_in;
    for (Index k = 0; k < S; ++k) {
      Sum sum = 0;
      for (Index j = g * hidden(); j < (g + 1) * hidden(); ++j) {
        const Index at = j * S + k;
        sum += Sum(r(at)) * Sum(dv[j]);
        d.r[at] += dv[j] * s.h_in[g * S + k] * (r_mask ? r_mask[at] : Real(1));
      }
      dh_in.push_back(Real(sum) * h_factor(g, k));
    }
    return dh_in;
  }
  void h_backward(const Step<Real>& s, Index g, const Vec<Real>& dv, Vec<Real>& dh_prev,
                  CellGradients<Real>& d) const {
    const Vec<Real> dh_in = product_backward(s, g, dv, d);
    for (Index k = 0; k < state(); ++k) dh_prev[k] += dh_in[k];
  }
  // n's product under reset_before: of r h.
  void reset_backward(const Step<Real>& s, Vec<Real>& du, Vec<Real>& dv, Vec<Real>& dh_prev,
                      CellGradients<Real>& d) const {
    const Vec<Real> drh = product_backward(s, 2, dv, d);
    for (Index k = 0; k < hidden(); ++k) {
      du[k] = dv[k] = through(s, config.gate_activation, k, drh[k] * s.h_prev[k]);
      dh_prev[k] += drh[k] * s.gate[k];
    }
  }

  // Returns the part of dh_prev that comes through z * h_prev. Under reset_before r's gradient is
  // left to reset_backward, which knows it after n's recurrent product.
  Real gru_backward(const Step<Real>& s, Index j, Real dh, Vec<Real>& du, Vec<Real>& dv) const {
    const Index H = hidden(), at = 2 * H + j;
    const Real r = s.gate[j], z = s.gate[H + j], n = s.gate[at];
    const Real dn = through(s, config.activation, at, dh * (1 - z));
    du[H + j] = dv[H + j] = through(s, config.gate_activation, H + j, dh * (s.h_prev[j] - n));
    du[at] = dn;
    dv[at] = reset_before() ? dn : dn * r;
    if (!reset_before()) du[j] = dv[j] = through(s, config.gate_activation, j, dn * s.v[at]);
    return dh * z;
  }

  bool has_kinks() const {
    return config.preactivation_clip > 0 || config.cell_clip > 0 || !kinks(config.activation).empty() ||
           !kinks(config.gate_activation).empty() || !kinks(config.output_activation).empty();
  }
  // The sum of the magnitudes of what a pre-activation is made of.
  Real terms(const Step<Real>& s, Index at) const {
    using std::abs;
    const Index g = at / hidden(), S = state();
    Real of_x = 0, of_h = 0;
    for (Index i = 0; i < in; ++i) of_x += abs(weights.w[at * in + i] * s.x_in[g * in + i]);
    for (Index k = 0; k < S; ++k) of_h += abs(r(at * S + k) * s.h_in[g * S + k]);
    if (config.layer_norm) of_x *= abs(weights.norm_ih[at] * s.normal_x.scale);
    if (config.layer_norm) of_h *= abs(weights.norm_hh[at] * s.normal_h.scale);
    if (weights.b_ih) of_x += abs(weights.b_ih[at]);
    if (weights.b_hh) of_x += abs(weights.b_hh[at]);
    return of_x + of_h + abs(s.a[at] - s.u[at] - s.v[at]);
  }
  KinkDistance<Real> distance_to_kink(const Step<Real>& s) const {
    using std::abs;
    const Index H = hidden(), candidate = gates() - 1;
    const bool lstm = config.cell == Cell::kLstm;
    KinkDistance<Real> least;
    if (!has_kinks()) return least;
    for (Index at = 0; at < gates() * H; ++at) {
      const Index g = at / H;
      if (lstm && g == 1 && config.input_forget) continue;
      const ActivationFunction& f = g == (lstm ? 2 : candidate) ? config.activation : config.gate_activation;
      least.add(f, config.preactivation_clip, s.a[at], terms(s, at));
    }
    for (Index j = 0; j < H && lstm; ++j) {
      const Real size = abs(s.gate[H + j] * s.c_prev[j]) + abs(s.gate[j] * s.gate[2 * H + j]);
      least.add(Activation::kTanh, config.cell_clip, s.c_sum[j], size);
      // A norm makes all units those of the largest.
      least.add(config.output_activation, 0, s.c_read[j],
                config.layer_norm ? Real(1) + abs(s.c_read[j]) : size);
    }
    return least;
  }
};

}  // namespace rondo::reference
