// The stack of the reference: layers, directions, merges, layouts, lengths and masks around RowCell.
#include "reference.h"

#include <string>

namespace rondo::reference {

template <class Real>
Network<Real>::Network(const RnnConfig& config, const Call<Real>& call)
    : config_(config), call_(call), layout_(parameter_layout(config)) {
  Rows in(call_.t * call_.n);
  for (Index t = 0; t < call_.t; ++t) {
    for (Index n = 0; n < call_.n; ++n) {
      const Real* x = call_.x.data() + place(t, n) * config_.input_size;
      in[t * call_.n + n].assign(x, x + config_.input_size);
    }
  }
  const Index states = config_.num_layers * directions() * call_.n;
  results_.h_n.assign(states * state_size(), 0);
  if (config_.cell == Cell::kLstm) results_.c_n.assign(states * config_.hidden_size, 0);
  for (Index layer = 0; layer < config_.num_layers; ++layer) {
    run_layer(layer, in);
    if (layer + 1 < config_.num_layers) in = next_input(layer);
  }
  store_outputs();
  if (config_.cell_sequence) store_cell_sequence();
}

template <class Real>
Index Network<Real>::width(Index layer) const {
  const bool both = directions() == 2 && merge(layer + 1 == config_.num_layers) == Merge::kConcat;
  return both ? 2 * state_size() : state_size();
}

template <class Real>
Index Network<Real>::input_width(Index layer) const {
  return layer == 0 ? config_.input_size : width(layer - 1);
}

template <class Real>
Index Network<Real>::place(Index t, Index n) const {
  return config_.layout == Layout::kBatchMajor ? n * call_.t + t : t * call_.n + n;
}

template <class Real>
const Real* Network<Real>::layer_mask(Index layer, Index t, Index n) const {
  if (call_.layer_masks.empty()) return nullptr;
  const Index row = config_.layer_masks == LayerMasks::kPerSequence ? n : place(t, n);
  return call_.layer_masks[layer].data() + row * width(layer);
}

template <class Real>
std::string Network<Real>::name(const char* what, const Run& run) const {
  const bool suffix = directions() == 2 && run.direction == 1;
  return what + ("_l" + std::to_string(run.layer)) + (suffix ? "_reverse" : "");
}

// A network that only runs in reverse may name its parameters with the suffix or without it.
template <class Real>
const ParameterInfo* Network<Real>::find(const std::string& parameter) const {
  for (const ParameterInfo& p : layout_) {
    if (p.name == parameter) return &p;
    if (config_.direction == Direction::kReverse && p.name == parameter + "_reverse") return &p;
  }
  return nullptr;
}

// Of parameters or their gradients.
template <class Real>
template <class Pointer>
CellArrays<Pointer> Network<Real>::arrays(const Run& run, Pointer parameters) const {
  const auto at = [&](const char* what) -> Pointer {
    const ParameterInfo* p = find(name(what, run));
    return p ? parameters + p->offset : nullptr;
  };
  return {at("weight_ih"), at("weight_hh"), at("bias_ih"), at("bias_hh"),     at("weight_ch"),
          at("norm_ih"),   at("norm_hh"),   at("norm_c"),  at("norm_c_bias"), at("weight_hr")};
}

template <class Real>
RowCell<Real> Network<Real>::cell(const Run& run, Index n) const {
  RowCell<Real> c;
  c.config = config_;
  c.in = input_width(run.layer);
  c.weights = arrays(run, call_.parameters.data());
  const Index ld = run.layer * directions() + run.direction;
  const auto masks = [&](const Vec<Vec<Real>>& all, Index columns) {
    Vec<const Real*> of_gate(c.gates(), nullptr);
    for (Index g = 0; g < c.gates() && !all.empty(); ++g) {
      const Index first = config_.gate_masks == GateMasks::kPerGate ? g * call_.n : 0;
      of_gate[g] = all[ld].data() + (first + n) * columns;
    }
    return of_gate;
  };
  c.x_mask = masks(call_.input_masks, c.in);
  c.h_mask = masks(call_.recurrent_masks, state_size());
  if (!call_.dropconnect_masks.empty()) c.r_mask = call_.dropconnect_masks[ld].data();
  return c;
}

template <class Real>
Vec<Real> Network<Real>::update(const Run& run, Index row, const Vec<Vec<Real>>& masks, double rate) const {
  const Index width = &masks == &call_.zoneout_h_masks ? state_size() : config_.hidden_size;
  if (masks.empty()) return rate > 0 ? Vec<Real>(width, Real(1 - rate)) : Vec<Real>{};
  const auto from = masks[run.layer * directions() + run.direction].begin() + row * width;
  return Vec<Real>(from, from + width);
}

template <class Real>
Index Network<Real>::state_row(const Run& run, Index n) const {
  return (run.layer * directions() + run.direction) * call_.n + n;
}

template <class Real>
Vec<Real> Network<Real>::state_or_zeros(const Vec<Real>& states, const Run& run, Index n, Index width) const {
  if (states.empty()) return Vec<Real>(width, 0);
  const auto from = states.begin() + state_row(run, n) * width;
  return Vec<Real>(from, from + width);
}

template <class Real>
void Network<Real>::run_layer(Index layer, const Rows& in) {
  runs_.emplace_back();
  for (Index direction = 0; direction < directions(); ++direction) {
    Run run{layer, direction, direction == 1 || config_.direction == Direction::kReverse, {}, {}, {}};
    run.steps.resize(call_.n);
    run.shown.assign(call_.n, Vec<Index>(call_.t, -1));
    run.cut_after.assign(call_.n, false);
    for (Index n = 0; n < call_.n; ++n) run_row(run, n, in);
    runs_.back().push_back(std::move(run));
  }
}

template <class Real>
void Network<Real>::run_row(Run& run, Index n, const Rows& in) {
  const bool lstm = config_.cell == Cell::kLstm, repeats = config_.masked_outputs == MaskedOutputs::kRepeat;
  const Index S = state_size(), H = lstm ? config_.hidden_size : 0;
  Vec<Real> h = state_or_zeros(call_.h0, run, n, S), c = state_or_zeros(call_.c0, run, n, H);
  const RowCell<Real> row = cell(run, n);
  bool cut = false;
  Index last = -1;
  const auto zero = [&] {
    h.assign(S, 0);
    c.assign(H, 0);
    cut = true;
    last = -1;
  };
  for (Index s = 0; s < length(n); ++s) {
    const Index t = run.reverse ? length(n) - 1 - s : s;
    if (resets(run.reverse ? t + 1 : t, n)) zero();
    if (skips(t, n)) {
      if (repeats) run.shown[n][t] = last;
      continue;
    }
    Step<Real> step;
    step.t = t;
    step.cut = cut;
    step.x = in[t * call_.n + n];
    step.h_prev = h;
    step.c_prev = c;
    step.update_h = update(run, place(t, n), call_.zoneout_h_masks, config_.zoneout_h);
    if (lstm) step.update_c = update(run, place(t, n), call_.zoneout_c_masks, config_.zoneout_c);
    row.forward(step);
    h = step.h;
    c = step.c;
    cut = false;
    last = run.shown[n][t] = static_cast<Index>(run.steps[n].size());
    run.steps[n].push_back(std::move(step));
  }
  if (run.reverse && resets(0, n)) zero();  // the final state crosses there
  run.cut_after[n] = cut;
  std::copy(h.begin(), h.end(), results_.h_n.begin() + state_row(run, n) * S);
  std::copy(c.begin(), c.end(), results_.c_n.begin() + state_row(run, n) * H);
}

template <class Real>
const Step<Real>* Network<Real>::shown(const Run& run, Index t, Index n) const {
  const Index number = run.shown[n][t];
  return number < 0 ? nullptr : &run.steps[n][number];
}

template <class Real>
Vec<Real> Network<Real>::output_at(Index layer, Index direction, Index t, Index n) const {
  const Step<Real>* step = shown(runs_[layer][direction], t, n);
  return step ? step->h : Vec<Real>(state_size(), 0);
}

template <class Real>
Vec<Real> Network<Real>::last_output(Index direction, Index n) const {
  const Vec<Step<Real>>& steps = runs_.back()[direction].steps[n];
  return steps.empty() ? Vec<Real>(state_size(), 0) : steps.back().h;
}

template <class Real>
typename Network<Real>::Rows Network<Real>::next_input(Index layer) const {
  Rows out(call_.t * call_.n);
  for (Index t = 0; t < call_.t; ++t) {
    for (Index n = 0; n < call_.n; ++n) {
      Vec<Real> row = output_at(layer, 0, t, n);
      if (directions() == 2) row = merged(merge(false), row, output_at(layer, 1, t, n));
      const Real* mask = layer_mask(layer, t, n);
      for (std::size_t j = 0; mask && t < length(n) && j < row.size(); ++j) row[j] *= mask[j];
      out[t * call_.n + n] = row;
    }
  }
  return out;
}

template <class Real>
void Network<Real>::store_outputs() {
  const Index top = config_.num_layers - 1, W = width(top);
  const bool last = config_.outputs == Outputs::kLast,
             apart = directions() == 2 && config_.merge == Merge::kNone;
  results_.y.assign((last ? 1 : call_.t) * call_.n * W, 0);
  if (apart) results_.y_reverse = results_.y;
  for (Index t = 0; t < (last ? 1 : call_.t); ++t) {
    for (Index n = 0; n < call_.n; ++n) {
      const Index at = (last ? n : place(t, n)) * W;
      Vec<Real> y = last ? last_output(0, n) : output_at(top, 0, t, n);
      Vec<Real> other;
      if (directions() == 2) other = last ? last_output(1, n) : output_at(top, 1, t, n);
      if (apart) std::copy(other.begin(), other.end(), results_.y_reverse.begin() + at);
      if (directions() == 2 && !apart) y = merged(merge(true), y, other);
      std::copy(y.begin(), y.end(), results_.y.begin() + at);
    }
  }
}

template <class Real>
void Network<Real>::store_cell_sequence() {
  const Index H = config_.hidden_size;
  results_.c.assign(call_.t * call_.n * directions() * H, 0);
  for (const Run& run : runs_.back()) {
    for (Index t = 0; t < call_.t; ++t) {
      for (Index n = 0; n < call_.n; ++n) {
        const Step<Real>* step = shown(run, t, n);
        if (step == nullptr) continue;
        const Index at = (place(t, n) * directions() + run.direction) * H;
        std::copy(step->c.begin(), step->c.end(), results_.c.begin() + at);
      }
    }
  }
}

// The gradient of a direction's h that is shown at each step of the top layer, as far as it comes through y.
template <class Real>
typename Network<Real>::Rows Network<Real>::top_gradients(const Upstream<Real>& up, Index direction) const {
  const Index top = config_.num_layers - 1, W = width(top);
  const bool last = config_.outputs == Outputs::kLast,
             apart = directions() == 2 && config_.merge == Merge::kNone;
  Rows out(call_.t * call_.n, Vec<Real>(state_size(), 0));
  const Vec<Real>& dy = apart && direction == 1 ? up.dy_reverse : up.dy;
  if (dy.empty()) return out;
  for (Index n = 0; n < call_.n; ++n) {
    for (Index t = 0; t < length(n); ++t) {
      const Vec<Step<Real>>& steps = runs_[top][direction].steps[n];
      if (last && (steps.empty() || steps.back().t != t)) continue;
      const Real* from = dy.data() + (last ? n : place(t, n)) * W;
      Vec<Real> d(from, from + W), da = d, db = d;
      if (directions() == 2 && !apart) {
        const Vec<Real> a = last ? last_output(0, n) : output_at(top, 0, t, n);
        const Vec<Real> b = last ? last_output(1, n) : output_at(top, 1, t, n);
        unmerge(merge(true), d, {a, b}, da, db);
      }
      out[t * call_.n + n] = direction == 0 ? da : db;
    }
  }
  return out;
}

// The same for an inner layer, from the gradient of the next layer's input.
template <class Real>
typename Network<Real>::Rows Network<Real>::inner_gradients(Index layer, const Rows& dnext,
                                                            Index direction) const {
  Rows out(call_.t * call_.n, Vec<Real>(state_size(), 0));
  for (Index n = 0; n < call_.n; ++n) {
    for (Index t = 0; t < length(n); ++t) {
      Vec<Real> d = dnext[t * call_.n + n];
      const Real* mask = layer_mask(layer, t, n);
      for (std::size_t j = 0; mask && j < d.size(); ++j) d[j] *= mask[j];
      Vec<Real> da = d, db = d;
      if (directions() == 2) {
        unmerge(merge(false), d, {output_at(layer, 0, t, n), output_at(layer, 1, t, n)}, da, db);
      }
      out[t * call_.n + n] = direction == 0 ? da : db;
    }
  }
  return out;
}

template <class Real>
void Network<Real>::backward_run(const Run& run, const Rows& dh_out, const Upstream<Real>& up, Rows& dx,
                                 Gradients<Real>& g) const {
  const Index S = state_size(), H = config_.cell == Cell::kLstm ? config_.hidden_size : 0;
  const CellGradients<Real> d = arrays(run, g.dparameters.data());
  const bool has_dc = run.layer + 1 == config_.num_layers && !up.dc.empty();
  for (Index n = 0; n < call_.n; ++n) {
    const Index count = static_cast<Index>(run.steps[n].size());
    Rows dh_of(count, Vec<Real>(S, 0)), dc_of(count, Vec<Real>(H, 0));
    for (Index t = 0; t < length(n); ++t) {
      const Index s = run.shown[n][t], from = (place(t, n) * directions() + run.direction) * H;
      if (s < 0) continue;
      for (Index j = 0; j < S; ++j) dh_of[s][j] += dh_out[t * call_.n + n][j];
      for (Index j = 0; j < H && has_dc; ++j) dc_of[s][j] += up.dc[from + j];
    }
    Vec<Real> dh = state_or_zeros(up.dh_n, run, n, S), dc = state_or_zeros(up.dc_n, run, n, H);
    const auto cut = [&] {
      dh.assign(S, 0);
      dc.assign(H, 0);
    };
    if (run.cut_after[n]) cut();
    const RowCell<Real> row = cell(run, n);
    for (Index s = count; s-- > 0;) {
      const Step<Real>& step = run.steps[n][s];
      for (Index j = 0; j < S; ++j) dh[j] += dh_of[s][j];
      for (Index j = 0; j < H; ++j) dc[j] += dc_of[s][j];
      row.backward(step, dh, dc, dx[step.t * call_.n + n].data(), d);
      if (step.cut) cut();
    }
    std::copy(dh.begin(), dh.end(), g.dh0.begin() + state_row(run, n) * S);
    std::copy(dc.begin(), dc.end(), g.dc0.begin() + state_row(run, n) * H);
  }
}

template <class Real>
Gradients<Real> Network<Real>::backward(const Upstream<Real>& up) const {
  Gradients<Real> g;
  g.dparameters.assign(call_.parameters.size(), 0);
  g.dh0.assign(results_.h_n.size(), 0);
  g.dc0.assign(results_.c_n.size(), 0);
  g.dx.assign(call_.x.size(), 0);
  Rows dx;
  for (Index layer = config_.num_layers; layer-- > 0;) {
    const bool top = layer + 1 == config_.num_layers;
    Rows below(call_.t * call_.n, Vec<Real>(input_width(layer), 0));
    for (Index direction = 0; direction < directions(); ++direction) {
      const Rows dh = top ? top_gradients(up, direction) : inner_gradients(layer, dx, direction);
      backward_run(runs_[layer][direction], dh, up, below, g);
    }
    dx = std::move(below);
  }
  for (Index t = 0; t < call_.t; ++t) {
    for (Index n = 0; n < call_.n; ++n) {
      const Vec<Real>& row = dx[t * call_.n + n];
      std::copy(row.begin(), row.end(), g.dx.begin() + place(t, n) * config_.input_size);
    }
  }
  return g;
}

template <class Real>
KinkDistance<Real> Network<Real>::distance_to_kink() const {
  KinkDistance<Real> least;
  for (const Vec<Run>& layer : runs_) {
    for (const Run& run : layer) {
      for (Index n = 0; n < call_.n; ++n) {
        const RowCell<Real> row = cell(run, n);
        for (const Step<Real>& s : run.steps[n]) least.add(row.distance_to_kink(s));
      }
    }
  }
  return least;
}

template class Network<float>;
template class Network<double>;
template class Network<long double>;
template class Network<Rounded<Float16>>;
template class Network<Rounded<BFloat16>>;

}  // namespace rondo::reference
