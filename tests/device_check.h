// What a device's results are held against: the reference, for any problem. One body for the fake GPU and for
// a real one.
#pragma once

#include <errno.h>  // program_invocation_short_name
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "device_solve.h"
#include "element_types.h"
#include "network_fixture.h"
#include "option_cases.h"

namespace rondo::testing {

// Level two in both phases and level one, on p.device. `every_path`: as check_problems.
template <class T>
void check_on_device(Problem p, bool every_path, Measured& measured) {
  const Data data = draw_clear_of_kinks<T>(p);
  SCOPED_TRACE(rondo::to_string(p.config) + " T=" + std::to_string(p.t) + " N=" + std::to_string(p.n) +
               " seed " + std::to_string(p.seed));
  const Truth<T> truth(p, data);
  Truth<T>(p, without_dropout(data))
      .compare_forward("inference", OnDevice<T>(p, data, Phase::kInference).infer(), measured);
  for (Paths paths : every_path ? all_paths(p.config) : std::vector<Paths>{Paths::kAll}) {
    const auto upstream = select(data.upstream, paths);
    const Solution<T> s = OnDevice<T>(p, data, Phase::kTraining).train(upstream);
    if (paths == Paths::kAll) truth.compare_forward("training", s.results, measured);
    truth.compare_backward(to_string(paths), s.gradients, upstream, measured);
  }
  const Solution<T> s = train_by_rnn<T>(p, data, data.upstream);
  truth.compare_forward("Rnn", s.results, measured);
  truth.compare_backward("Rnn", s.gradients, data.upstream, measured);
}
inline void check_on_device(Problem p, Device device, bool every_path, Measured& measured) {
  p.device = device;
  with_type(p.config.dtype, [&](auto type) { check_on_device<decltype(type)>(p, every_path, measured); });
}

inline std::string repeat(const std::string& name) {
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  return "repeat it with: RONDO_TEST_CASE=" + name + " " + program_invocation_short_name +
         " --gtest_filter='*" + test + "'";
}

// Cells with elements of 16 bits, as cuDNN has them: without reset_before.
inline std::vector<NetworkKind> kinds_of_16_bits() {
  std::vector<NetworkKind> all;
  for (const CellChoice& cell : cell_choices()) {
    const bool before = cell.cell == Cell::kGru && cell.gru_reset == GruReset::kBefore;
    for (const DType dtype : {DType::kF16, DType::kBf16}) {
      if (!before) all.push_back({cell, dtype});
    }
  }
  return all;
}

// Of every shape and every option that the cell has.
struct NamedProblem {
  std::string name, reason;
  Problem problem;
};
inline std::vector<NamedProblem> every_case(const NetworkKind& kind) {
  std::vector<NamedProblem> all;
  for (const Case& c : cases()) all.push_back({c.name, c.reason, problem_of(c, kind.cell, kind.dtype)});
  for (const OptionCase& c : option_cases()) {
    if (c.has(kind.cell)) all.push_back({c.name, c.reason, problem_of(c, kind.cell, kind.dtype)});
  }
  return all;
}

// With elements of 16 bits, those cases whose options the device has, none of them resets.
inline void check_every_case(const NetworkKind& kind, Device device) {
  Measured measured;
  int checked = 0;
  for (const NamedProblem& c : every_case(kind)) {
    if (!selected(c.name)) continue;
    SCOPED_TRACE(c.name + " (" + c.reason + "); " + repeat(c.name));
    const bool has = c.problem.resets.empty() && supports(c.problem.config, Phase::kTraining, device).ok;
    if (element_bytes(kind.dtype) == 2 && !has) continue;
    ++checked;
    check_on_device(c.problem, device, true, measured);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(checked, 0);
  measured.print(::testing::PrintToString(kind));
}

inline void check_every_option(const NetworkKind& kind, Device device) {
  Measured measured;
  int checked = 0;
  for (const OptionCase& c : option_cases()) {
    if (!selected(c.name) || !c.has(kind.cell)) continue;
    SCOPED_TRACE(c.name + " (" + c.reason + "); " + repeat(c.name));
    ++checked;
    check_on_device(problem_of(c, kind.cell, kind.dtype), device, true, measured);
    if (::testing::Test::HasFailure()) return;
  }
  if (checked == 0) GTEST_SKIP() << "RONDO_TEST_CASE names no case of " << kind.cell.name;
  measured.print(::testing::PrintToString(kind));
}

struct Batch {
  std::int64_t n = 5;
  std::vector<std::int32_t> lengths = {6, 0, 3, 6, 5};  // empty: all rows have six steps
};

// A training pass by level one, with whatever dropout the configuration has.
struct Trained {
  Tensor y, h_n, dx, dh0, gradients;
};
inline Trained train(const RnnConfig& config, Device device, const Batch& batch = {}) {
  Rnn rnn(config, device);
  const std::int64_t t = 6, n = batch.n;
  const Tensor x = random_tensor(config.dtype, {t, n, config.input_size}, 60);
  const Tensor dy = random_tensor(config.dtype, {t, n, output_size(config)}, 61);
  Tape tape;
  ForwardOptions options;
  if (!batch.lengths.empty()) options.lengths = {batch.lengths.data(), {n}};
  options.dropout = {.seed = 5, .offset = 7};
  options.tape = &tape;
  ForwardResult out = rnn.forward(x, options);
  BackwardResult back = rnn.backward(tape, {.dy = dy});
  return {std::move(out.y), std::move(out.h_n), std::move(back.dx), std::move(back.dh0),
          copy_of(rnn.gradients())};
}

// Masks that are drawn, not supplied, are the same on every device.
inline void check_drawn_masks(const NetworkKind& kind, Device device) {
  RnnConfig config = kind.config(5, 19, 2);
  config.direction = Direction::kBidirectional;
  config.dropout = config.recurrent_dropout = config.layer_dropout = 0.4;
  for (GateMasks gates : {GateMasks::kShared, GateMasks::kPerGate}) {
    for (LayerMasks layers : {LayerMasks::kPerStep, LayerMasks::kPerSequence}) {
      config.gate_masks = gates;
      config.layer_masks = layers;
      const Trained cpu = train(config, Device{}), there = train(config, device);
      expect_near(there.y, cpu.y, config, "y");
      expect_near(there.h_n, cpu.h_n, config, "h_n");
      expect_near(there.dx, cpu.dx, config, "dx", true);
    }
  }
}

inline void expect_equal_bits(const RnnConfig& config, Device device, const Batch& batch) {
  const Trained first = train(config, device, batch), second = train(config, device, batch);
  EXPECT_TRUE(same_bits(first.y, second.y));
  EXPECT_TRUE(same_bits(first.h_n, second.h_n));
  EXPECT_TRUE(same_bits(first.dx, second.dx));
  EXPECT_TRUE(same_bits(first.dh0, second.dh0));
  EXPECT_TRUE(same_bits(first.gradients, second.gradients));
  EXPECT_GT(largest_magnitude(values_of(first.gradients)), 0);
}

// Without dropout on inputs and states cuDNN may run them; with it, the step path alone, which has no types
// of 16 bits.
inline void check_equal_bits(const NetworkKind& kind, Device device) {
  RnnConfig config = kind.config(5, 19, 2);
  config.direction = Direction::kBidirectional;
  expect_equal_bits(config, device, {});
  expect_equal_bits(config, device, {.lengths = {}});
  if (element_bytes(kind.dtype) == 2) return;
  config.dropout = config.recurrent_dropout = 0.4;
  expect_equal_bits(config, device, {});
}

// At sizes that suit cuDNN's algorithm persist-static.
inline void check_equal_bits_at_persistent_sizes(const NetworkKind& kind, Device device) {
  expect_equal_bits(kind.config(32, 160), device, {.n = 16, .lengths = {}});
}

// A second backward adds to the gradients of the first.
inline void check_gradients_accumulate(const NetworkKind& kind, Device device) {
  const RnnConfig config = kind.config(5, 19, 2);
  Rnn rnn(config, device);
  const Tensor x = random_tensor(config.dtype, {6, 3, 5}, 60),
               dy = random_tensor(config.dtype, {6, 3, 19}, 61);
  std::vector<double> after[2];
  for (std::vector<double>& gradients : after) {
    Tape tape;
    const ForwardResult out = rnn.forward(x, {.tape = &tape});
    rnn.backward(tape, {.dy = dy});
    gradients = values_of(rnn.gradients());
  }
  for (double& once : after[0]) once *= 2;
  // Twice the same sum, rounded otherwise at most where it is added.
  EXPECT_GT(largest_magnitude(after[0]), 0);
  EXPECT_LE(largest_difference(after[1], after[0]), 8 * epsilon(config.dtype) * largest_magnitude(after[0]));
}

inline void check_steps(const NetworkKind& kind, Device device) {
  const RnnConfig config = kind.config(5, 19, 2);
  Rnn rnn(config, device);
  const Tensor x = random_tensor(config.dtype, {7, 3, 5}, 70);
  const ForwardResult whole = rnn.forward(x);
  State state = rnn.make_state(3);
  for (std::int64_t t = 0; t < 7; ++t) {
    ConstTensorView x_t = steps_of(x, t, 1), y_t = steps_of(whole.y, t, 1);
    x_t = {x_t.data, x_t.dtype, Shape{3, 5}};
    y_t = {y_t.data, y_t.dtype, Shape{3, 19}};
    expect_near(rnn.step(x_t, state), y_t, config, "step " + std::to_string(t));
  }
  expect_near(state.h(), whole.h_n, config, "h");
}

}  // namespace rondo::testing
