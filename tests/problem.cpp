// Problems: drawing their data, and comparing solutions with the reference.
#include "problem.h"

#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "random_fill.h"

namespace rondo::testing {

std::string to_string(Paths paths) {
  switch (paths) {
    case Paths::kAll:
      return "all upstream gradients";
    case Paths::kOutputs:
      return "dy alone";
    case Paths::kFinalH:
      return "dh_n alone";
    case Paths::kFinalC:
      return "dc_n alone";
    case Paths::kCellSequence:
      return "dc alone";
  }
  return "?";
}

std::vector<Paths> all_paths(const RnnConfig& config) {
  std::vector<Paths> paths = {Paths::kAll, Paths::kOutputs, Paths::kFinalH};
  if (config.cell == Cell::kLstm) paths.push_back(Paths::kFinalC);
  if (config.cell_sequence) paths.push_back(Paths::kCellSequence);
  return paths;
}

reference::Upstream<double> select(const reference::Upstream<double>& all, Paths paths) {
  reference::Upstream<double> some = all;
  const bool every = paths == Paths::kAll;
  if (!every && paths != Paths::kOutputs) some.dy = some.dy_reverse = {};
  if (!every && paths != Paths::kFinalH) some.dh_n = {};
  if (!every && paths != Paths::kFinalC) some.dc_n = {};
  if (!every && paths != Paths::kCellSequence) some.dc = {};
  return some;
}

namespace {

bool batch_major(const Problem& p) { return p.config.layout == Layout::kBatchMajor; }

Shape sequence_shape(const Problem& p, std::int64_t width) {
  return batch_major(p) ? Shape{p.n, p.t, width} : Shape{p.t, p.n, width};
}

std::int64_t groups(const Problem& p) {
  return p.config.gate_masks == GateMasks::kPerGate ? num_gates(p.config.cell) : 1;
}

std::int64_t length_of(const Problem& p, std::int64_t n) { return p.lengths.empty() ? p.t : p.lengths[n]; }
bool valid(const Problem& p, std::int64_t t, std::int64_t n) {
  return t < length_of(p, n) && (p.mask.empty() || p.mask[t * p.n + n] != 0);
}

void spoil(std::vector<double>& v, std::int64_t row, std::int64_t width) {
  if (!v.empty()) std::fill_n(v.begin() + row * width, width, std::numeric_limits<double>::quiet_NaN());
}
// NaN wherever nothing may read: beyond lengths, and at skipped steps, but there not in the gradient of a
// repeated output.
void spoil_padding(const Problem& p, Data& d) {
  const bool sequence = p.config.outputs == Outputs::kSequence,
             repeats = p.config.masked_outputs == MaskedOutputs::kRepeat;
  const std::int64_t o = output_size(p.config), c = num_directions(p.config) * p.config.hidden_size;
  for (std::int64_t n = 0; n < p.n; ++n) {
    bool any = false;
    for (std::int64_t t = 0; t < p.t; ++t) {
      any = any || valid(p, t, n);
      if (valid(p, t, n)) continue;
      const std::int64_t row = batch_major(p) ? n * p.t + t : t * p.n + n;
      spoil(d.call.x, row, p.config.input_size);
      if (repeats && t < length_of(p, n)) continue;
      if (sequence) spoil(d.upstream.dy, row, o);
      if (sequence) spoil(d.upstream.dy_reverse, row, o);
      spoil(d.upstream.dc, row, c);
    }
    if (sequence || any) continue;
    spoil(d.upstream.dy, n, o);
    spoil(d.upstream.dy_reverse, n, o);
  }
}

std::vector<std::uint8_t> in_layout(const Problem& p, const std::vector<std::uint8_t>& flags) {
  std::vector<std::uint8_t> out(flags.size());
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const auto n_count = static_cast<std::size_t>(p.n), t = i / n_count, n = i % n_count;
    out[batch_major(p) ? n * static_cast<std::size_t>(p.t) + t : i] = flags[i];
  }
  return out;
}

// In a type of 16 bits some relu always comes within rounding of its kink, whatever the seed. Where nothing
// that is read is negative and the parameters of a unit have one sign, none does: a sum cannot cancel.
bool has_coarse_relu(const RnnConfig& c) {
  return c.cell == Cell::kSimpleRnn && c.activation == Activation::kRelu && element_bytes(c.dtype) == 2;
}
void keep_off_the_kink(const RnnConfig& config, reference::Call<double>& c) {
  for (std::vector<double>* read : {&c.x, &c.h0}) {
    for (double& e : *read) e = std::abs(e);
  }
  for (const ParameterInfo& p : parameter_layout(config)) {
    const std::int64_t columns = p.shape.count() / p.shape[0];
    for (std::int64_t i = 0; i < p.shape.count(); ++i) {
      double& e = c.parameters[static_cast<std::size_t>(p.offset + i)];
      e = i / columns % 2 == 0 ? std::abs(e) : -std::abs(e);
    }
  }
}
// The largest parameter. Sums that do not cancel grow with H itself, and from step to step.
double parameter_scale(const RnnConfig& c) {
  const auto h = static_cast<double>(c.hidden_size);
  return has_coarse_relu(c) ? std::min(1 / std::sqrt(h), 2 / h) : 1 / std::sqrt(h);
}

}  // namespace

