// Problems solved by the library: level two in guarded buffers, and level one.
#include <algorithm>
#include <memory>

#include "problem.h"

namespace rondo::testing {

namespace {

// The caller's side of a level-two call: every array guarded, every output NaN until it is written.
template <class T>
class Arrays {
 public:
  Arrays(const Problem& p, const Data& d) : p_(p) {
    const auto& c = d.call;
    forward_.x = input(c.x, x_shape(p));
    if (!c.h0.empty() || p.initial_state) forward_.h0 = input(c.h0, state_shape(p));
    if (p.initial_state && lstm()) forward_.c0 = input(c.c0, cell_state_shape(p));
    if (!c.lengths.empty()) {
      lengths32_.assign(c.lengths.begin(), c.lengths.end());
      lengths64_.assign(c.lengths.begin(), c.lengths.end());
      forward_.lengths = p.lengths_i64 ? ConstTensorView(lengths64_.data(), Shape{p.n})
                                       : ConstTensorView(lengths32_.data(), Shape{p.n});
    }
    forward_.mask = flags(c.mask);
    forward_.resets = flags(c.resets);
    const Given& g = p.given;
    if (g.y) forward_.y = output(y_shape(p));
    if (g.y_reverse && apart()) forward_.y_reverse = output(y_shape(p));
    if (g.h_n) forward_.h_n = output_over(forward_.h0, g.h_n_is_h0, state_shape(p));
    if (g.c_n && lstm()) forward_.c_n = output_over(forward_.c0, g.c_n_is_c0, cell_state_shape(p));
    if (g.c && p.config.cell_sequence) forward_.c = output(cell_sequence_shape(p));
  }

  ForwardArgs& forward() { return forward_; }

  void supply_masks(const Data& d) {
    const reference::Call<double>& c = d.call;
    const std::int64_t directions = num_directions(p_.config);
    for (std::size_t i = 0; i < c.input_masks.size(); ++i) {
      const Shape shape = input_mask_shape(p_, static_cast<std::int64_t>(i) / directions);
      input_masks_.push_back(input(c.input_masks[i], shape));
    }
    DropoutArgs& drop = forward_.dropout;
    drop.input_masks = input_masks_;
    drop.recurrent_masks = views(recurrent_masks_, c.recurrent_masks, recurrent_mask_shape(p_));
    drop.layer_masks = views(layer_masks_, c.layer_masks, layer_mask_shape(p_));
    drop.zoneout_h_masks = views(zoneout_h_masks_, c.zoneout_h_masks, zoneout_h_mask_shape(p_));
    drop.zoneout_c_masks = views(zoneout_c_masks_, c.zoneout_c_masks, zoneout_c_mask_shape(p_));
    drop.dropconnect_masks = views(dropconnect_masks_, c.dropconnect_masks, dropconnect_mask_shape(p_));
  }

  BackwardArgs backward(const reference::Upstream<double>& up) {
    BackwardArgs b;
    if (!up.dy.empty() || p_.n == 0) b.dy = input(up.dy, y_shape(p_));
    if (!up.dy_reverse.empty()) b.dy_reverse = input(up.dy_reverse, y_shape(p_));
    if (!up.dh_n.empty()) b.dh_n = input(up.dh_n, state_shape(p_));
    if (!up.dc_n.empty()) b.dc_n = input(up.dc_n, cell_state_shape(p_));
    if (!up.dc.empty()) b.dc = input(up.dc, cell_sequence_shape(p_));
    const Given& g = p_.given;
    if (g.dx) b.dx = output(x_shape(p_));
    if (g.dh0) b.dh0 = output_over(b.dh_n, g.dh0_is_dh_n, state_shape(p_));
    if (g.dc0 && lstm()) b.dc0 = output_over(b.dc_n, g.dc0_is_dc_n, cell_state_shape(p_));
    if (!g.dparameters) return b;
    b.dparameters = output(Shape{parameter_count(p_.config)});
    for (T& e : b.dparameters.template span<T>()) e = T(0.0F);  // accumulated
    return b;
  }

