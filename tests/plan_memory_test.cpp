// What plans ask for: no more than their configuration and options need, and enough for every call.
#include <gtest/gtest.h>

#include <string>

#include "cases.h"
#include "rondo/calibration.h"

namespace rondo::testing {
namespace {

constexpr std::int64_t kT = 1000, kN = 32, kH = 256, kFloat = sizeof(float);
constexpr std::int64_t kSequence = kT * kN * kH * kFloat;  // bytes of [T, N, H], and of [T, N, I]
constexpr std::int64_t kState = kN * kH * kFloat;
constexpr std::int64_t kSmall = 24 * kState + 8 * kT + 8192;  // states, numbers of rows and steps
constexpr std::int64_t kGathered = 1024 * kH * kFloat, kGateWindow = 8 << 20;

struct Need {
  Cell cell;
  std::int64_t columns;  // of gates and c
};
constexpr Need kNeeds[] = {{Cell::kSimpleRnn, 1}, {Cell::kGru, 4}, {Cell::kLstm, 5}};

RnnConfig plain(Cell cell) { return {.cell = cell, .input_size = kH, .hidden_size = kH}; }

void expect_bytes(std::size_t bytes, std::int64_t least, const std::string& what) {
  EXPECT_GE(static_cast<std::int64_t>(bytes), least) << what;
  EXPECT_LE(static_cast<std::int64_t>(bytes), least + kSmall) << what;
}

TEST(PlanMemory, TrainingOfWholeBatchesKeepsGatesAndY) {
  for (const auto& [cell, columns] : kNeeds) {
    const Plan plan(plain(cell), {.phase = Phase::kTraining, .max_t = kT, .max_n = kN, .ragged = false});
    // y of a call that has none.
    expect_bytes(plan.tape_bytes(), (columns + 1) * kSequence, to_string(cell) + ": tape");
    expect_bytes(plan.workspace_bytes(), std::max(kGathered, kGateWindow), to_string(cell) + ": workspace");
  }
}

TEST(PlanMemory, RaggedRowsTakeCopiesOfTheSequences) {
  for (const auto& [cell, columns] : kNeeds) {
    const Plan plan(plain(cell), {.phase = Phase::kTraining, .max_t = kT, .max_n = kN});
    const std::int64_t lists = kT * kN * 8;
    expect_bytes(plan.tape_bytes(), (columns + 2) * kSequence + lists, to_string(cell) + ": tape");
    // Copies of x and y in inference, of dy and dx in training.
    expect_bytes(plan.workspace_bytes(), 2 * kSequence + kGateWindow + lists,
                 to_string(cell) + ": workspace");
  }
}

TEST(PlanMemory, InferenceHasTheGatesOfAWindow) {
  for (const auto& [cell, columns] : kNeeds) {
    RnnConfig config = plain(cell);
    const PlanOptions options{.max_t = kT, .max_n = kN, .ragged = false};
    expect_bytes(Plan(config, options).workspace_bytes(), kGateWindow, to_string(cell));
    config.num_layers = 4;
    expect_bytes(Plan(config, options).workspace_bytes(), 2 * kSequence + kGateWindow, to_string(cell));
    config.num_layers = 1;
    config.layout = Layout::kBatchMajor;
    const std::int64_t gates = num_gates(cell);
    expect_bytes(Plan(config, options).workspace_bytes(), gates * kSequence, to_string(cell));
  }
}

TEST(PlanMemory, TheGradientBetweenTwoLayersIsOneSequence) {
  RnnConfig config = plain(Cell::kLstm);
  const auto workspace = [&](std::int64_t layers) {
    config.num_layers = layers;
    const Plan plan(config, {.phase = Phase::kTraining, .max_t = kT, .max_n = kN, .ragged = false});
    return plan.workspace_bytes();
  };
  // Inference takes as much for y between layers, beside its gates.
  expect_bytes(workspace(2), kSequence + kGateWindow, "two layers");
  expect_bytes(workspace(5), 2 * kSequence + kGateWindow, "five layers");
}

TEST(PlanMemory, GradientsOfRaggedRowsAreAsWideAsTheWiderOfXAndY) {
  RnnConfig config = plain(Cell::kSimpleRnn);
  const auto workspace = [&](std::int64_t inputs, std::int64_t units) {
    config.input_size = inputs;
    config.hidden_size = units;
    const Plan plan(config, {.phase = Phase::kTraining, .max_t = kT, .max_n = kN});
    return static_cast<std::int64_t>(plan.workspace_bytes());
  };
  for (const std::int64_t bytes : {workspace(4, kH), workspace(kH, 4)}) {
    EXPECT_GE(bytes, 2 * kSequence);
    EXPECT_LE(bytes, 2 * kSequence + kGateWindow + kSmall);
  }
}

// Copies that few calls need, where a plan is for whole batches or the widths differ.
TEST(PlanMemory, CopiesMatchTheReference) {
  Measured measured;
  for (const CellChoice& cell : cell_choices()) {
    Problem windows, sides;
    windows.config = sides.config = config_of(cell, DType::kF64);
    windows.t = sides.t = 8;
    windows.n = sides.n = 5;
    windows.config.hidden_size = windows.config.input_size = 6;
    windows.config.layout = Layout::kBatchMajor;
    windows.config.checkpoint_every = 3;
    sides.config.direction = Direction::kBidirectional;
    sides.config.input_size = 21;
    sides.config.hidden_size = 4;
    sides.lengths = {8, 3, 5, 8, 1};
    SCOPED_TRACE(cell.name);
    check_problems<double>({windows}, false, measured);
    check_problems<double>({sides}, false, measured);
  }
  measured.print("copies");
}

// More rows than the gradient of R takes at once, read from y or copied.
TEST(PlanMemory, GradientsOfManyRowsMatchTheReference) {
  struct Many {
    const char* name;
    void (*change)(Problem&);
  };
  const Many all[] = {
      {"from y", [](Problem&) {}},
      {"reverse", [](Problem& p) { p.config.direction = Direction::kReverse; }},
      {"one row", [](Problem& p) { p.n = 1, p.t = 1300; }},
      {"more rows than are copied at once", [](Problem& p) { p.n = 1100, p.t = 2; }},
      {"batch-major", [](Problem& p) { p.config.layout = Layout::kBatchMajor; }},
      {"batch-major, one row",
       [](Problem& p) { p.config.layout = Layout::kBatchMajor, p.n = 1, p.t = 1300; }},
      {"both directions, two layers",
       [](Problem& p) { p.config.direction = Direction::kBidirectional, p.config.num_layers = 2; }},
      {"masks a gate",
       [](Problem& p) {
         p.config.recurrent_dropout = 0.25;
         p.config.gate_masks = GateMasks::kPerGate;
         p.recurrent_masks = true;
       }},
      {"ragged",
       [](Problem& p) {
         for (std::int64_t row = 0; row < p.n; ++row) p.lengths.push_back(p.t - row % 4);
       }},
      {"ragged, reverse", [](Problem& p) {
         p.config.direction = Direction::kReverse;
         for (std::int64_t row = 0; row < p.n; ++row) p.lengths.push_back(p.t - row % 4);
       }}};
  Measured measured;
  for (const CellChoice& cell : cell_choices()) {
    for (const Many& many : all) {
      SCOPED_TRACE(std::string(cell.name) + ", " + many.name);
      Problem p;
      p.config = config_of(cell, DType::kF64);
      p.config.input_size = 3;
      p.config.hidden_size = 8;
      p.t = 37;
      p.n = 33;
      many.change(p);
      check_problems<double>({p}, false, measured);
    }
  }
  measured.print("many rows");
}

// Inference in windows of several threads, and of one.
TEST(PlanMemory, WindowsOfSeveralThreadsHaveTheSameBits) {
  Calibration free = published_calibration();
  free.cpu.handover_us = free.cpu.training_handover_us = free.cpu.meeting_us = 1e-9;
  set_calibration(free);
  for (const Direction direction : {Direction::kForward, Direction::kReverse}) {
    for (const bool ragged : {false, true}) {
      Problem p;
      p.config = {.cell = Cell::kLstm, .input_size = 3, .hidden_size = 64, .direction = direction};
      p.config.dtype = DType::kF64;
      p.t = 290;  // with 8 MiB of gates each 135 steps
      p.n = 30;
      for (std::int64_t row = 0; ragged && row < p.n; ++row) p.lengths.push_back(p.t - 3 * (row % 4));
      const Data data = draw(p);
      ByPlan<double> plan(Phase::kInference, std::span(&p, 1));
      set_num_threads(1);
      const reference::Results<double> alone = plan.infer(p, data);
      set_num_threads(3);
      const reference::Results<double> together = plan.infer(p, data);
      EXPECT_EQ(alone.y, together.y);
      EXPECT_EQ(alone.h_n, together.h_n);
      EXPECT_EQ(alone.c_n, together.c_n);
    }
  }
  set_num_threads(0);
  set_calibration(std::nullopt);
}

}  // namespace
}  // namespace rondo::testing
