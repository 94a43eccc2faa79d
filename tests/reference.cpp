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
  results_.h_n.assign(config_.num_layers * directions() * call_.n * config_.hidden_size, 0);
  if (config_.cell == Cell::kLstm) results_.c_n = results_.h_n;
  for (Index layer = 0; layer < config_.num_layers; ++layer) {
    run_layer(layer, in);
    if (layer + 1 < config_.num_layers) in = next_input(layer);
  }
  store_outputs();
}

template <class Real>
Index Network<Real>::width(Index layer) const {
  const bool both = directions() == 2 && concatenates(layer + 1 == config_.num_layers);
  return both ? 2 * config_.hidden_size : config_.hidden_size;
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

template <class Real>
RowCell<Real> Network<Real>::cell(const Run& run, Index n) const {
  RowCell<Real> c;
  c.config = config_;
  c.in = input_width(run.layer);
  const auto at = [&](const char* what) -> const Real* {
    const ParameterInfo* p = find(name(what, run));
    return p ? call_.parameters.data() + p->offset : nullptr;
  };
  c.weights = {at("weight_ih"), at("weight_hh"), at("bias_ih"), at("bias_hh")};
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
  c.h_mask = masks(call_.recurrent_masks, config_.hidden_size);
  return c;
}

template <class Real>
Index Network<Real>::state_offset(const Run& run, Index n) const {
  return ((run.layer * directions() + run.direction) * call_.n + n) * config_.hidden_size;
}

template <class Real>
void Network<Real>::run_layer(Index layer, const Rows& in) {
  const Index H = config_.hidden_size;
  runs_.emplace_back();
  for (Index direction = 0; direction < directions(); ++direction) {
    Run run{layer, direction, direction == 1 || config_.direction == Direction::kReverse, {}};
    run.steps.resize(call_.n);
    for (Index n = 0; n < call_.n; ++n) {
      const Index at = state_offset(run, n);
      const auto initial = [&](const Vec<Real>& s) {
        return s.empty() ? Vec<Real>(H, 0) : Vec<Real>(s.begin() + at, s.begin() + at + H);
      };
      Vec<Real> h = initial(call_.h0), c = initial(call_.c0);
      const RowCell<Real> row = cell(run, n);
      for (Index s = 0; s < length(n); ++s) {
        const Index t = run.reverse ? length(n) - 1 - s : s;
        Step<Real> step;
        step.x = in[t * call_.n + n];
        step.h_prev = h;
        step.c_prev = c;
        row.forward(step);
        h = step.h;
        c = step.c;
        run.steps[n].push_back(std::move(step));
      }
      std::copy(h.begin(), h.end(), results_.h_n.begin() + at);
      if (!results_.c_n.empty()) std::copy(c.begin(), c.end(), results_.c_n.begin() + at);
    }
    runs_.back().push_back(std::move(run));
  }
}

template <class Real>
Vec<Real> Network<Real>::output_at(Index layer, Index direction, Index t, Index n) const {
  if (t >= length(n)) return Vec<Real>(config_.hidden_size, 0);
  const Run& run = runs_[layer][direction];
  return run.steps[n][steps_done(t, n, run.reverse)].h;
}

template <class Real>
Vec<Real> Network<Real>::last_output(Index direction, Index n) const {
  const Vec<Step<Real>>& steps = runs_.back()[direction].steps[n];
  return steps.empty() ? Vec<Real>(config_.hidden_size, 0) : steps.back().h;
}

template <class Real>
Vec<Real> Network<Real>::merged(const Vec<Real>& a, const Vec<Real>& b, bool top) const {
  Vec<Real> out = a;
  if (concatenates(top)) out.insert(out.end(), b.begin(), b.end());
  for (std::size_t j = 0; j < a.size(); ++j) {
    if (config_.merge == Merge::kSum) out[j] = a[j] + b[j];
    if (config_.merge == Merge::kMul) out[j] = a[j] * b[j];
    if (config_.merge == Merge::kAve) out[j] = (a[j] + b[j]) / 2;
  }
  return out;
}

template <class Real>
void Network<Real>::unmerge(const Vec<Real>& d, const Vec<Real>& a, const Vec<Real>& b, bool top,
                            Vec<Real>& da, Vec<Real>& db) const {
  const std::size_t H = a.size();
  da.assign(d.begin(), d.begin() + H);
  db = da;
  for (std::size_t j = 0; j < H; ++j) {
    if (concatenates(top)) db[j] = d[H + j];
    if (config_.merge == Merge::kMul) {
      da[j] = d[j] * b[j];
      db[j] = d[j] * a[j];
    }
    if (config_.merge == Merge::kAve) da[j] = db[j] = d[j] / 2;
  }
}

template <class Real>
typename Network<Real>::Rows Network<Real>::next_input(Index layer) const {
  Rows out(call_.t * call_.n);
  for (Index t = 0; t < call_.t; ++t) {
    for (Index n = 0; n < call_.n; ++n) {
      Vec<Real> row = output_at(layer, 0, t, n);
      if (directions() == 2) row = merged(row, output_at(layer, 1, t, n), false);
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
      if (directions() == 2 && !apart) y = merged(y, other, true);
      std::copy(y.begin(), y.end(), results_.y.begin() + at);
    }
  }
}

// The gradient of a direction's h at each step of the top layer, as far as it comes through y.
template <class Real>
typename Network<Real>::Rows Network<Real>::top_gradients(const Upstream<Real>& up, Index direction) const {
  const Index top = config_.num_layers - 1, H = config_.hidden_size, W = width(top);
  const bool last = config_.outputs == Outputs::kLast,
             apart = directions() == 2 && config_.merge == Merge::kNone;
  Rows out(call_.t * call_.n, Vec<Real>(H, 0));
  const Vec<Real>& dy = apart && direction == 1 ? up.dy_reverse : up.dy;
  if (dy.empty()) return out;
  for (Index n = 0; n < call_.n; ++n) {
    for (Index t = 0; t < length(n); ++t) {
      const bool reverse = runs_[top][direction].reverse;
      if (last && steps_done(t, n, reverse) != length(n) - 1) continue;
      const Real* from = dy.data() + (last ? n : place(t, n)) * W;
      Vec<Real> d(from, from + W), da = d, db = d;
      if (directions() == 2 && !apart) {
        const Vec<Real> a = last ? last_output(0, n) : output_at(top, 0, t, n);
        const Vec<Real> b = last ? last_output(1, n) : output_at(top, 1, t, n);
        unmerge(d, a, b, true, da, db);
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
  Rows out(call_.t * call_.n, Vec<Real>(config_.hidden_size, 0));
  for (Index n = 0; n < call_.n; ++n) {
    for (Index t = 0; t < length(n); ++t) {
      Vec<Real> d = dnext[t * call_.n + n];
      const Real* mask = layer_mask(layer, t, n);
      for (std::size_t j = 0; mask && j < d.size(); ++j) d[j] *= mask[j];
      Vec<Real> da = d, db = d;
      if (directions() == 2) unmerge(d, output_at(layer, 0, t, n), output_at(layer, 1, t, n), false, da, db);
      out[t * call_.n + n] = direction == 0 ? da : db;
    }
  }
  return out;
}

template <class Real>
CellGradients<Real> Network<Real>::gradients_of(const Run& run, Vec<Real>& dparameters) const {
  const auto at = [&](const char* what) -> Real* {
    const ParameterInfo* p = find(name(what, run));
    return p ? dparameters.data() + p->offset : nullptr;
  };
  return {at("weight_ih"), at("weight_hh"), at("bias_ih"), at("bias_hh")};
}

template <class Real>
void Network<Real>::backward_run(const Run& run, const Rows& dh_out, const Upstream<Real>& up, Rows& dx,
                                 Gradients<Real>& g) const {
  const Index H = config_.hidden_size;
  const CellGradients<Real> d = gradients_of(run, g.dparameters);
  for (Index n = 0; n < call_.n; ++n) {
    const Index at = state_offset(run, n);
    const auto from = [&](const Vec<Real>& s) {
      return s.empty() ? Vec<Real>(H, 0) : Vec<Real>(s.begin() + at, s.begin() + at + H);
    };
    Vec<Real> dh = from(up.dh_n), dc = from(up.dc_n);
    const RowCell<Real> row = cell(run, n);
    for (Index s = length(n); s-- > 0;) {
      const Index t = run.reverse ? length(n) - 1 - s : s;
      for (Index j = 0; j < H; ++j) dh[j] += dh_out[t * call_.n + n][j];
      row.backward(run.steps[n][s], dh, dc, dx[t * call_.n + n].data(), d);
    }
    std::copy(dh.begin(), dh.end(), g.dh0.begin() + at);
    if (!g.dc0.empty()) std::copy(dc.begin(), dc.end(), g.dc0.begin() + at);
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
Real Network<Real>::smallest_preactivation() const {
  using std::abs;
  auto smallest = static_cast<Real>(std::numeric_limits<double>::infinity());
  for (const Vec<Run>& layer : runs_) {
    for (const Run& run : layer) {
      for (const Vec<Step<Real>>& row : run.steps) {
        for (const Step<Real>& s : row) {
          for (std::size_t j = 0; j < s.u.size(); ++j)
            smallest = std::min(smallest, abs(s.u[j] + s.v[j]));
        }
      }
    }
  }
  return smallest;
}

template class Network<float>;
template class Network<double>;
template class Network<long double>;
template class Network<Rounded<Float16>>;
template class Network<Rounded<BFloat16>>;

}  // namespace rondo::reference