  void expect_guards_intact() const {
    for (const auto& m : inputs_) EXPECT_TRUE(m->unchanged()) << "an input was written";
    for (const auto& m : flags_) EXPECT_TRUE(m->unchanged()) << "a mask or resets were written";
    for (const auto& m : memory_) EXPECT_TRUE(m->zones_intact()) << "written outside of a buffer";
  }

 private:
  bool lstm() const { return p_.config.cell == Cell::kLstm; }
  bool apart() const { return num_directions(p_.config) == 2 && p_.config.merge == Merge::kNone; }
  typename Guarded<T>::Start start() const {
    return p_.one_element_off ? Guarded<T>::Start::kOneElementOff : Guarded<T>::Start::kAligned64;
  }
  ConstTensorView input(const std::vector<double>& values, Shape shape) {
    inputs_.push_back(std::make_unique<Guarded<T>>(values, start()));
    return inputs_.back()->view(shape);
  }
  std::span<const ConstTensorView> views(std::vector<ConstTensorView>& to,
                                         const std::vector<std::vector<double>>& masks, const Shape& shape) {
    for (const std::vector<double>& mask : masks) to.push_back(input(mask, shape));
    return to;
  }
  ConstTensorView flags(const std::vector<std::uint8_t>& values) {
    if (values.empty()) return {};
    using Bytes = Guarded<std::uint8_t>;
    flags_.push_back(std::make_unique<Bytes>(
        values, p_.one_element_off ? Bytes::Start::kOneElementOff : Bytes::Start::kAligned64));
    return flags_.back()->view(flags_shape(p_));
  }
  TensorView output(Shape shape) {
    memory_.push_back(std::make_unique<Guarded<T>>(static_cast<std::size_t>(shape.count()), start()));
    return memory_.back()->view(shape);
  }
  // States, in memory of their own or in that of the input, which is then one no more.
  TensorView output_over(ConstTensorView in, bool replaces, const Shape& shape) {
    if (in.absent() || !replaces) return output(shape);
    const auto its = [&](const auto& m) { return m->data() == in.data; };
    const auto at = std::find_if(inputs_.begin(), inputs_.end(), its);
    memory_.push_back(std::move(*at));
    inputs_.erase(at);
    return memory_.back()->view(shape);
  }

