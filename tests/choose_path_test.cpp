// Which path of the CUDA backend, and which algorithm of cuDNN, runs what: the table, without a GPU.
#include "cuda/choose_path.h"

#include <gtest/gtest.h>

#include "rondo/error.h"

namespace rondo::cuda {
namespace {

constexpr DeviceTraits kH100{.multiprocessors = 132, .shared_bytes = 228 << 10};
constexpr DeviceTraits kSmall{.multiprocessors = 20, .shared_bytes = 100 << 10};

Request request(Cell cell, std::int64_t i, std::int64_t h, std::int64_t n, Phase phase = Phase::kTraining) {
  return {
      .config = {.cell = cell, .input_size = i, .hidden_size = h}, .phase = phase, .max_t = 50, .max_n = n};
}

// "small-h stack, standard stack, step": the candidates in their order.
std::string candidates(const Request& r, const DeviceTraits& device = kH100, const AskedPath& asked = {}) {
  std::string text;
  for (const Path& path : choose_path(r, device, asked).candidates) {
    EXPECT_FALSE(path.reason.empty()) << to_string(r.config);
    text += text.empty() ? "" : ", ";
    if (!path.cudnn) {
      EXPECT_EQ(path.joins, Joins::kNothing);
      text += "step";
    } else {
      text += to_string(*path.cudnn) + (path.joins == Joins::kStack ? " stack" : " layers");
    }
  }
  return text;
}
std::string left_out(const Request& r, const AskedPath& asked = {}) {
  return choose_path(r, kH100, asked).left_out;
}

TEST(ChoosePath, TakesAlgorithmsBySize) {
  const struct {
    Cell cell;
    DType dtype;
    std::int64_t i, h, n;
    Phase phase;
    const char* expected;
  } rows[] = {
      // One multiprocessor keeps the weights.
      {Cell::kLstm, DType::kF32, 10, 128, 64, Phase::kTraining, "small-h stack, standard stack, step"},
      {Cell::kGru, DType::kF32, 10, 128, 64, Phase::kTraining, "small-h stack, standard stack, step"},
      {Cell::kSimpleRnn, DType::kF32, 10, 256, 64, Phase::kTraining, "small-h stack, standard stack, step"},
      // Beyond that, only forward and few rows: not the sizes that it makes several times slower.
      {Cell::kLstm, DType::kF32, 10, 168, 62, Phase::kInference, "standard stack, step"},
      {Cell::kLstm, DType::kF32, 10, 152, 45, Phase::kInference, "standard stack, step"},
      {Cell::kLstm, DType::kF32, 10, 168, 7, Phase::kInference, "small-h stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 10, 168, 7, Phase::kTraining, "standard stack, step"},
      {Cell::kGru, DType::kF32, 10, 193, 1, Phase::kInference, "standard stack, step"},
      {Cell::kSimpleRnn, DType::kF32, 10, 384, 7, Phase::kInference, "small-h stack, standard stack, step"},
      {Cell::kSimpleRnn, DType::kF32, 10, 384, 8, Phase::kInference, "standard stack, step"},
      // The chip keeps them: multiples of 32, rows of 8.
      {Cell::kLstm, DType::kF32, 64, 512, 16, Phase::kTraining, "persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 96, 16, Phase::kTraining,
       "small-h stack, persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 512, 12, Phase::kTraining, "standard stack, step"},
      {Cell::kLstm, DType::kF32, 60, 512, 16, Phase::kTraining, "standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 500, 16, Phase::kTraining, "standard stack, step"},
      // Many rows: 96 forward and 32 in training, beyond that a power of two, 128 at most.
      {Cell::kLstm, DType::kF32, 64, 512, 96, Phase::kInference,
       "persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 512, 96, Phase::kTraining, "standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 512, 64, Phase::kTraining, "persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 512, 128, Phase::kTraining,
       "persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 512, 256, Phase::kInference, "standard stack, step"},
      // The recurrent matrix of f32 at H = 1248 and more of 132 multiprocessors.
      {Cell::kLstm, DType::kF32, 64, 1248, 16, Phase::kTraining,
       "persist-static stack, standard stack, step"},
      {Cell::kLstm, DType::kF32, 64, 1312, 16, Phase::kTraining, "standard stack, step"},
      // Nobody has published how GRUs fare with it.
      {Cell::kGru, DType::kF32, 64, 512, 16, Phase::kTraining, "standard stack, step"},
      // f64 has the standard algorithm alone.
      {Cell::kLstm, DType::kF64, 64, 64, 16, Phase::kTraining, "standard stack, step"},
  };
  for (const auto& row : rows) {
    Request r = request(row.cell, row.i, row.h, row.n, row.phase);
    r.config.dtype = row.dtype;
    EXPECT_EQ(candidates(r), row.expected)
        << to_string(r.config) << " N=" << row.n << " " << to_string(row.phase);
  }
  EXPECT_EQ(candidates(request(Cell::kLstm, 64, 512, 16), kSmall), "standard stack, step");
}

TEST(ChoosePath, JoinsAsManyLayersAsItCan) {
  Request r = request(Cell::kLstm, 64, 512, 16);
  r.config.num_layers = 3;
  EXPECT_EQ(candidates(r), "persist-static layers, standard stack, step");
  r.config.direction = Direction::kBidirectional;
  EXPECT_EQ(candidates(r), "persist-static layers, standard stack, step");
  r.config.merge = Merge::kNone;
  EXPECT_EQ(candidates(r), "persist-static layers, standard stack, step");
  for (const Merge merge : {Merge::kSum, Merge::kMul, Merge::kAve}) {
    r.config.merge = merge;
    EXPECT_EQ(candidates(r), "persist-static layers, standard layers, step");
  }
  r.config.num_layers = 1;
  EXPECT_EQ(candidates(r), "persist-static stack, standard stack, step");
  r.config.num_layers = 2;
  r.config.merge = Merge::kConcat;
  r.config.layer_dropout = 0.5;
  EXPECT_EQ(candidates(r), "persist-static layers, standard layers, step");
  r.phase = Phase::kInference;
  EXPECT_EQ(candidates(r), "persist-static layers, standard stack, step");
  // A second layer that does not suit leaves the algorithm out.
  r = request(Cell::kLstm, 64, 500, 16);
  r.config.num_layers = 2;
  EXPECT_EQ(candidates(r), "standard stack, step");
}

TEST(ChoosePath, LeavesOptionsThatCudnnLacksToTheStepPath) {
  const auto expect_step = [](const auto& set, const std::string& why) {
    Request r = request(Cell::kGru, 10, 20, 4);
    set(r);
    EXPECT_EQ(candidates(r), "step") << why;
    EXPECT_EQ(left_out(r), why);
    EXPECT_EQ(choose_path(r, kH100).candidates.front().reason, why);
  };
  expect_step([](Request& r) { r.config.gru_reset = GruReset::kBefore; },
              "cuDNN has no GRU with reset_before");
  expect_step([](Request& r) { r.config.direction = Direction::kReverse; },
              "cuDNN has no network that runs in reverse only");
  expect_step([](Request& r) { r.config.dropout = 0.1; }, "cuDNN has no dropout with one mask for all steps");
  expect_step([](Request& r) { r.config.recurrent_dropout = 0.1; }, "cuDNN has no recurrent dropout");
  expect_step([](Request& r) { r.max_t = 65536; }, "T = 65536 is above 65535, the most that cuDNN takes");
  expect_step([](Request& r) { r.max_n = 65536; }, "N = 65536 is above 65535, the most that cuDNN takes");
  expect_step([](Request& r) { r.max_t = r.max_n = 65000; },
              "T * N * D * G * H = 253500000000 is above 2147483647, the most that cuDNN takes");
  expect_step([](Request& r) { r.config.input_size = std::int64_t{1} << 24; },
              "the elements of x, T * N * I = 3355443200 is above 2147483647, the most that cuDNN takes");
  expect_step([](Request& r) { r.config.hidden_size = INT64_MAX / 2; },
              "T * N * D * G * H = 9223372036854775807 is above 2147483647, the most that cuDNN takes");
  // Dropout acts in training only, and in a GRU alone is there a reset.
  Request r = request(Cell::kLstm, 10, 20, 4, Phase::kInference);
  r.config.dropout = r.config.recurrent_dropout = 0.5;
  r.config.gru_reset = GruReset::kBefore;
  EXPECT_EQ(candidates(r), "small-h stack, standard stack, step");
  EXPECT_EQ(left_out(r), "");
  r.max_t = 65535;
  EXPECT_EQ(candidates(r), "small-h stack, standard stack, step");
}

TEST(ChoosePath, LeavesOptionsOfCellsToTheStepPath) {
  const auto expect_step = [](Cell cell, const auto& set, const std::string& why) {
    for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
      Request r = request(cell, 10, 20, 4, phase);
      set(r.config);
      EXPECT_EQ(candidates(r), "step") << why;
      EXPECT_EQ(left_out(r), why);
      EXPECT_EQ(choose_path(r, kH100).candidates.front().reason, why);
      r.config.dtype = DType::kF16;
      EXPECT_EQ(candidates(r), "");
      EXPECT_EQ(left_out(r), "the step path computes in f32 and f64, not in f16, and " + why);
    }
  };
  using enum Activation;
  const auto lstm = [&](const auto& set, const char* why) { expect_step(Cell::kLstm, set, why); };
  const std::string usual = "cuDNN has LSTM and GRU with sigmoid and tanh alone";
  for (const Cell cell : {Cell::kLstm, Cell::kGru}) {
    expect_step(
        cell, [](RnnConfig& c) { c.activation = kSoftsign; }, usual);
    expect_step(
        cell, [](RnnConfig& c) { c.gate_activation = kHardSigmoid; }, usual);
  }
  lstm([](RnnConfig& c) { c.output_activation = kAffine; }, usual.c_str());
  expect_step(
      Cell::kSimpleRnn,
      [](RnnConfig& c) {
        c.activation = {kLeakyRelu, 0.5};
      },
      "cuDNN has no RNN with leaky_relu(0.5)");
  lstm([](RnnConfig& c) { c.peephole = true; }, "cuDNN has no peephole connections");
  lstm([](RnnConfig& c) { c.input_forget = true; },
       "cuDNN has no forget gate that follows from the input gate");
  lstm([](RnnConfig& c) { c.projection_size = 5; }, "projections by cuDNN are not mapped here");
  lstm([](RnnConfig& c) { c.cell_sequence = true; },
       "cuDNN hands out the last c alone, not that of every step");
  lstm([](RnnConfig& c) { c.cell_clip = 2; }, "the cell clip of cuDNN is not mapped here");
  lstm([](RnnConfig& c) { c.zoneout_c = 0.1; }, "cuDNN has no zoneout");
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    expect_step(
        cell, [](RnnConfig& c) { c.preactivation_clip = 2; }, "cuDNN has no clip of pre-activations");
    expect_step(
        cell, [](RnnConfig& c) { c.zoneout_h = 0.1; }, "cuDNN has no zoneout");
    if (cell == Cell::kSimpleRnn) continue;
    expect_step(
        cell, [](RnnConfig& c) { c.layer_norm = true; },
        "cuDNN has no layer normalisation within a recurrent network");
  }
  // What a cell has not got does not count.
  Request r = request(Cell::kSimpleRnn, 10, 20, 4);
  r.config.gate_activation = r.config.output_activation = kElu;
  EXPECT_EQ(candidates(r), "small-h stack, standard stack, step");
}

TEST(ChoosePath, LeavesResetsAndDropConnectToTheStepPath) {
  Request r = request(Cell::kLstm, 10, 20, 4);
  r.config.dropconnect = 0.5;
  EXPECT_EQ(candidates(r), "step");
  EXPECT_EQ(left_out(r), "cuDNN has no DropConnect");
  r.phase = Phase::kInference;
  EXPECT_EQ(candidates(r), "small-h stack, standard stack, step");
  r.resets = true;
  EXPECT_EQ(candidates(r), "step");
  EXPECT_EQ(left_out(r), "cuDNN has no resets within a row");
}

TEST(ChoosePath, ElementsOfSixteenBitsHaveNoStepPath) {
  for (const DType dtype : {DType::kF16, DType::kBf16}) {
    Request r = request(Cell::kLstm, 64, 1792, 16);
    r.config.dtype = dtype;
    EXPECT_EQ(candidates(r), "persist-static stack, standard stack");
    r.config.recurrent_dropout = 0.5;
    EXPECT_EQ(candidates(r), "");
    EXPECT_EQ(left_out(r), "the step path computes in f32 and f64, not in " + to_string(dtype) +
                               ", and cuDNN has no recurrent dropout");
  }
}

TEST(ChoosePath, CanBeAskedFor) {
  const Request r = request(Cell::kLstm, 64, 96, 16);
  const auto asked = [&](const char* text) { return candidates(r, kH100, parse_path(text)); };
  EXPECT_EQ(asked(""), "small-h stack, persist-static stack, standard stack, step");
  EXPECT_EQ(asked("auto"), asked(""));
  EXPECT_EQ(asked("step"), "step");
  EXPECT_EQ(asked("cudnn"), "small-h stack, persist-static stack, standard stack");
  EXPECT_EQ(asked("standard"), "standard stack");
  EXPECT_EQ(asked("persist-static"), "persist-static stack");
  EXPECT_EQ(asked("small-h"), "small-h stack");
  EXPECT_EQ(left_out(r, parse_path("step")), "RONDO_CUDA_PATH asks for the step path");
  EXPECT_EQ(left_out(r, parse_path("cudnn")), "RONDO_CUDA_PATH leaves out the step path");
  try {
    parse_path("fast");
    FAIL() << "no InvalidArgument";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "RONDO_CUDA_PATH is \"fast\", expected auto, step, cudnn, standard, "
                 "persist-static or small-h");
  }
}

}  // namespace
}  // namespace rondo::cuda
