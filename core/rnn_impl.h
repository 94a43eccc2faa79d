// What a network of level one keeps: its parameters, gradients, plans and memory.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/dispatch.h"
#include "core/transfers.h"
#include "core/validate.h"
#include "rondo/rnn.h"

namespace rondo {

struct Rnn::Impl {
  static constexpr std::size_t kMostPlans = 8;

  RnnConfig config;
  DeviceChoice forced;
  std::vector<ParameterInfo> layout = parameter_layout(config);
  Tensor parameters{config.dtype, {parameter_count(config)}}, gradients{config.dtype, parameters.shape()};
  Device home;
  std::string reason;                            // for home; empty: not planned yet
  bool changed = true;                           // parameters, since they were packed
  PackedWeights weights[2];                      // by phase
  std::vector<Plan> plans;                       // the latest last
  DeviceMemory workspace, room;                  // at home; room: copies of an inference pass's arrays
  DeviceMemory parameters_sent, gradients_sent;  // at home, where that is not the host
  const StepForm step_form{config};
  // The steps of n rows that take the short way; null: all take that of a pass. n < 0: not looked up since
  // parameters, plans or the workspace have changed.
  struct ShortSteps {
    std::int64_t n = -1;
    Steps* steps = nullptr;
  } short_steps;
  ConstTensorView stepped;          // what the latest step returned
  const void* stepped_h = nullptr;  // and the states that it is the last part of
  enum class Newer { kHost, kHome, kZeros } newer = Newer::kZeros;  // of the gradients
  std::int64_t fetches = 0, sends = 0;  // of gradients, of parameters, where home is not the host

  Impl(const RnnConfig& c, DeviceChoice asked)
      : config(c), forced(asked ? asked : device_from_environment()), home(forced.value_or(Device())) {
    if (forced) backend_of(home);  // a device that is missing is better known now
    rondo::initialize(config, Initializer::kPyTorch, 0, parameters);
  }
  bool lstm() const { return config.cell == Cell::kLstm; }
  bool time_major() const { return config.layout == Layout::kTimeMajor; }
  Shape sequence(std::int64_t t, std::int64_t n, std::int64_t width) const {
    return time_major() ? Shape{t, n, width} : Shape{n, t, width};
  }
  void make_states(std::int64_t n, Tensor& h, Tensor& c) const {
    const std::int64_t count = config.num_layers * num_directions(config);
    h = Tensor(config.dtype, {count, n, state_size(config)});
    if (lstm()) c = Tensor(config.dtype, {count, n, config.hidden_size});
  }
  TensorView named(Tensor& all, const std::string& name) const {
    const ParameterInfo& info = find_parameter(layout, name);
    auto* data = static_cast<std::byte*>(all.view().data) + info.offset * element_bytes(config.dtype);
    return {data, config.dtype, info.shape};
  }

