// What masks with holes and reset flags mean, by calls of their own: each row's steps between two cuts,
// without the skipped ones, are a sequence that the network runs alone. Arrays are doubles, [T, N, width],
// states [L*D, N, H].
#pragma once

#include <memory>
#include <numeric>
#include <utility>

#include "network_fixture.h"

namespace rondo::testing {

// [A, B, C] of doubles.
struct Cube {
  std::int64_t a = 0, b = 0, c = 0;
  std::vector<double> values;

  Cube() = default;
  Cube(std::int64_t first, std::int64_t second, std::int64_t third)
      : a(first), b(second), c(third), values(static_cast<std::size_t>(first * second * third)) {}
  explicit Cube(const Tensor& t)
      : a(t.shape()[0]), b(t.shape()[1]), c(t.shape()[2]), values(values_of(t.view())) {}
  double* at(std::int64_t i, std::int64_t j) { return values.data() + (i * b + j) * c; }
  const double* at(std::int64_t i, std::int64_t j) const { return values.data() + (i * b + j) * c; }
  Tensor tensor(DType dtype) const { return make_tensor(dtype, {a, b, c}, values); }
  // Row j of the given a's.
  Cube row(std::int64_t j, const std::vector<std::int64_t>& steps) const {
    Cube one(std::ssize(steps), 1, c);
    for (std::int64_t i = 0; i < one.a; ++i) std::copy_n(at(steps[i], j), c, one.at(i, 0));
    return one;
  }
};

// Steps of a batch: skipped (mask 0), cut before, beyond a row's length.
struct Steps {
  std::int64_t t, n;
  std::vector<std::uint8_t> mask, resets;  // [T, N]
  std::vector<std::int32_t> lengths;

