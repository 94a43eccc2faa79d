// Level one: a network with its parameters, gradients, plans and memory.
#include "rondo/rnn.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/dispatch.h"
#include "core/memory.h"
#include "core/validate.h"

namespace rondo {

void State::reset() {
  h_.zero();
  c_.zero();
}

void State::reset_row(std::int64_t row) {
  for (Tensor* all : {&h_, &c_}) {
    if (all->absent()) continue;
    const Shape& shape = all->shape();
    validate_row(row, shape[1]);
    const std::int64_t bytes = shape[2] * element_bytes(all->dtype());
    auto* data = static_cast<std::byte*>(all->view().data);
    for (std::int64_t i = 0; i < shape[0]; ++i) std::fill_n(data + (i * shape[1] + row) * bytes, bytes, std::byte{0});
  }
}

namespace {
void copy(const Tensor& from, Tensor& to) {
  const auto bytes = static_cast<std::size_t>(from.shape().count() * element_bytes(from.dtype()));
  std::memcpy(to.view().data, from.view().data, bytes);
}
}  // namespace

struct Rnn::Impl {
  Impl(const RnnConfig& c, DeviceChoice choice)
      : config(c),
        layout(parameter_layout(c)),
        forced(choice ? choice : device_from_environment()),
        parameters(c.dtype, {parameter_count(c)}),
        gradients(c.dtype, {parameter_count(c)}) {
    if (forced) {
      backend_of(*forced);  // a device that is missing is better known now
      home = *forced;
    }
    rondo::initialize(config, Initializer::kPyTorch, 0, parameters);
  }

  static constexpr std::size_t kMostPlans = 8;

  RnnConfig config;
  std::vector<ParameterInfo> layout;
  DeviceChoice forced;
  Device home{};
  bool planned = false;
  std::string reason;
  Tensor parameters, gradients;
  bool changed = true;           // parameters, since they were packed
  PackedWeights weights[2];      // by phase
  std::vector<Plan> plans;       // the latest last
  AlignedMemory workspace;