  // Chooses the home device when it is the first. Where nobody asked for a device, one that fails has the CPU
  // step in, as long as nothing lies there yet.
  Plan make_plan(Phase phase, std::int64_t t, std::int64_t n, bool resets) {
    const auto made = [&] {
      Plan plan(config, {.phase = phase, .max_t = t, .max_n = n, .device = home, .resets = resets});
      workspace.reserve(home, plan.workspace_bytes());
      return plan;
    };
    if (!reason.empty()) return made();
    const Request request{.config = config,
                          .phase = phase,
                          .max_t = t,
                          .max_n = n,
                          .parameters_on_host = true,
                          .resets = resets};
    const Choice choice = plan_device(request, forced);
    home = choice.device;
    std::optional<Plan> plan;
    std::string why = choice.reason;
    try {
      plan.emplace(made());
      if (!forced && home != Device{}) {
        expect_room(*plan);
        packed(*plan);
      }
    } catch (const DeviceError& error) {
      const Device failed = std::exchange(home, forced.value_or(Device()));
      parameters_sent = {};
      sends = 0;
      plan.reset();
      if (forced || failed == Device{} || !supports(config, phase).ok) throw;
      why = message("cpu: ", failed, " was the fastest by prediction and failed (", error.what(), ")");
      plan.emplace(made());
    }
    reason = why;
    if (log_enabled()) log_line(message(config, ", ", phase, ": ", reason));
    return std::move(*plan);
  }
  // What the first passes take beside the plan: where there is no room for that, it shows now, while another
  // device can step in.
  void expect_room(const Plan& plan) const {
    const auto& [phase, t, n, device, stream, resets, ragged] = plan.options();
    const bool training = phase == Phase::kTraining;
    const std::int64_t states = config.num_layers * num_directions(config) * n * config.hidden_size;
    const std::int64_t outputs = (config.merge == Merge::kNone ? 2 : 1) * output_size(config);
    const std::int64_t arrays = t * n * (config.input_size + outputs) + 4 * states;
    const std::int64_t elements = training ? 2 * arrays + parameter_count(config) : arrays;
    DeviceMemory trial;
    trial.reserve(home, static_cast<std::size_t>(elements * element_bytes(config.dtype)) +
                            (training ? plan.tape_bytes() : 0));
  }
  // A plan that holds t and n. When there are too many, the least recently used go that no tape waits for.
  Plan& plan_for(Phase phase, std::int64_t t, std::int64_t n, bool resets = false) {
    const auto fits = [&](const Plan& p) {
      const PlanOptions& o = p.options();
      return (o.phase == phase || o.phase == Phase::kTraining) && o.max_t >= t && o.max_n >= n &&
             (o.resets || !resets);
    };
    if (!plans.empty() && fits(plans.back())) return plans.back();
    short_steps.n = -1;
    if (const auto at = std::find_if(plans.rbegin(), plans.rend(), fits); at != plans.rend()) {
      std::rotate(at.base() - 1, at.base(), plans.end());
      return plans.back();
    }
    Plan plan = make_plan(phase, t, n, resets);
    while (plans.size() >= kMostPlans) {
      const auto idle = std::find_if_not(plans.begin(), plans.end(), std::mem_fn(&Plan::awaits_backward));
      if (idle == plans.end()) break;
      plans.erase(idle);
    }
    return plans.emplace_back(std::move(plan));
  }
  const PackedWeights& packed(const Plan& plan) {
    if (std::exchange(changed, false)) weights[0] = weights[1] = {};
    PackedWeights& w = weights[static_cast<int>(plan.options().phase)];
    if (!w.empty()) return w;
    if (home == Device{}) return w = plan.pack(parameters);
    const TensorView there = send(parameters, parameters_sent);
    ++sends;
    return w = plan.pack(there);
  }
  void parameters_changed() {
    changed = true;
    short_steps.n = -1;
  }
  // One step of the states h and c of x_t's rows, in place.
  ConstTensorView step(const ConstTensorView& x_t, void* h, void* c) {
    if (!step_shortly(x_t, h, c)) [[unlikely]] {
      forward_step(x_t, h, c);
    }
    if (stepped_h != h || stepped.shape[0] != x_t.shape[0]) [[unlikely]] {
      keep_stepped(h, x_t.shape[0]);
    }
    return stepped;
  }
  bool step_shortly(const ConstTensorView& x_t, void* h, void* c) {
    if (short_steps.n != x_t.shape[0]) [[unlikely]] {
      find_short_steps(x_t.shape[0]);
    }
    return short_steps.steps != nullptr && apart_from_states(step_form, x_t, h, c) &&
           short_steps.steps->step(x_t.data, h, c);
  }
  void find_short_steps(std::int64_t n) {
    Plan& plan = plan_for(Phase::kInference, 1, n);
    const PackedWeights& w = packed(plan);
    short_steps = {n,
                   n > 0 && home == Device{} ? plan.impl_->steps(*w.packed_, n, workspace.data()) : nullptr};
  }
  void keep_stepped(void* h, std::int64_t n) {
    const std::int64_t below = (config.num_layers - 1) * n * state_size(config) * element_bytes(config.dtype);
    stepped = {static_cast<const std::byte*>(h) + below, config.dtype, Shape{n, state_size(config)}};
    stepped_h = h;
  }
  // By a pass over a sequence of one step, on any device.
  void forward_step(const ConstTensorView& x_t, void* h, void* c) {
    const std::int64_t n = x_t.shape[0];
    Plan& plan = plan_for(Phase::kInference, 1, n);
    ForwardArgs args;
    args.x = {x_t.data, x_t.dtype, sequence(1, n, config.input_size)};
    args.h0 = args.h_n = {h, config.dtype, {config.num_layers, n, state_size(config)}};
    if (lstm()) args.c0 = args.c_n = {c, config.dtype, {config.num_layers, n, config.hidden_size}};
    args.workspace = workspace.span();
    Transfers moved(home, room);
    for (ConstTensorView* view : {&args.x, &args.h0, &args.c0}) moved.in(*view);
    for (TensorView* view : {&args.h_n, &args.c_n}) moved.out(*view);
    moved.send();
    plan.forward(packed(plan), args);
    moved.fetch();
  }