  std::size_t at(std::int64_t step, std::int64_t row) const {
    return static_cast<std::size_t>(step * n + row);
  }
  bool runs(std::int64_t step, std::int64_t row) const {
    return step < lengths[row] && mask[at(step, row)] != 0;
  }
  // The step whose output stands at a step: itself, or, where outputs repeat, the one processed before it
  // since the last cut; -1 for none.
  std::int64_t source(std::int64_t step, std::int64_t row, bool reverse, bool repeats) const {
    for (std::int64_t s = step; s >= 0 && s < lengths[row]; s += reverse ? 1 : -1) {
      if (runs(s, row)) return s;
      const std::int64_t border = reverse ? s + 1 : s;
      if (!repeats || border >= lengths[row] || resets[at(border, row)] != 0) return -1;
    }
    return -1;
  }
  // The step of a row that is processed last; -1 for none.
  std::int64_t last(std::int64_t row, bool reverse) const {
    std::int64_t found = -1;
    for (std::int64_t s = 0; s < lengths[row]; ++s) {
      if (runs(s, row) && !(reverse && found >= 0)) found = s;
    }
    return found;
  }
};

// Whole rows, rows that are special in one way each, and from row 6 on random ones.
inline Steps draw_steps(std::int64_t t, std::int64_t n, std::uint64_t seed) {
  RandomFill random(seed);
  const auto size = static_cast<std::size_t>(t * n), rows = static_cast<std::size_t>(n);
  Steps s{t, n, std::vector<std::uint8_t>(size, 1), std::vector<std::uint8_t>(size, 0),
          std::vector<std::int32_t>(rows, static_cast<std::int32_t>(t))};
  for (std::int64_t r = 0; r < n; ++r) {
    if (r > 5) s.lengths[r] = static_cast<std::int32_t>(random.integer(0, t));
    for (std::int64_t i = 0; i < t; ++i) {
      std::uint8_t &mask = s.mask[s.at(i, r)], &reset = s.resets[s.at(i, r)];
      if (r == 1) mask = 0;                  // no step at all, no cut
      if (r == 2) mask = 0, reset = i == 1;  // no step at all, cut
      if (r == 3)
        mask = i > 0 && i + 2 < t, reset = i + 1 == t;  // holes at both ends, cut behind the last step
      if (r == 4) reset = i == 0 || i == 2 || i == 3;   // h0 cut off, and a segment of one step
      if (r == 5)
        reset = i >= t / 2, s.lengths[r] = static_cast<std::int32_t>(t / 2);  // all beyond the length
      if (r > 5) mask = random.unit() < 0.6 ? 7 : 0, reset = random.unit() < 0.3 ? 3 : 0;
    }
  }
  return s;
}

// A row's steps between two cuts that run.
struct Segment {
  std::int64_t row;
  bool first, last;  // in time
  std::vector<std::int64_t> steps;
  // Whether a direction's h0 enters, or its final state leaves, here. A cut before step 0 parts both from it.
  bool enters(bool reverse) const { return reverse ? last : first; }
  bool leaves(bool reverse) const { return reverse ? first : last; }
};
// Also those where nothing runs.
inline std::vector<Segment> segments_of(const Steps& s) {
  std::vector<Segment> all;
  for (std::int64_t r = 0; r < s.n; ++r) {
    all.push_back({r, true, false, {}});
    for (std::int64_t i = 0; i < s.lengths[r]; ++i) {
      if (s.resets[s.at(i, r)] != 0) all.push_back({r, false, false, {}});
      if (s.runs(i, r)) all.back().steps.push_back(i);
    }
    all.back().last = true;
  }
  return all;
}

// Supplied masks as DropoutArgs has them, time-major.
enum MaskOf { kOfInput, kOfState, kOfLayer, kOfZoneoutH, kOfZoneoutC, kMaskLists };
struct PassInputs {
  Cube x, h0, c0, dh_n, dc_n;
  std::vector<Cube> masks[kMaskLists];
};
struct PassResults {
  Cube h_n, c_n, dx, dh0, dc0;
  std::vector<double> dparameters;
};

// The masks of one call, as views.
class MaskViews {
 public:
  // make(cube, list): the tensor of a mask.
  template <class Make>
  MaskViews(const PassInputs& inputs, LayerMasks layer_masks, Make&& make) {
    for (int list = 0; list < kMaskLists; ++list) {
      for (const Cube& mask : inputs.masks[list]) {
        const Tensor& made = *kept_.emplace_back(std::make_unique<Tensor>(make(mask, MaskOf(list))));
        ConstTensorView view = made.view();
        if (list == kOfLayer && layer_masks == LayerMasks::kPerSequence) {
          view = {view.data, view.dtype, Shape{mask.b == 1 ? 1 : made.shape()[1], mask.c}};
        }
        views_[list].push_back(view);
      }
    }
  }
  void put(DropoutArgs& dropout) const {
    dropout.input_masks = views_[kOfInput];
    dropout.recurrent_masks = views_[kOfState];
    dropout.layer_masks = views_[kOfLayer];
    dropout.zoneout_h_masks = views_[kOfZoneoutH];
    dropout.zoneout_c_masks = views_[kOfZoneoutC];
  }
  // The masks stay, and no view of them.
  void forget_views() {
    for (std::vector<ConstTensorView>& views : views_)
      std::fill(views.begin(), views.end(), ConstTensorView());
  }

 private:
  std::vector<std::unique_ptr<Tensor>> kept_;
  std::vector<ConstTensorView> views_[kMaskLists];
};
// Whether a mask of the list has one for every step.
inline bool per_step(int list, const RnnConfig& config) {
  return list == kOfZoneoutH || list == kOfZoneoutC ||
         (list == kOfLayer && config.layer_masks == LayerMasks::kPerStep);
}

// Runs every segment by itself. The network's outputs are sequences, both directions side by side.
class BySegments {
 public:
  BySegments(const RnnConfig& config, const Steps& steps, const PassInputs& inputs)
      : config_(config), steps_(steps), inputs_(inputs), rnn_(config, Device{}) {
    const std::int64_t width = output_size(config);
    y = Cube(steps.t, steps.n, width);
    c = Cube(steps.t, steps.n, num_directions(config) * config.hidden_size);
    results.h_n = results.dh0 = Cube(inputs.h0.a, steps.n, inputs.h0.c);
    results.c_n = results.dc0 = Cube(inputs.c0.a, steps.n, inputs.c0.c);
    results.dx = Cube(steps.t, steps.n, config.input_size);
    for (Segment& segment : segments_of(steps)) forward(runs_.emplace_back(std::move(segment)));
  }
  void backward(const Cube& dy, const Cube& dc_steps) {
    for (Run& run : runs_) {
      const Segment& s = run.segment;
      Cube dh = taken(inputs_.dh_n, s, &Segment::leaves), dc = taken(inputs_.dc_n, s, &Segment::leaves);
      if (!s.steps.empty()) {
        const Tensor dh_n = dh.tensor(config_.dtype), dc_n = dc.tensor(config_.dtype);
        const Tensor d = dy.row(s.row, s.steps).tensor(config_.dtype);
        const Tensor d_cell = dc_steps.row(s.row, s.steps).tensor(config_.dtype);
        BackwardOptions options{.dy = d, .dh_n = dh_n};
        if (config_.cell_sequence) options.dc = d_cell;
        if (lstm()) options.dc_n = dc_n;
        const BackwardResult back = rnn_.backward(run.tape, options);
        put(results.dx, s, Cube(back.dx));
        dh = Cube(back.dh0);
        if (lstm()) dc = Cube(back.dc0);
      }
      give(results.dh0, s, dh, &Segment::enters);
      give(results.dc0, s, dc, &Segment::enters);
    }
    results.dparameters = values_of(rnn_.gradients());
  }

