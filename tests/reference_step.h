// What a step of the reference reads, computes and keeps; the arrays of a layer's parameters; normalisation.
#pragma once

#include <cstdint>
#include <vector>

#include "reference_activation.h"
#include "rondo/types.h"

namespace rondo::reference {

using Index = std::int64_t;
template <class Real>
using Vec = std::vector<Real>;

// Numbers of mean 0 and variance 1, and what they were divided by, as its reciprocal.
template <class Real>
struct Normal {
  Vec<Real> values;
  Real scale = 0;
};

// What a step read and computed; backward reads it again. Vectors of all gates are [G, width].
template <class Real>
struct Step {
  Index t = 0;
  bool cut = false;  // h_prev and c_prev are a reset's zeros
  Vec<Real> x, h_prev, c_prev;
  Vec<Real> update_h, update_c;  // zoneout: how much of the new state is taken; empty: all
  Vec<Real> x_in, h_in;  // what W and R of each gate were multiplied with: masked x, masked (and reset) h
  Normal<Real> normal_x, normal_h, normal_c;  // layer_norm: of W x_in, R h_in and c_new
  Vec<Real> u, v;                             // u = W x_in + b_ih, v = R h_in + b_hh
  Vec<Real> a, gate;                          // pre-activations, before their clip, and activations
  Vec<Real> c_sum, c_new;                     // LSTM: f c_prev + i g, and clipped
  Vec<Real> c_read, unprojected;              // LSTM: what the output function reads, and o times its value
  Vec<Real> h_new;
  Vec<Real> h, c;  // after zoneout
};

// The parameters of one layer and direction, or their gradients; null where the network has none.
template <class Pointer>
struct CellArrays {
  Pointer w = nullptr, r = nullptr, b_ih = nullptr, b_hh = nullptr;
  Pointer peephole = nullptr;  // of i, f, o
  Pointer norm_ih = nullptr, norm_hh = nullptr, norm_c = nullptr, norm_c_bias = nullptr;
  Pointer projection = nullptr;
};
template <class Real>
using CellWeights = CellArrays<const Real*>;
template <class Real>
using CellGradients = CellArrays<Real*>;

// Ba et al. 2016: (x - mean) / sqrt(variance + epsilon), of the population.
template <class Real>
Normal<Real> normalised(const Vec<Real>& x, double epsilon) {
  using std::sqrt;
  const Real count(static_cast<double>(x.size()));
  Real mean = 0, variance = 0;
  for (const Real& e : x) mean += e;
  mean = mean / count;
  for (const Real& e : x) variance += (e - mean) * (e - mean);
  Normal<Real> n;
  n.scale = 1 / sqrt(variance / count + Real(epsilon));
  for (const Real& e : x) n.values.push_back((e - mean) * n.scale);
  return n;
}

// dy: of factor * values. Returns the gradient of x and adds to dfactor.
template <class Real>
Vec<Real> normalised_backward(const Normal<Real>& n, const Real* factor, const Vec<Real>& dy, Real* dfactor) {
  const std::size_t count = dy.size();
  Vec<Real> dx(count);
  Real mean = 0, along = 0;
  for (std::size_t j = 0; j < count; ++j) {
    dfactor[j] += dy[j] * n.values[j];
    dx[j] = dy[j] * factor[j];
    mean += dx[j];
    along += dx[j] * n.values[j];
  }
  const Real all(static_cast<double>(count));
  for (std::size_t j = 0; j < count; ++j)
    dx[j] = n.scale * (dx[j] - mean / all - n.values[j] * (along / all));
  return dx;
}

}  // namespace rondo::reference
