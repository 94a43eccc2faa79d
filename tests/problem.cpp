// Problems: drawing their data, and comparing solutions with the reference.
#include "problem.h"

#include <cstdlib>
#include <limits>

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
  }
  return "?";
}

std::vector<Paths> all_paths(Cell cell) {
  std::vector<Paths> paths = {Paths::kAll, Paths::kOutputs, Paths::kFinalH};
  if (cell == Cell::kLstm) paths.push_back(Paths::kFinalC);
  return paths;
}

reference::Upstream<double> select(const reference::Upstream<double>& all, Paths paths) {
  reference::Upstream<double> some = all;
  const bool every = paths == Paths::kAll;
  if (!every && paths != Paths::kOutputs) some.dy = some.dy_reverse = {};
  if (!every && paths != Paths::kFinalH) some.dh_n = {};
  if (!every && paths != Paths::kFinalC) some.dc_n = {};
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

// NaN wherever no valid step is. A tensor [N, O] has one row a batch row, invalid at length 0.
void spoil_padding(const Problem& p, bool per_step, std::vector<double>& v) {
  if (p.lengths.empty() || v.empty()) return;
  const std::int64_t steps = per_step ? p.t : 1;
  const std::int64_t width = static_cast<std::int64_t>(v.size()) / (steps * p.n);
  for (std::int64_t t = 0; t < steps; ++t) {
    for (std::int64_t n = 0; n < p.n; ++n) {
      if (t < p.lengths[n]) continue;
      const std::int64_t row = per_step && !batch_major(p) ? t * p.n + n : n * steps + t;
      std::fill_n(v.begin() + row * width, width, std::numeric_limits<double>::quiet_NaN());
    }
  }
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
  return {p.config.num_layers * num_directions(p.config), p.n, p.config.hidden_size};
}
Shape input_mask_shape(const Problem& p, std::int64_t layer) {
  return {groups(p), p.n, layer_input_size(p.config, layer)};
}
Shape recurrent_mask_shape(const Problem& p) { return {groups(p), p.n, p.config.hidden_size}; }
Shape layer_mask_shape(const Problem& p) {
  const std::int64_t width = layer_input_size(p.config, 1);
  return p.config.layer_masks == LayerMasks::kPerSequence ? Shape{p.n, width} : sequence_shape(p, width);
}

Data draw(const Problem& p) {
  RandomFill random(p.seed);
  const DType type = p.config.dtype;
  const bool lstm = p.config.cell == Cell::kLstm;
  Data d;
  reference::Call<double>& c = d.call;
  c.t = p.t;
  c.n = p.n;
  c.lengths = p.lengths;
  c.parameters = random.values(parameter_count(p.config), parameter_scale(p.config), type);
  c.x = random.values(x_shape(p).count(), p.x_scale, type);
  if (p.few_bits) {
    for (double& e : c.parameters) e = rounded_to(type, std::round(e * 256) / 256);
    for (double& e : c.x) e = rounded_to(type, std::round(e));
  }
  if (p.initial_state) c.h0 = random.values(state_shape(p).count(), 1, type);
  if (p.initial_state && lstm) c.c0 = random.values(state_shape(p).count(), 1, type);
  const std::int64_t directions = num_directions(p.config);
  for (std::int64_t layer = 0; layer < p.config.num_layers; ++layer) {
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      if (p.input_masks) c.input_masks.push_back(random.mask(input_mask_shape(p, layer).count(), 0.3, type));
      if (p.recurrent_masks) {
        c.recurrent_masks.push_back(random.mask(recurrent_mask_shape(p).count(), 0.3, type));
      }
    }
    const bool inner = layer + 1 < p.config.num_layers;
    if (p.layer_masks && inner) c.layer_masks.push_back(random.mask(layer_mask_shape(p).count(), 0.3, type));
  }
  if (has_coarse_relu(p.config)) keep_off_the_kink(p.config, c);
  const bool apart = num_directions(p.config) == 2 && p.config.merge == Merge::kNone;
  const Given& g = p.given;
  if (g.dy) d.upstream.dy = random.values(y_shape(p).count(), 1, type);
  if (g.dy_reverse && apart) d.upstream.dy_reverse = random.values(y_shape(p).count(), 1, type);
  if (g.dh_n) d.upstream.dh_n = random.values(state_shape(p).count(), 1, type);
  if (g.dc_n && lstm) d.upstream.dc_n = random.values(state_shape(p).count(), 1, type);
  spoil_padding(p, true, c.x);
  spoil_padding(p, p.config.outputs == Outputs::kSequence, d.upstream.dy);
  spoil_padding(p, p.config.outputs == Outputs::kSequence, d.upstream.dy_reverse);
  return d;
}

