// The truth of the tests: a whole stack, forward and backward, by plain loops from the equations.
// It shares no mathematics with the library, only RnnConfig and the layout of the parameters.
#pragma once

#include "reference_cell.h"
#include "rondo/parameters.h"
#include "rounded.h"

namespace rondo::reference {

// What a pass reads. Shapes as in ForwardArgs; empty: absent. Masks are the factors of a training
// pass; rates in the configuration are not read.
template <class Real>
struct Call {
  Index t = 0, n = 0;
  Vec<Real> parameters, x, h0, c0;
  Vec<Index> lengths;
  Vec<Vec<Real>> input_masks, recurrent_masks, layer_masks;
};
template <class Real>
struct Results {
  Vec<Real> y, y_reverse, h_n, c_n;
};
template <class Real>
struct Upstream {  // empty: zero
  Vec<Real> dy, dy_reverse, dh_n, dc_n;
};
template <class Real>
struct Gradients {
  Vec<Real> dx, dparameters, dh0, dc0;
};

// The same call in another precision.
template <class To, class From>
Vec<To> convert(const Vec<From>& v) {
  Vec<To> out;
  for (const From& e : v) out.push_back(static_cast<To>(e));
  return out;
}
template <class To, class From>
Vec<Vec<To>> convert(const Vec<Vec<From>>& v) {
  Vec<Vec<To>> out;
  for (const Vec<From>& e : v) out.push_back(convert<To>(e));
  return out;
}
template <class To, class From>
Call<To> convert(const Call<From>& c) {
  return {c.t,
          c.n,
          convert<To>(c.parameters),
          convert<To>(c.x),
          convert<To>(c.h0),
          convert<To>(c.c0),
          c.lengths,
          convert<To>(c.input_masks),
          convert<To>(c.recurrent_masks),
          convert<To>(c.layer_masks)};
}
template <class To, class From>
Upstream<To> convert(const Upstream<From>& u) {
  return {convert<To>(u.dy), convert<To>(u.dy_reverse), convert<To>(u.dh_n), convert<To>(u.dc_n)};
}

// One network applied to one call. Real: float, double, long double or a type of 16 bits, Rounded.
template <class Real>
class Network {
 public:
  Network(const RnnConfig& config, const Call<Real>& call);  // runs forward
  const Results<Real>& results() const { return results_; }
  Gradients<Real> backward(const Upstream<Real>& upstream) const;  // any number of times
  // The smallest |pre-activation| met: how far a relu was from its kink.
  Real smallest_preactivation() const;

 private:
  using Rows = Vec<Vec<Real>>;  // [T*N] vectors, time-major
  struct Run {                  // one layer and direction
    Index layer = 0, direction = 0;
    bool reverse = false;
    Vec<Vec<Step<Real>>> steps;  // [N][length], in processing order
  };

  Index directions() const { return config_.direction == Direction::kBidirectional ? 2 : 1; }
  Index length(Index n) const { return call_.lengths.empty() ? call_.t : call_.lengths[n]; }
  Index steps_done(Index t, Index n, bool reverse) const { return reverse ? length(n) - 1 - t : t; }
  bool concatenates(bool top) const {
    return config_.merge == Merge::kConcat || (config_.merge == Merge::kNone && !top);
  }
  Index width(Index layer) const;        // of the layer's merged output
  Index input_width(Index layer) const;  // of what it reads
  Index place(Index t, Index n) const;   // row index in the caller's layout
  const Real* layer_mask(Index layer, Index t, Index n) const;
  RowCell<Real> cell(const Run& run, Index n) const;
  CellGradients<Real> gradients_of(const Run& run, Vec<Real>& dparameters) const;
  std::string name(const char* what, const Run& run) const;
  const ParameterInfo* find(const std::string& parameter) const;
  Index state_offset(const Run& run, Index n) const;

  void run_layer(Index layer, const Rows& in);
  Vec<Real> merged(const Vec<Real>& a, const Vec<Real>& b, bool top) const;
  void unmerge(const Vec<Real>& d, const Vec<Real>& a, const Vec<Real>& b, bool top, Vec<Real>& da,
               Vec<Real>& db) const;
  Vec<Real> output_at(Index layer, Index direction, Index t, Index n) const;  // zeros in the padding
  Vec<Real> last_output(Index direction, Index n) const;                      // of the top layer
  Rows next_input(Index layer) const;
  void store_outputs();
  Rows top_gradients(const Upstream<Real>& upstream, Index direction) const;
  Rows inner_gradients(Index layer, const Rows& dnext, Index direction) const;
  void backward_run(const Run& run, const Rows& dh_out, const Upstream<Real>& up, Rows& dx,
                    Gradients<Real>& g) const;

  RnnConfig config_;
  Call<Real> call_;
  Vec<ParameterInfo> layout_;
  Vec<Vec<Run>> runs_;  // [layer][direction]
  Results<Real> results_;
};

extern template class Network<float>;
extern template class Network<double>;
extern template class Network<long double>;
extern template class Network<Rounded<Float16>>;
extern template class Network<Rounded<BFloat16>>;

}  // namespace rondo::reference