Shape x_shape(const Problem& p) { return sequence_shape(p, p.config.input_size); }
Shape y_shape(const Problem& p) {
  const std::int64_t o = output_size(p.config);
  return p.config.outputs == Outputs::kLast ? Shape{p.n, o} : sequence_shape(p, o);
}
Shape state_shape(const Problem& p) {
  return {p.config.num_layers * num_directions(p.config), p.n, state_size(p.config)};
}
Shape cell_state_shape(const Problem& p) {
  return {p.config.num_layers * num_directions(p.config), p.n, p.config.hidden_size};
}
Shape cell_sequence_shape(const Problem& p) {
  return sequence_shape(p, num_directions(p.config) * p.config.hidden_size);
}
Shape flags_shape(const Problem& p) { return batch_major(p) ? Shape{p.n, p.t} : Shape{p.t, p.n}; }
Shape input_mask_shape(const Problem& p, std::int64_t layer) {
  return {groups(p), p.n, layer_input_size(p.config, layer)};
}
Shape recurrent_mask_shape(const Problem& p) { return {groups(p), p.n, state_size(p.config)}; }
Shape zoneout_h_mask_shape(const Problem& p) { return sequence_shape(p, state_size(p.config)); }
Shape zoneout_c_mask_shape(const Problem& p) { return sequence_shape(p, p.config.hidden_size); }
Shape dropconnect_mask_shape(const Problem& p) {
  return {num_gates(p.config.cell) * p.config.hidden_size, state_size(p.config)};
}
Shape layer_mask_shape(const Problem& p) {
  const std::int64_t width = layer_input_size(p.config, 1);
  return p.config.layer_masks == LayerMasks::kPerSequence ? Shape{p.n, width} : sequence_shape(p, width);
}

namespace {

void draw_masks(const Problem& p, RandomFill& random, reference::Call<double>& c) {
  const DType type = p.config.dtype;
  const auto factors = [&](const Shape& shape) { return random.mask(shape.count(), 0.3, type); };
  const auto zeros_and_ones = [&](const Shape& shape) {
    std::vector<double> v = factors(shape);
    for (double& e : v) e = e > 0 ? 1 : 0;
    return v;
  };
  const std::int64_t directions = num_directions(p.config);
  for (std::int64_t layer = 0; layer < p.config.num_layers; ++layer) {
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      if (p.input_masks) c.input_masks.push_back(factors(input_mask_shape(p, layer)));
      if (p.recurrent_masks) c.recurrent_masks.push_back(factors(recurrent_mask_shape(p)));
      const bool zones = p.zoneout_masks;
      if (zones && p.config.zoneout_h > 0)
        c.zoneout_h_masks.push_back(zeros_and_ones(zoneout_h_mask_shape(p)));
      if (zones && p.config.zoneout_c > 0)
        c.zoneout_c_masks.push_back(zeros_and_ones(zoneout_c_mask_shape(p)));
      if (p.dropconnect_masks) c.dropconnect_masks.push_back(factors(dropconnect_mask_shape(p)));
    }
    if (p.layer_masks && layer + 1 < p.config.num_layers)
      c.layer_masks.push_back(factors(layer_mask_shape(p)));
  }
}

}  // namespace