template <class T>
Truth<T>::Truth(const Problem& problem, const Data& data)
    : problem_(problem),
      sums_(longest_sums(problem.config, problem.t, problem.n)),
      wide_(problem.config, reference::convert<Wide>(data.call)),
      same_(problem.config, reference::convert<Own>(data.call)) {}

template <class T>
bool Truth<T>::near_kink() const {
  const RnnConfig& c = problem_.config;
  if (c.cell != Cell::kSimpleRnn || c.activation != Activation::kRelu) return false;
  return !has_coarse_relu(c) && wide_.smallest_preactivation() < 32 * kEpsilon<T>;
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
  const Given& given = problem_.given;
  const auto close = [&](const char* name, bool expected, const auto& g, const auto& w, const auto& s) {
    if (!expected && g.empty()) return;
    measured.expect_close<T>(by + " " + name, g, w, s, sums_.forward, false);
  };
  close("y", given.y, got.y, wide.y, same.y);
  close("y_reverse", given.y_reverse, got.y_reverse, wide.y_reverse, same.y_reverse);
  close("h_n", given.h_n, got.h_n, wide.h_n, same.h_n);
  close("c_n", given.c_n, got.c_n, wide.c_n, same.c_n);
  if (!problem_.lengths.empty()) expect_zero_padding(by + " y", got.y, wide.y);
}

template <class T>
void Truth<T>::compare_backward(const std::string& by, const reference::Gradients<T>& got,
                                const reference::Upstream<double>& upstream, Measured& measured) const {
  const auto wide = wide_.backward(reference::convert<Wide>(upstream));
  const auto same = same_.backward(reference::convert<Own>(upstream));
  const Given& given = problem_.given;
  const auto close = [&](const std::string& name, bool expected, std::span<const T> g, const auto& w,
                         const auto& s) {
    if (!expected && g.empty()) return;
    measured.expect_close<T>(by + " " + name, g, w, s, sums_.backward, true);
  };
  close("dx", given.dx, got.dx, wide.dx, same.dx);
  close("dh0", given.dh0, got.dh0, wide.dh0, same.dh0);
  close("dc0", given.dc0, got.dc0, wide.dc0, same.dc0);
  if (!problem_.lengths.empty()) expect_zero_padding(by + " dx", got.dx, wide.dx);
  if (!given.dparameters && got.dparameters.empty()) return;
  ASSERT_EQ(got.dparameters.size(), wide.dparameters.size());
  for (const ParameterInfo& p : parameter_layout(problem_.config)) {
    const auto first = p.offset, last = p.offset + p.shape.count();
    const std::vector<Wide> w(wide.dparameters.begin() + first, wide.dparameters.begin() + last);
    const std::vector<Own> s(same.dparameters.begin() + first, same.dparameters.begin() + last);
    close("d" + p.name, true, std::span(got.dparameters).subspan(first, last - first), w, s);
  }
}

template <class T>
Data draw_clear_of_kinks(Problem& problem) {
  for (;; problem.seed += 1000003) {
    Data data = draw(problem);
    if (!Truth<T>(problem, data).near_kink()) return data;
  }
}

namespace {

template <class T>
void check(Problem& p, bool every_path, ByPlan<T>& inference, ByPlan<T>& training, Measured& measured) {
  const Data data = draw_clear_of_kinks<T>(p);
  SCOPED_TRACE(rondo::to_string(p.config) + " T=" + std::to_string(p.t) + " N=" + std::to_string(p.n) +
               " seed " + std::to_string(p.seed));
  const Truth<T> truth(p, data);
  // Inference applies no masks.
  Data unmasked = data;
  unmasked.call.input_masks = unmasked.call.recurrent_masks = unmasked.call.layer_masks = {};
  Truth<T>(p, unmasked).compare_forward("inference", inference.infer(p, data), measured);
  if (::testing::Test::HasFatalFailure()) return;
  for (Paths paths : every_path ? all_paths(p.config.cell) : std::vector<Paths>{Paths::kAll}) {
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
