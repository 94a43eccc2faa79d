// Level one: calls of a network that has its plans and memory at hand.
#include "rondo/rnn.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/rnn_impl.h"
#include "core/tape.h"

namespace rondo {

Rnn::Rnn(const RnnConfig& config, DeviceChoice device) : impl_(std::make_unique<Impl>(config, device)) {}
Rnn::~Rnn() = default;
Rnn::Rnn(Rnn&&) noexcept = default;
Rnn& Rnn::operator=(Rnn&&) noexcept = default;

const RnnConfig& Rnn::config() const { return impl_->config; }
Device Rnn::device() const { return impl_->home; }

TensorView Rnn::parameters() {
  impl_->parameters_changed();
  return impl_->parameters;
}
ConstTensorView Rnn::parameters() const { return std::as_const(impl_->parameters).view(); }
TensorView Rnn::parameter(const std::string& name) {
  const TensorView view = impl_->named(impl_->parameters, name);
  impl_->parameters_changed();
  return view;
}
void Rnn::parameters_changed() { impl_->parameters_changed(); }
void Rnn::initialize(Initializer how, std::uint64_t seed) {
  rondo::initialize(config(), how, seed, parameters());
}
TensorView Rnn::gradients() { return impl_->gradients_for_caller(); }
TensorView Rnn::gradient(const std::string& name) {
  return impl_->named(impl_->gradients_for_caller(), name);
}
void Rnn::zero_gradients() {
  impl_->gradients.zero();
  impl_->newer = Impl::Newer::kZeros;
}

ForwardResult Rnn::forward(ConstTensorView x, const ForwardOptions& o) {
  Impl& m = *impl_;
  const RnnConfig& c = m.config;
  const auto [t, n] = validate_sequence(c, x, o);
  Plan& plan = m.plan_for(o.tape != nullptr ? Phase::kTraining : Phase::kInference, t, n, !o.resets.absent());
  ForwardResult result;
  auto& [y, y_reverse, h_n, c_n, c_all] = result;
  const std::int64_t width = output_size(c);
  y = Tensor(c.dtype, c.outputs == Outputs::kLast ? Shape{n, width} : m.sequence(t, n, width));
  if (c.merge == Merge::kNone && num_directions(c) == 2) y_reverse = Tensor(c.dtype, y.shape());
  m.make_states(n, h_n, c_n);
  if (c.cell_sequence) c_all = Tensor(c.dtype, m.sequence(t, n, num_directions(c) * c.hidden_size));

  const State* state = o.state;
  const ConstTensorView h0 = state != nullptr ? state->h() : o.h0, c0 = state != nullptr ? state->c() : o.c0;
  ForwardArgs args{.x = x,
                   .h0 = h0,
                   .c0 = c0,
                   .lengths = o.lengths,
                   .mask = o.mask,
                   .resets = o.resets,
                   .y = y,
                   .y_reverse = y_reverse,
                   .h_n = h_n,
                   .c_n = c_n,
                   .c = c_all,
                   .dropout = o.dropout,
                   .tape = o.tape,
                   .workspace = m.workspace.span()};
  DeviceMemory sent;  // the tape's, which keeps what it has until the pass has succeeded
  Transfers moved(m.home, o.tape != nullptr ? sent : m.room);
  for (ConstTensorView* view : {&args.x, &args.h0, &args.c0}) moved.in(*view);
  for (TensorView* view : {&args.y, &args.y_reverse, &args.h_n, &args.c_n, &args.c}) moved.out(*view);
  auto& masks = args.dropout;
  for (auto* views : {&masks.input_masks, &masks.recurrent_masks, &masks.layer_masks, &masks.zoneout_h_masks,
                      &masks.zoneout_c_masks, &masks.dropconnect_masks}) {
    moved.in(*views);
  }
  moved.send();
  plan.forward(m.packed(plan), args);
  moved.fetch();
  if (o.tape != nullptr) o.tape->record_->sent = std::move(sent);
  if (state == nullptr) return result;
  // Only now: an error leaves the state as it was.
  if (state->h_.absent()) m.make_states(n, o.state->h_, o.state->c_);
  for (const auto& [from, to] : {std::pair{&h_n, &o.state->h_}, {&c_n, &o.state->c_}}) {
    if (from->absent()) continue;
    std::memcpy(to->view().data, from->view().data, from->shape().count() * element_bytes(c.dtype));
  }
  return result;
}

BackwardResult Rnn::backward(Tape& tape, const BackwardOptions& o) {
  Impl& m = *impl_;
  const auto its = [&](const Plan& p) { return p.recorded(tape); };
  const auto at = std::find_if(m.plans.begin(), m.plans.end(), its);
  const bool known = at != m.plans.end();
  Plan& plan = known ? *at : m.plan_for(Phase::kTraining, 1, 1);  // whose backward says what is wrong
  BackwardResult result;
  auto& [dx, dh0, dc0] = result;
  const Shape x = tape.x_shape();
  if (known && o.want_dx) dx = Tensor(m.config.dtype, x);
  if (known) m.make_states(x[m.time_major() ? 1 : 0], dh0, dc0);
  const TensorView dparameters = m.gradients_for_backward();
  BackwardArgs args{.dy = o.dy,
                    .dy_reverse = o.dy_reverse,
                    .dh_n = o.dh_n,
                    .dc_n = o.dc_n,
                    .dc = o.dc,
                    .dx = dx,
                    .dh0 = dh0,
                    .dc0 = dc0,
                    .dparameters = dparameters,
                    .workspace = m.workspace.span()};
  Transfers moved(m.home, m.room);
  for (ConstTensorView* view : {&args.dy, &args.dy_reverse, &args.dh_n, &args.dc_n, &args.dc})
    moved.in(*view);
  for (TensorView* view : {&args.dx, &args.dh0, &args.dc0}) moved.out(*view);
  moved.send();
  plan.backward(m.packed(plan), tape, args);
  moved.fetch();
  return result;
}

State Rnn::make_state(std::int64_t n) {
  validate_least("make_state", "n", n, 0);
  State state;
  impl_->make_states(n, state.h_, state.c_);
  impl_->packed(impl_->plan_for(Phase::kInference, 1, n));
  impl_->reserve_chosen(state);
  return state;
}

ConstTensorView Rnn::step(const ConstTensorView& x_t, State& state) {
  Impl& m = *impl_;
  if (!plainly_fit_a_step(m.step_form, x_t, state.h_, state.c_)) [[unlikely]] {
    validate_step(m.config, x_t, state);
  }
  return m.step(x_t, state.h_.view().data, state.c_.view().data);
}

ConstTensorView Rnn::step(const ConstTensorView& x_t, State& state, const ConstTensorView& rows) {
  if (rows.absent()) return step(x_t, state);
  Impl& m = *impl_;
  validate_step(m.config, x_t, state, rows);
  m.reserve_chosen(state);
  Impl::expect_once(state, rows);
  Tensor* const all[] = {&state.h_, &state.c_};
  Tensor* const room[] = {&state.chosen_h_, &state.chosen_c_};
  TensorView chosen[2];
  for (int i = 0; i < 2; ++i) {
    if (all[i]->absent()) continue;
    chosen[i] = Impl::first_rows(*room[i], rows.shape[0]);
    Impl::copy_rows(rows, *all[i], chosen[i], Impl::Way::kOut);
  }
  const ConstTensorView y = m.step(x_t, chosen[0].data, chosen[1].data);
  for (int i = 0; i < 2; ++i) {
    if (!all[i]->absent()) Impl::copy_rows(rows, *all[i], chosen[i], Impl::Way::kBack);
  }
  return y;
}

std::string Rnn::explain() const {
  const Impl& m = *impl_;
  if (m.reason.empty()) return "not planned yet: the device is chosen at the first call";
  return m.reason + "; path: " + (m.plans.empty() ? "" : m.plans.back().path()) + m.traffic();
}

}  // namespace rondo