Data draw(const Problem& p) {
  RandomFill random(p.seed);
  const DType type = p.config.dtype;
  const bool lstm = p.config.cell == Cell::kLstm;
  const auto values = [&](const Shape& shape) { return random.values(shape.count(), 1, type); };
  Data d;
  reference::Call<double>& c = d.call;
  c.t = p.t;
  c.n = p.n;
  c.lengths = p.lengths;
  c.mask = in_layout(p, p.mask);
  c.resets = in_layout(p, p.resets);
  c.parameters = random.values(parameter_count(p.config), parameter_scale(p.config), type);
  c.x = random.values(x_shape(p).count(), p.x_scale, type);
  if (p.few_bits) {
    for (double& e : c.parameters) e = rounded_to(type, std::round(e * 256) / 256);
    for (double& e : c.x) e = rounded_to(type, std::round(e));
  }
  if (p.initial_state) c.h0 = values(state_shape(p));
  if (p.initial_state && lstm) c.c0 = values(cell_state_shape(p));
  draw_masks(p, random, c);
  if (has_coarse_relu(p.config)) keep_off_the_kink(p.config, c);
  const bool apart = num_directions(p.config) == 2 && p.config.merge == Merge::kNone;
  const Given& g = p.given;
  if (g.dy) d.upstream.dy = values(y_shape(p));
  if (g.dy_reverse && apart) d.upstream.dy_reverse = values(y_shape(p));
  if (g.dh_n) d.upstream.dh_n = values(state_shape(p));
  if (g.dc_n && lstm) d.upstream.dc_n = values(cell_state_shape(p));
  if (g.dc && p.config.cell_sequence) d.upstream.dc = values(cell_sequence_shape(p));
  spoil_padding(p, d);
  return d;
}

Data without_dropout(const Data& data) {
  Data d = data;
  for (auto* masks : {&d.call.input_masks, &d.call.recurrent_masks, &d.call.layer_masks,
                      &d.call.zoneout_h_masks, &d.call.zoneout_c_masks, &d.call.dropconnect_masks}) {
    masks->clear();
  }
  return d;
}

namespace {

// x and the parameters a rounding up or down, by chance. Data of few bits are exact, and stay so.
template <class T>
reference::Call<typename Precision<T>::Truth> moved_by_roundings(const Problem& p, const Data& data) {
  using Wide = typename Precision<T>::Truth;
  auto call = reference::convert<Wide>(data.call);
  if (p.few_bits) return call;
  RandomFill random(p.seed + 1);
  const auto move = [&](std::vector<Wide>& all) {
    for (Wide& e : all) e *= 1 + (random.coin() ? kEpsilon<T> : -kEpsilon<T>);
  };
  move(call.x);
  move(call.parameters);
  return call;
}

}  // namespace

template <class T>
Truth<T>::Truth(const Problem& problem, const Data& data)
    : problem_(problem),
      sums_(longest_sums(problem.config, problem.t, problem.n)),
      wide_(problem.config, reference::convert<Wide>(data.call)),
      same_(problem.config, reference::convert<Own>(data.call)),
      moved_(problem.config, moved_by_roundings<T>(problem, data)) {}

template <class T>
bool Truth<T>::near_kink() const {
  return !has_coarse_relu(problem_.config) && wide_.distance_to_kink().relative < 32 * kEpsilon<T>;
}

namespace {

template <class T, class Wide>
void expect_zero_padding(const std::string& name, const std::vector<T>& got, const std::vector<Wide>& truth) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    // The reference leaves exact zeros in the padding, and computes none elsewhere but by chance.
    if (truth[i] == 0) {
      ASSERT_EQ(static_cast<double>(got[i]), 0) << name << "[" << i << "] is padding or masked out";
    }
  }
}

}  // namespace

template <class T>
void Truth<T>::compare_forward(const std::string& by, const reference::Results<T>& got,
                               Measured& measured) const {
  const auto& wide = wide_.results();
  const auto& same = same_.results();
  const auto& moved = moved_.results();
  const Given& given = problem_.given;
  const auto close = [&](const char* name, bool expected, const auto& g, const auto& w, const auto& s,
                         const auto& m) {
    if (!expected && g.empty()) return;
    measured.expect_close<T>(by + " " + name, g, w, {s, m}, {sums_.forward, false});
  };
  close("y", given.y, got.y, wide.y, same.y, moved.y);
  close("y_reverse", given.y_reverse, got.y_reverse, wide.y_reverse, same.y_reverse, moved.y_reverse);
  close("h_n", given.h_n, got.h_n, wide.h_n, same.h_n, moved.h_n);
  close("c_n", given.c_n, got.c_n, wide.c_n, same.c_n, moved.c_n);
  close("c", given.c, got.c, wide.c, same.c, moved.c);
  if (!problem_.lengths.empty() || !problem_.mask.empty()) expect_zero_padding(by + " y", got.y, wide.y);
}

