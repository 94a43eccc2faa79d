// The LSTM of the reference from its pre-activations on: gates, c, h, with every option.
#pragma once

#include "reference_step.h"

namespace rondo::reference {

// u and v are there; fills a, gate, c_sum, c_new, c_read, unprojected and h_new.
template <class Real>
void lstm_forward(const RnnConfig& config, const CellWeights<Real>& w, Step<Real>& s) {
  const Index H = config.hidden_size;
  const double clip = config.preactivation_clip;
  const auto seen = [&](Index of, Index j, Real c) {
    return w.peephole ? w.peephole[of * H + j] * c : Real(0);
  };
  const auto gate = [&](Index at, Real peephole) {
    s.a[at] = s.u[at] + s.v[at] + peephole;
    s.gate[at] = activate(config.gate_activation, clipped(clip, s.a[at]));
    return s.gate[at];
  };
  for (Index j = 0; j < H; ++j) {
    const Index g = 2 * H + j;
    const Real i = gate(j, seen(0, j, s.c_prev[j]));
    const Real f = gate(H + j, seen(1, j, s.c_prev[j]));
    if (config.input_forget) s.gate[H + j] = 1 - i;
    s.a[g] = s.u[g] + s.v[g];
    s.gate[g] = activate(config.activation, clipped(clip, s.a[g]));
    s.c_sum.push_back((config.input_forget ? 1 - i : f) * s.c_prev[j] + i * s.gate[g]);
    s.c_new.push_back(clipped(config.cell_clip, s.c_sum[j]));
  }
  s.c_read = s.c_new;
  if (config.layer_norm) {
    s.normal_c = normalised(s.c_new, config.layer_norm_epsilon);
    for (Index j = 0; j < H; ++j) s.c_read[j] = w.norm_c[j] * s.normal_c.values[j] + w.norm_c_bias[j];
  }
  for (Index j = 0; j < H; ++j) {
    const Real o = gate(3 * H + j, seen(2, j, s.c_new[j]));
    s.unprojected.push_back(o * activate(config.output_activation, s.c_read[j]));
  }
  s.h_new = s.unprojected;
  if (config.projection_size == 0) return;
  using Sum = SumOf<Real>;
  s.h_new.clear();
  for (Index p = 0; p < config.projection_size; ++p) {
    Sum sum = 0;
    for (Index j = 0; j < H; ++j) sum += Sum(w.projection[p * H + j]) * Sum(s.unprojected[j]);
    s.h_new.push_back(Real(sum));
  }
}

// The gradient of o f(c) from that of h.
template <class Real>
Vec<Real> unproject(const RnnConfig& config, const CellWeights<Real>& w, const Step<Real>& s,
                    const Vec<Real>& dh_new, CellGradients<Real>& d) {
  if (config.projection_size == 0) return dh_new;
  using Sum = SumOf<Real>;
  const Index H = config.hidden_size;
  Vec<Real> out;
  for (Index j = 0; j < H; ++j) {
    Sum sum = 0;
    for (Index p = 0; p < config.projection_size; ++p) {
      sum += Sum(w.projection[p * H + j]) * Sum(dh_new[p]);
      d.projection[p * H + j] += dh_new[p] * s.unprojected[j];
    }
    out.push_back(Real(sum));
  }
  return out;
}

// dh_new and dc_new: gradients of h_new and c_new. Fills da, of the pre-activations, and returns the gradient
// of c_prev. Adds to d what is not of W, R and their biases.
template <class Real>
Vec<Real> lstm_backward(const RnnConfig& config, const CellWeights<Real>& w, const Step<Real>& s,
                        const Vec<Real>& dh_new, const Vec<Real>& dc_new, Vec<Real>& da,
                        CellGradients<Real>& d) {
  const Index H = config.hidden_size;
  const auto through = [&](const ActivationFunction& f, Index at, Real dgate) {
    if (!inside(config.preactivation_clip, s.a[at])) return Real(0);
    return dgate * slope(f, s.a[at]);
  };
  const auto looks = [&](Index of, Index j, Real da_of, Real c) {  // returns the gradient of c
    if (!w.peephole) return Real(0);
    d.peephole[of * H + j] += da_of * c;
    return w.peephole[of * H + j] * da_of;
  };
  const Vec<Real> dm = unproject(config, w, s, dh_new, d);
  Vec<Real> dread, dc_prev;
  for (Index j = 0; j < H; ++j) {
    const Real o = s.gate[3 * H + j], c = s.c_read[j];
    da[3 * H + j] = through(config.gate_activation, 3 * H + j, dm[j] * activate(config.output_activation, c));
    dread.push_back(dm[j] * o * slope(config.output_activation, c));
    if (config.layer_norm) d.norm_c_bias[j] += dread[j];
  }
  if (config.layer_norm) dread = normalised_backward(s.normal_c, w.norm_c, dread, d.norm_c);
  for (Index j = 0; j < H; ++j) {
    const Real i = s.gate[j], f = s.gate[H + j], g = s.gate[2 * H + j];
    Real dc = dc_new[j] + dread[j] + looks(2, j, da[3 * H + j], s.c_new[j]);
    if (!inside(config.cell_clip, s.c_sum[j])) dc = 0;
    const Real df = dc * s.c_prev[j];
    da[j] = through(config.gate_activation, j, config.input_forget ? dc * g - df : dc * g);
    da[H + j] = config.input_forget ? Real(0) : through(config.gate_activation, H + j, df);
    da[2 * H + j] = through(config.activation, 2 * H + j, dc * i);
    dc_prev.push_back(dc * f + looks(0, j, da[j], s.c_prev[j]) + looks(1, j, da[H + j], s.c_prev[j]));
  }
  return dc_prev;
}

}  // namespace rondo::reference