  // A plan that holds t and n. The least recently used one that no tape waits for goes when there are too many.
  Plan& plan_for(Phase phase, std::int64_t t, std::int64_t n) {
    const auto fits = [&](const Plan& p) {
      const PlanOptions& o = p.options();
      return (o.phase == phase || o.phase == Phase::kTraining) && o.max_t >= t && o.max_n >= n;
    };
    for (std::size_t i = plans.size(); i-- > 0;) {
      if (!fits(plans[i])) continue;
      std::rotate(plans.begin() + static_cast<std::ptrdiff_t>(i), plans.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                  plans.end());
      return plans.back();
    }
    if (!planned) choose_home(phase, t, n);
    Plan plan(config, PlanOptions{phase, t, n, home});
    workspace.reserve(plan.workspace_bytes());
    if (plans.size() >= kMostPlans) {
      const auto idle = std::find_if(plans.begin(), plans.end(), [](const Plan& p) { return !p.awaits_backward(); });
      if (idle != plans.end()) plans.erase(idle);
    }
    return plans.emplace_back(std::move(plan));
  }
  Plan* plan_of(const Tape& tape) {
    for (Plan& plan : plans) {
      if (plan.recorded(tape)) return &plan;
    }
    return nullptr;
  }
  void choose_home(Phase phase, std::int64_t t, std::int64_t n) {
    const Choice choice = plan_device({config, phase, t, n, {}, true}, forced);
    home = choice.device;
    reason = choice.reason;
    planned = true;
    if (log_enabled()) log_line(to_string(config) + ", " + rondo::to_string(phase) + ": " + reason);
  }
  const PackedWeights& packed(Plan& plan) {
    if (std::exchange(changed, false)) weights[0] = weights[1] = {};
    PackedWeights& w = weights[static_cast<int>(plan.options().phase)];
    if (w.empty()) w = plan.pack(parameters);
    return w;
  }
  TensorView named(Tensor& all, const std::string& name) {
    const ParameterInfo& info = layout[find_parameter(layout, name)];
    auto* data = static_cast<std::byte*>(all.view().data) + info.offset * element_bytes(config.dtype);
    return {data, config.dtype, info.shape};
  }
  Tensor states(std::int64_t n) const {
    return Tensor(config.dtype, {config.num_layers * num_directions(config), n, config.hidden_size});
  }
  void shape_state(State& state, std::int64_t n) const {
    state.h_ = states(n);
    if (lstm()) state.c_ = states(n);
  }
  bool lstm() const { return config.cell == Cell::kLstm; }
};

Rnn::Rnn(const RnnConfig& config, DeviceChoice device) : impl_(std::make_unique<Impl>(config, device)) {}
Rnn::~Rnn() = default;
Rnn::Rnn(Rnn&&) noexcept = default;
Rnn& Rnn::operator=(Rnn&&) noexcept = default;

const RnnConfig& Rnn::config() const { return impl_->config; }
Device Rnn::device() const { return impl_->home; }

TensorView Rnn::parameters() {
  impl_->changed = true;
  return impl_->parameters;
}
ConstTensorView Rnn::parameters() const { return std::as_const(impl_->parameters).view(); }
TensorView Rnn::parameter(const std::string& name) {
  const TensorView view = impl_->named(impl_->parameters, name);
  impl_->changed = true;
  return view;
}
void Rnn::parameters_changed() { impl_->changed = true; }
void Rnn::initialize(Initializer how, std::uint64_t seed) { rondo::initialize(impl_->config, how, seed, parameters()); }
TensorView Rnn::gradients() { return impl_->gradients; }
TensorView Rnn::gradient(const std::string& name) { return impl_->named(impl_->gradients, name); }
void Rnn::zero_gradients() { impl_->gradients.zero(); }

ForwardResult Rnn::forward(ConstTensorView x, const ForwardOptions& o) {
  Impl& m = *impl_;
  const CallSizes sizes = validate_input("forward", m.config, {}, x);
  if (o.state != nullptr) {
    validate_one_state(o.h0, o.c0);
    if (!o.state->h_.absent()) validate_state("forward", m.config, sizes.n, o.state->h_, o.state->c_);
  }
  Plan& plan = m.plan_for(o.tape != nullptr ? Phase::kTraining : Phase::kInference, sizes.t, sizes.n);
  const PackedWeights& weights = m.packed(plan);

  ForwardResult result;
  const bool time_major = m.config.layout == Layout::kTimeMajor, last = m.config.outputs == Outputs::kLast;
  const std::int64_t width = output_size(m.config), first = time_major ? sizes.t : sizes.n,
                     second = time_major ? sizes.n : sizes.t;
  const Shape y_shape = last ? Shape{sizes.n, width} : Shape{first, second, width};
  result.y = Tensor(m.config.dtype, y_shape);
  if (m.config.merge == Merge::kNone && num_directions(m.config) == 2) result.y_reverse = Tensor(m.config.dtype, y_shape);
  result.h_n = m.states(sizes.n);
  if (m.lstm()) result.c_n = m.states(sizes.n);

  ForwardArgs args;
  args.x = x;
  args.h0 = o.state != nullptr ? std::as_const(*o.state).h() : o.h0;
  args.c0 = o.state != nullptr ? std::as_const(*o.state).c() : o.c0;
  args.lengths = o.lengths;
  args.y = result.y;
  args.y_reverse = result.y_reverse;
  args.h_n = result.h_n;
  args.c_n = result.c_n;
  args.dropout = o.dropout;
  args.tape = o.tape;
  args.workspace = m.workspace.span();
  plan.forward(weights, args);
  if (o.state != nullptr) {
    // Only now: an error leaves the state as it was.
    if (o.state->h_.absent()) m.shape_state(*o.state, sizes.n);
    copy(result.h_n, o.state->h_);
    if (m.lstm()) copy(result.c_n, o.state->c_);
  }
  return result;
}

BackwardResult Rnn::backward(Tape& tape, const BackwardOptions& o) {
  Impl& m = *impl_;
  Plan* plan = m.plan_of(tape);
  if (plan == nullptr) plan = &m.plan_for(Phase::kTraining, 1, 1);  // whose backward says what is wrong
  const PackedWeights& weights = m.packed(*plan);

  BackwardResult result;
  const Shape x = tape.x_shape();
  const std::int64_t n = x[m.config.layout == Layout::kTimeMajor ? 1 : 0];
  if (plan->recorded(tape)) {
    if (o.want_dx) result.dx = Tensor(m.config.dtype, x);
    result.dh0 = m.states(n);
    if (m.lstm()) result.dc0 = m.states(n);
  }
  BackwardArgs args;
  args.dy = o.dy;
  args.dy_reverse = o.dy_reverse;
  args.dh_n = o.dh_n;
  args.dc_n = o.dc_n;
  args.dx = result.dx;
  args.dh0 = result.dh0;
  args.dc0 = result.dc0;
  args.dparameters = m.gradients;
  args.workspace = m.workspace.span();
  plan->backward(weights, tape, args);
  return result;
}

State Rnn::make_state(std::int64_t n) {
  Impl& m = *impl_;
  validate_state_rows(n);
  State state;
  m.shape_state(state, n);
  m.packed(m.plan_for(Phase::kInference, 1, n));
  return state;
}

ConstTensorView Rnn::step(ConstTensorView x_t, State& state) {
  Impl& m = *impl_;
  validate_step(m.config, x_t, state.h_, state.c_);
  const std::int64_t n = x_t.shape[0];
  Plan& plan = m.plan_for(Phase::kInference, 1, n);
  const bool time_major = m.config.layout == Layout::kTimeMajor;
  ForwardArgs args;
  args.x = {x_t.data, x_t.dtype, time_major ? Shape{1, n, x_t.shape[1]} : Shape{n, 1, x_t.shape[1]}};
  args.h0 = args.h_n = state.h_;
  args.c0 = args.c_n = state.c_;
  args.workspace = m.workspace.span();
  plan.forward(m.packed(plan), args);
  const std::int64_t last = (m.config.num_layers - 1) * n * m.config.hidden_size * element_bytes(m.config.dtype);
  return {static_cast<const std::byte*>(args.h_n.data) + last, m.config.dtype, Shape{n, m.config.hidden_size}};
}

std::string Rnn::explain() const {
  const Impl& m = *impl_;
  if (!m.planned) return "not planned yet: the device is chosen at the first call";
  return m.reason + "; path: " + (m.plans.empty() ? "" : m.plans.back().path());
}

}  // namespace rondo