template <class T>
void Truth<T>::compare_backward(const std::string& by, const reference::Gradients<T>& got,
                                const reference::Upstream<double>& upstream, Measured& measured) const {
  const auto wide = wide_.backward(reference::convert<Wide>(upstream));
  const auto same = same_.backward(reference::convert<Own>(upstream));
  const auto moved = moved_.backward(reference::convert<Wide>(upstream));
  const Given& given = problem_.given;
  const auto close = [&](const std::string& name, bool expected, std::span<const T> g, const auto& w,
                         const auto& s, const auto& m) {
    if (!expected && g.empty()) return;
    measured.expect_close<T>(by + " " + name, g, w, {s, m}, {sums_.backward, true});
  };
  close("dx", given.dx, got.dx, wide.dx, same.dx, moved.dx);
  close("dh0", given.dh0, got.dh0, wide.dh0, same.dh0, moved.dh0);
  close("dc0", given.dc0, got.dc0, wide.dc0, same.dc0, moved.dc0);
  if (!problem_.lengths.empty() || !problem_.mask.empty()) expect_zero_padding(by + " dx", got.dx, wide.dx);
  if (!given.dparameters && got.dparameters.empty()) return;
  ASSERT_EQ(got.dparameters.size(), wide.dparameters.size());
  for (const ParameterInfo& p : parameter_layout(problem_.config)) {
    const auto first = p.offset, last = p.offset + p.shape.count();
    const std::vector<Wide> w(wide.dparameters.begin() + first, wide.dparameters.begin() + last);
    const std::vector<Own> s(same.dparameters.begin() + first, same.dparameters.begin() + last);
    const std::vector<Wide> m(moved.dparameters.begin() + first, moved.dparameters.begin() + last);
    close("d" + p.name, true, std::span(got.dparameters).subspan(first, last - first), w, s, m);
  }
}

template <class T>
Data draw_clear_of_kinks(Problem& problem) {
  for (int drawn = 0; drawn < 500; ++drawn, problem.seed += 1000003) {
    Data data = draw(problem);
    if (!Truth<T>(problem, data).near_kink()) return data;
  }
  throw std::runtime_error("every seed comes near a kink: " + rondo::to_string(problem.config));
}

namespace {

template <class T>
void check(Problem& p, bool every_path, ByPlan<T>& inference, ByPlan<T>& training, Measured& measured) {
  const Data data = draw_clear_of_kinks<T>(p);
  SCOPED_TRACE(rondo::to_string(p.config) + " T=" + std::to_string(p.t) + " N=" + std::to_string(p.n) +
               " seed " + std::to_string(p.seed));
  const Truth<T> truth(p, data);
  Truth<T>(p, without_dropout(data)).compare_forward("inference", inference.infer(p, data), measured);
  if (::testing::Test::HasFatalFailure()) return;
  for (Paths paths : every_path ? all_paths(p.config) : std::vector<Paths>{Paths::kAll}) {
    const auto upstream = select(data.upstream, paths);
    const Solution<T> s = training.train(p, data, upstream);
    if (paths == Paths::kAll) truth.compare_forward("training", s.results, measured);
    truth.compare_backward(to_string(paths), s.gradients, upstream, measured);
    if (::testing::Test::HasFatalFailure()) return;
  }
  const Solution<T> s = train_by_rnn<T>(p, data, data.upstream);
  truth.compare_forward("Rnn", s.results, measured);
  truth.compare_backward("Rnn", s.gradients, data.upstream, measured);
}

}  // namespace

template <class T>
void check_problems(std::vector<Problem> problems, bool every_path, Measured& measured) {
  ByPlan<T> inference(Phase::kInference, problems), training(Phase::kTraining, problems);
  for (Problem& p : problems) {
    check(p, every_path, inference, training, measured);
    if (::testing::Test::HasFailure()) return;
  }
}

bool selected(const std::string& case_name) {
  const char* only = std::getenv("RONDO_TEST_CASE");
  return only == nullptr || *only == '\0' || case_name == only;
}

template class Truth<float>;
template class Truth<double>;
template class Truth<Float16>;
template class Truth<BFloat16>;
template Data draw_clear_of_kinks<float>(Problem&);
template Data draw_clear_of_kinks<double>(Problem&);
template Data draw_clear_of_kinks<Float16>(Problem&);
template Data draw_clear_of_kinks<BFloat16>(Problem&);
template void check_problems<float>(std::vector<Problem>, bool, Measured&);
template void check_problems<double>(std::vector<Problem>, bool, Measured&);
template void check_problems<Float16>(std::vector<Problem>, bool, Measured&);
template void check_problems<BFloat16>(std::vector<Problem>, bool, Measured&);

}  // namespace rondo::testing