  // Memory for any choice of a state's rows.
  void reserve_chosen(State& state) const {
    const std::int64_t n = state.h_.shape()[1];
    if (std::ssize(state.seen_) == n) return;
    make_states(n, state.chosen_h_, state.chosen_c_);
    state.seen_.assign(static_cast<std::size_t>(n), 0);
  }
  static TensorView first_rows(Tensor& states, std::int64_t n) {
    const Shape& shape = states.shape();
    return {states.view().data, states.dtype(), Shape{shape[0], n, shape[2]}};
  }
  static void expect_once(State& state, ConstTensorView rows) {
    ++state.steps_;
    for (std::int64_t i = 0; i < rows.shape[0]; ++i) {
      auto& seen = state.seen_[static_cast<std::size_t>(index_at(rows, i))];
      validate_once(index_at(rows, i), std::exchange(seen, state.steps_) != state.steps_);
    }
  }
  // Out of the state of all streams into that of the chosen ones, or back.
  enum class Way { kOut, kBack };
  static void copy_rows(ConstTensorView rows, TensorView all, TensorView some, Way way) {
    const std::int64_t bytes = all.shape[2] * element_bytes(all.dtype), n = some.shape[1];
    for (std::int64_t i = 0; i < all.shape[0] * n; ++i) {
      std::byte* one = static_cast<std::byte*>(some.data) + i * bytes;
      std::byte* its =
          static_cast<std::byte*>(all.data) + (i / n * all.shape[1] + index_at(rows, i % n)) * bytes;
      std::memcpy(way == Way::kOut ? one : its, way == Way::kOut ? its : one,
                  static_cast<std::size_t>(bytes));
    }
  }
  TensorView send(const Tensor& array, DeviceMemory& there) const {
    const auto bytes = static_cast<std::size_t>(array.shape().count() * element_bytes(array.dtype()));
    there.reserve(home, bytes);
    backend_of(home).copy(home, there.data(), array.view().data, bytes);
    return {there.data(), array.dtype(), array.shape(), home};
  }
  // Gradients where backward adds to them, and where the caller reads and changes them.
  TensorView gradients_for_backward() {
    if (home == Device{}) return gradients;
    if (newer == Newer::kHost) send(gradients, gradients_sent);
    if (newer == Newer::kZeros) {
      const auto bytes =
          static_cast<std::size_t>(gradients.shape().count() * element_bytes(gradients.dtype()));
      gradients_sent.reserve(home, bytes);
      backend_of(home).zero(home, gradients_sent.data(), bytes);
    }
    newer = Newer::kHome;
    return {gradients_sent.data(), gradients.dtype(), gradients.shape(), home};
  }
  Tensor& gradients_for_caller() {
    if (newer != Newer::kHome) {
      newer = Newer::kHost;
      return gradients;
    }
    const auto bytes = static_cast<std::size_t>(gradients.shape().count() * element_bytes(gradients.dtype()));
    backend_of(home).copy(home, gradients.view().data, gradients_sent.data(), bytes);
    newer = Newer::kHost;
    ++fetches;
    return gradients;
  }
  // What an optimizer on the host costs; "" where nothing was fetched for one.
  std::string traffic() const {
    if (fetches == 0) return "";
    const auto times = [](std::int64_t n) { return n == 1 ? std::string("once") : message(n, " times"); };
    const auto bytes = static_cast<double>(gradients.shape().count() * element_bytes(gradients.dtype()));
    char each[32];
    std::snprintf(each, sizeof each, bytes < 1e6 ? "%.1f kB" : "%.1f MB", bytes / (bytes < 1e6 ? 1e3 : 1e6));
    return message("; gradients were brought to the host ", times(fetches), ", parameters sent ",
                   times(sends), " (", each, " each)");
  }
};

}  // namespace rondo
