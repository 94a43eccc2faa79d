// The truth of the tests: a whole stack, forward and backward, by plain loops from the equations.
// It shares no mathematics with the library, only RnnConfig and the layout of the parameters.
#pragma once

#include "reference_cell.h"
#include "reference_merge.h"
#include "rondo/parameters.h"
#include "rounded.h"

namespace rondo::reference {

// What a pass reads. Shapes as in ForwardArgs; empty: absent. Masks of dropout are the factors of a training
// pass, whose rates in the configuration are not read. Zoneout without masks is that of inference.
template <class Real>
struct Call {
  Index t = 0, n = 0;
  Vec<Real> parameters, x, h0, c0;
  Vec<Index> lengths;
  Vec<Vec<Real>> input_masks, recurrent_masks, layer_masks;
  Vec<std::uint8_t> mask, resets;
  Vec<Vec<Real>> zoneout_h_masks, zoneout_c_masks, dropconnect_masks;
};
template <class Real>
struct Results {
  Vec<Real> y, y_reverse, h_n, c_n, c;
};
template <class Real>
struct Upstream {  // empty: zero
  Vec<Real> dy, dy_reverse, dh_n, dc_n, dc;
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
          convert<To>(c.layer_masks),
          c.mask,
          c.resets,
          convert<To>(c.zoneout_h_masks),
          convert<To>(c.zoneout_c_masks),
          convert<To>(c.dropconnect_masks)};
}
template <class To, class From>
Upstream<To> convert(const Upstream<From>& u) {
  return {convert<To>(u.dy), convert<To>(u.dy_reverse), convert<To>(u.dh_n), convert<To>(u.dc_n),
          convert<To>(u.dc)};
}

// One network applied to one call. Real: float, double, long double or a type of 16 bits, Rounded.
template <class Real>
class Network {
 public:
  Network(const RnnConfig& config, const Call<Real>& call);  // runs forward
  const Results<Real>& results() const { return results_; }
  Gradients<Real> backward(const Upstream<Real>& upstream) const;  // any number of times
  // The smallest distances met between what an activation or a clip reads and a jump of its derivative.
  KinkDistance<Real> distance_to_kink() const;

 private:
  using Rows = Vec<Vec<Real>>;  // [T*N] vectors, time-major
  struct Run {                  // one layer and direction
    Index layer = 0, direction = 0;
    bool reverse = false;
    Vec<Vec<Step<Real>>> steps;  // [N][those not skipped], in processing order
    Vec<Vec<Index>> shown;       // [N][T]: the number of the step whose output is there; -1: none, zeros
    Vec<bool> cut_after;         // [N]: by a reset behind the last of the steps
  };

  Index directions() const { return config_.direction == Direction::kBidirectional ? 2 : 1; }
  Index length(Index n) const { return call_.lengths.empty() ? call_.t : call_.lengths[n]; }
  Index state_size() const { return config_.projection_size > 0 ? config_.projection_size : config_.hidden_size; }
  bool skips(Index t, Index n) const { return !call_.mask.empty() && call_.mask[place(t, n)] == 0; }
  bool resets(Index t, Index n) const {
    return t < length(n) && !call_.resets.empty() && call_.resets[place(t, n)] != 0;
  }
  Merge merge(bool top) const {
    return config_.merge == Merge::kNone && !top ? Merge::kConcat : config_.merge;
  }
  Index width(Index layer) const;        // of the layer's merged output
  Index input_width(Index layer) const;  // of what it reads
  Index place(Index t, Index n) const;   // row index in the caller's layout
  const Real* layer_mask(Index layer, Index t, Index n) const;
  RowCell<Real> cell(const Run& run, Index n) const;
  // Zoneout's updates of one step; empty: none.
  Vec<Real> update(const Run& run, Index row, const Vec<Vec<Real>>& masks, double rate) const;
  template <class Pointer>
  CellArrays<Pointer> arrays(const Run& run, Pointer parameters) const;
  std::string name(const char* what, const Run& run) const;
  const ParameterInfo* find(const std::string& parameter) const;
  Index state_row(const Run& run, Index n) const;
  Vec<Real> state_or_zeros(const Vec<Real>& states, const Run& run, Index n, Index width) const;

  void run_layer(Index layer, const Rows& in);
  void run_row(Run& run, Index n, const Rows& in);
  const Step<Real>* shown(const Run& run, Index t, Index n) const;  // null: none
  Vec<Real> output_at(Index layer, Index direction, Index t, Index n) const;
  Vec<Real> last_output(Index direction, Index n) const;                      // of the top layer
  Rows next_input(Index layer) const;
  void store_outputs();
  void store_cell_sequence();
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