  const Problem& p_;
  ForwardArgs forward_;
  std::vector<std::unique_ptr<Guarded<T>>> inputs_, memory_;
  std::vector<std::unique_ptr<Guarded<std::uint8_t>>> flags_;
  std::vector<std::int32_t> lengths32_;
  std::vector<std::int64_t> lengths64_;
  std::vector<ConstTensorView> input_masks_, recurrent_masks_, layer_masks_;
  std::vector<ConstTensorView> zoneout_h_masks_, zoneout_c_masks_, dropconnect_masks_;
};

template <class T>
std::vector<T> copy(ConstTensorView v) {
  if (v.absent()) return {};
  const auto s = v.span<T>();
  return {s.begin(), s.end()};
}

template <class T>
reference::Results<T> results_of(const ForwardArgs& f) {
  return {copy<T>(f.y), copy<T>(f.y_reverse), copy<T>(f.h_n), copy<T>(f.c_n), copy<T>(f.c)};
}

PlanOptions plan_options(std::span<const Problem> problems, Phase phase) {
  PlanOptions o{.phase = phase, .max_n = 0, .ragged = false};
  for (const Problem& p : problems) {
    o.max_t = std::max(o.max_t, p.t + p.spare_t);
    o.max_n = std::max(o.max_n, p.n + p.spare_n);
    o.resets = o.resets || !p.resets.empty();
    o.ragged = o.ragged || !p.lengths.empty() || !p.mask.empty();
  }
  return o;
}

}  // namespace

template <class T>
ByPlan<T>::ByPlan(Phase phase, std::span<const Problem> problems)
    : plan_(problems[0].config, plan_options(problems, phase)),
      workspace_(plan_.workspace_bytes()),
      kept_(plan_.tape_bytes()),
      tape_(kept_.bytes()) {}

template <class T>
PackedWeights ByPlan<T>::pack(const Data& data) const {
  const std::vector<T> parameters = reference::convert<T>(data.call.parameters);
  return plan_.pack(ConstTensorView(parameters.data(), Shape{static_cast<std::int64_t>(parameters.size())}));
}

template <class T>
void ByPlan<T>::expect_zones_intact() const {
  EXPECT_TRUE(workspace_.zones_intact()) << "written outside of the workspace";
  EXPECT_TRUE(kept_.zones_intact()) << "written outside of the tape";
}

template <class T>
reference::Results<T> ByPlan<T>::infer(const Problem& p, const Data& data) {
  const PackedWeights weights = pack(data);
  Arrays<T> arrays(p, data);
  arrays.forward().workspace = workspace_.refilled();
  plan_.forward(weights, arrays.forward());
  arrays.expect_guards_intact();
  expect_zones_intact();
  return results_of<T>(arrays.forward());
}

template <class T>
Solution<T> ByPlan<T>::train(const Problem& p, const Data& data,
                             const reference::Upstream<double>& upstream) {
  const PackedWeights weights = pack(data);
  Arrays<T> arrays(p, data);
  arrays.supply_masks(data);
  kept_.refilled();
  arrays.forward().tape = &tape_;
  arrays.forward().workspace = workspace_.refilled();
  plan_.forward(weights, arrays.forward());
  arrays.expect_guards_intact();
  const reference::Results<T> results = results_of<T>(arrays.forward());
  BackwardArgs b = arrays.backward(upstream);
  b.workspace = workspace_.refilled();
  plan_.backward(weights, tape_, b);
  arrays.expect_guards_intact();
  expect_zones_intact();
  EXPECT_EQ(results.y, copy<T>(arrays.forward().y)) << "backward wrote y";
  return {results, {copy<T>(b.dx), copy<T>(b.dparameters), copy<T>(b.dh0), copy<T>(b.dc0)}};
}

template <class T>
Solution<T> train_by_rnn(const Problem& p, const Data& data, const reference::Upstream<double>& upstream) {
  Rnn rnn(p.config, p.device);
  const std::vector<T> parameters = reference::convert<T>(data.call.parameters);
  std::copy(parameters.begin(), parameters.end(), rnn.parameters().span<T>().begin());
  Arrays<T> arrays(p, data);
  arrays.supply_masks(data);
  const ForwardArgs& in = arrays.forward();
  Tape tape;
  ForwardOptions options;
  options.h0 = in.h0;
  options.c0 = in.c0;
  options.lengths = in.lengths;
  options.mask = in.mask;
  options.resets = in.resets;
  options.dropout = in.dropout;
  options.tape = &tape;
  const ForwardResult out = rnn.forward(in.x, options);
  const BackwardArgs b = arrays.backward(upstream);
  const BackwardResult back = rnn.backward(tape, {b.dy, b.dy_reverse, b.dh_n, b.dc_n, b.dc, p.given.dx});
  arrays.expect_guards_intact();
  return {{copy<T>(out.y.view()), copy<T>(out.y_reverse.view()), copy<T>(out.h_n.view()),
           copy<T>(out.c_n.view()), copy<T>(out.c.view())},
          {copy<T>(back.dx.view()), copy<T>(rnn.gradients()), copy<T>(back.dh0.view()),
           copy<T>(back.dc0.view())}};
}

template class ByPlan<float>;
template class ByPlan<double>;
template class ByPlan<Float16>;
template class ByPlan<BFloat16>;
using UpstreamF64 = reference::Upstream<double>;
template Solution<float> train_by_rnn<float>(const Problem&, const Data&, const UpstreamF64&);
template Solution<double> train_by_rnn<double>(const Problem&, const Data&, const UpstreamF64&);
template Solution<Float16> train_by_rnn<Float16>(const Problem&, const Data&, const UpstreamF64&);
template Solution<BFloat16> train_by_rnn<BFloat16>(const Problem&, const Data&, const UpstreamF64&);

}  // namespace rondo::testing