  Cube y, c;  // of the steps that run
  PassResults results;

 private:
  struct Run {
    explicit Run(Segment one) : segment(std::move(one)) {}
    Segment segment;
    Tape tape;
    std::vector<Tensor> alive;  // what the tape views
  };
  using End = bool (Segment::*)(bool) const;

  bool lstm() const { return config_.cell == Cell::kLstm; }
  bool reverse(std::int64_t pair) const {
    return config_.direction == Direction::kReverse || (num_directions(config_) == 2 && pair % 2 == 1);
  }
  void put(Cube& all, const Segment& s, const Cube& one) const {
    for (std::int64_t i = 0; i < one.a; ++i) std::copy_n(one.at(i, 0), one.c, all.at(s.steps[i], s.row));
  }
  Cube taken(const Cube& all, const Segment& s, End end) const {
    Cube one(all.a, 1, all.c);
    for (std::int64_t i = 0; i < all.a; ++i) {
      if ((s.*end)(reverse(i))) std::copy_n(all.at(i, s.row), all.c, one.at(i, 0));
    }
    return one;
  }
  void give(Cube& all, const Segment& s, const Cube& one, End end) const {
    for (std::int64_t i = 0; i < all.a; ++i) {
      if ((s.*end)(reverse(i))) std::copy_n(one.at(i, 0), one.c, all.at(i, s.row));
    }
  }
  void forward(Run& run) {
    const Segment& s = run.segment;
    const Cube h = taken(inputs_.h0, s, &Segment::enters), c_start = taken(inputs_.c0, s, &Segment::enters);
    if (s.steps.empty()) {
      give(results.h_n, s, h, &Segment::leaves);
      give(results.c_n, s, c_start, &Segment::leaves);
      return;
    }
    run.alive.reserve(4);
    const auto keep = [&](const Cube& cube) -> ConstTensorView {
      return run.alive.emplace_back(cube.tensor(config_.dtype)).view();
    };
    const MaskViews masks(inputs_, config_.layer_masks, [&](const Cube& mask, MaskOf list) {
      std::vector<std::int64_t> all(static_cast<std::size_t>(mask.a));
      std::iota(all.begin(), all.end(), 0);
      return mask.row(s.row, per_step(list, config_) ? s.steps : all).tensor(config_.dtype);
    });
    ForwardOptions options{.h0 = keep(h)};
    if (lstm()) options.c0 = keep(c_start);
    masks.put(options.dropout);
    options.tape = &run.tape;
    ForwardResult out = rnn_.forward(keep(inputs_.x.row(s.row, s.steps)), options);
    put(y, s, Cube(out.y));
    if (config_.cell_sequence) put(c, s, Cube(out.c));
    give(results.h_n, s, Cube(out.h_n), &Segment::leaves);
    if (lstm()) give(results.c_n, s, Cube(out.c_n), &Segment::leaves);
    run.alive.push_back(std::move(out.y));
  }

  const RnnConfig& config_;
  const Steps& steps_;
  const PassInputs& inputs_;
  Rnn rnn_;
  std::vector<Run> runs_;
};

}  // namespace rondo::testing
