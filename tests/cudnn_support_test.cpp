// What cuDNN itself accepts, as cuda/ relies on it: a new version that differs shows here, with what depends
// on it. Descriptors need no GPU.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "opened_cudnn.h"

namespace rondo::cuda {
namespace {

using testing::cudnn;

// cuDNN's status categories.
constexpr int kOk = 0, kBadParam = CUDNN_STATUS_BAD_PARAM, kNotSupported = CUDNN_STATUS_NOT_SUPPORTED;

// The arguments of cudnnSetRNNDescriptor_v8, as a plain LSTM of f32 has them.
struct Settings {
  cudnnRNNMode_t cell = CUDNN_LSTM;
  cudnnRNNBiasMode_t bias = CUDNN_RNN_DOUBLE_BIAS;
  cudnnDirectionMode_t direction = CUDNN_UNIDIRECTIONAL;
  cudnnDataType_t dtype = CUDNN_DATA_FLOAT;
  cudnnDataType_t precision = CUDNN_DATA_FLOAT;
  cudnnMathType_t math = CUDNN_FMA_MATH;
  int input_size = 24, hidden_size = 32, projection_size = 32, num_layers = 1;
  unsigned flags = CUDNN_RNN_PADDED_IO_ENABLED;
};

int category_of_setting(const Settings& s, cudnnRNNAlgo_t algorithm) {
  const RnnDescriptor descriptor = create_rnn_descriptor(cudnn());
  return CUDNN_STATUS_CATEGORY(static_cast<int>(cudnn().library.cudnnSetRNNDescriptor_v8(
      descriptor.get(), algorithm, s.cell, s.bias, s.direction, CUDNN_LINEAR_INPUT, s.dtype, s.precision,
      s.math, s.input_size, s.hidden_size, s.projection_size, s.num_layers, nullptr, s.flags)));
}

constexpr std::array kEverywhere = {kOk, kOk, kOk, kOk};
constexpr std::array kNowhere = {kNotSupported, kNotSupported, kNotSupported, kNotSupported};
constexpr std::array kStandardAlone = {kOk, kNotSupported, kNotSupported, kNotSupported};
constexpr std::array kNoNumber = {kBadParam, kBadParam, kBadParam, kBadParam};

struct Row {
  const char* what;
  Settings settings;
  std::array<int, 4> expected;  // standard, persist static, persist dynamic, small H
  const char* reason;
};

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    for (int algorithm = 0; algorithm < CUDNN_RNN_ALGO_COUNT; ++algorithm) {
      EXPECT_EQ(category_of_setting(row.settings, static_cast<cudnnRNNAlgo_t>(algorithm)),
                row.expected.at(static_cast<std::size_t>(algorithm)))
          << row.what << " by " << to_string(static_cast<CudnnAlgorithm>(algorithm)) << ": " << row.reason;
    }
  }
}

TEST(CudnnSupport, HasFourAlgorithms) { EXPECT_EQ(CUDNN_RNN_ALGO_COUNT, 4) << "CudnnAlgorithm lacks some"; }

TEST(CudnnSupport, ElementTypes) {
  const auto types = [](cudnnDataType_t dtype, cudnnDataType_t precision) {
    return Settings{.dtype = dtype, .precision = precision};
  };
  const auto half = CUDNN_DATA_HALF, brain = CUDNN_DATA_BFLOAT16, f32 = CUDNN_DATA_FLOAT,
             f64 = CUDNN_DATA_DOUBLE;
  expect_rows({
      {"f32", types(f32, f32), kEverywhere, "f32 may be tried by every algorithm"},
      {"f64", types(f64, f64), {kOk, kNotSupported, kOk, kNotSupported}, "f64 has two algorithms to try"},
      {"f16 computed in f32", types(half, f32), kEverywhere, "how f16 is computed"},
      {"bf16 computed in f32", types(brain, f32), kEverywhere, "how bf16 is computed"},
      {"f16 computed in f16", types(half, half), kStandardAlone, "why f16 is computed in f32"},
      {"bf16 computed in bf16", types(brain, brain), kNowhere, "why bf16 is computed in f32"},
      {"f32 computed in f64", types(f32, f64), kNowhere, "f32 cannot be computed more precisely"},
      {"f64 computed in f32", types(f64, f32), kNowhere, "f64 cannot be computed in less by mistake"},
  });
}

TEST(CudnnSupport, MathTypes) {
  expect_rows({
      {"FMA", {.math = CUDNN_FMA_MATH}, kEverywhere, "f32 stays IEEE's"},
      {"default", {.math = CUDNN_DEFAULT_MATH}, kEverywhere, "TF32 where it is asked for"},
      {"tensor cores", {.math = CUDNN_TENSOR_OP_MATH}, kEverywhere, "f16 and bf16"},
      {"conversion", {.math = CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION}, kEverywhere, "never used, yet taken"},
      {"default on f64",
       {.dtype = CUDNN_DATA_DOUBLE, .precision = CUDNN_DATA_DOUBLE, .math = CUDNN_DEFAULT_MATH},
       {kOk, kNotSupported, kOk, kNotSupported},
       "how f64 is computed"},
  });
}

TEST(CudnnSupport, Projections) {
  expect_rows({
      {"P < H", {.projection_size = 16}, kStandardAlone, "no projection may be set by accident"},
      {"P > H", {.projection_size = 33}, kNowhere, "P is H"},
      {"P = 0", {.projection_size = 0}, kNoNumber, "no projection is P = H, not 0"},
      {"GRU, P < H", {.cell = CUDNN_GRU, .projection_size = 16}, kNowhere, "P is H"},
      {"tanh, P < H", {.cell = CUDNN_RNN_TANH, .projection_size = 16}, kNowhere, "P is H"},
      {"relu, P < H", {.cell = CUDNN_RNN_RELU, .projection_size = 16}, kNowhere, "P is H"},
  });
}

TEST(CudnnSupport, Biases) {
  const char* const reason = "why every network has two biases, zeros where it has fewer";
  expect_rows({
      {"none", {.bias = CUDNN_RNN_NO_BIAS}, kStandardAlone, reason},
      {"one, input", {.bias = CUDNN_RNN_SINGLE_INP_BIAS}, kStandardAlone, reason},
      {"one, recurrent", {.bias = CUDNN_RNN_SINGLE_REC_BIAS}, kStandardAlone, reason},
  });
}

TEST(CudnnSupport, CellsStacksAndSizes) {
  expect_rows({
      {"GRU", {.cell = CUDNN_GRU}, kEverywhere, "every cell may be tried by every algorithm"},
      {"tanh", {.cell = CUDNN_RNN_TANH}, kEverywhere, "every cell may be tried by every algorithm"},
      {"relu", {.cell = CUDNN_RNN_RELU}, kEverywhere, "every cell may be tried by every algorithm"},
      {"bidirectional", {.direction = CUDNN_BIDIRECTIONAL}, kEverywhere, "two directions in one call"},
      {"two layers", {.num_layers = 2}, kEverywhere, "all layers in one call"},
      {"packed rows", {.flags = CUDNN_RNN_PADDED_IO_DISABLED}, kEverywhere, "rows of different lengths"},
      {"an unknown flag", {.flags = 2}, kNoNumber, "there is no other flag to know of"},
      {"H = 1", {.hidden_size = 1, .projection_size = 1}, kEverywhere, "odd sizes are for cuDNN to pad"},
      {"H = 70000",
       {.hidden_size = 70000, .projection_size = 70000},
       kEverywhere,
       "what is too large shows when sizes are asked for, not here"},
      {"I = 0", {.input_size = 0}, kNoNumber, "bounds are checked before"},
      {"H = 0", {.hidden_size = 0}, kNoNumber, "bounds are checked before"},
      {"L = 0", {.num_layers = 0}, kNoNumber, "bounds are checked before"},
  });
}

constexpr auto kTimeMajor = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
constexpr auto kBatchMajor = CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED;
constexpr auto kPacked = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;

int category_of_data(cudnnRNNDataLayout_t layout, int t, int n, const int* lengths, int width = 8,
                     cudnnDataType_t dtype = CUDNN_DATA_FLOAT) {
  const DataDescriptor descriptor = create_data_descriptor(cudnn());
  double zero = 0;
  return CUDNN_STATUS_CATEGORY(static_cast<int>(cudnn().library.cudnnSetRNNDataDescriptor(
      descriptor.get(), dtype, layout, t, n, width, lengths, &zero)));
}
int category_of_data(cudnnRNNDataLayout_t layout, int t, const std::vector<int>& lengths) {
  return category_of_data(layout, t, static_cast<int>(lengths.size()), lengths.data());
}

TEST(CudnnSupport, PackedRowsFallAndAreNeverEmpty) {
  EXPECT_EQ(category_of_data(kPacked, 5, {5, 5, 3, 1}), kOk) << "how ragged rows are given";
  EXPECT_EQ(category_of_data(kPacked, 5, {3, 5, 1}), kBadParam) << "Sequence sorts them";
  EXPECT_EQ(category_of_data(kPacked, 5, {5, 3, 0}), kBadParam) << "Sequence leaves empty rows out";
  EXPECT_EQ(category_of_data(kPacked, 6, {5, 3, 1}), kBadParam) << "T has to be the longest row's";
  EXPECT_EQ(category_of_data(kPacked, 4, {5, 3, 1}), kBadParam) << "T has to be the longest row's";
}

TEST(CudnnSupport, PaddedRowsMayBeInAnyOrderAndEmpty) {
  for (const auto layout : {kTimeMajor, kBatchMajor}) {
    const char* const reason = "lengths could be given without packing";
    EXPECT_EQ(category_of_data(layout, 5, {5, 5, 5}), kOk) << "how uniform rows are given";
    EXPECT_EQ(category_of_data(layout, 5, {3, 5, 1}), kOk) << reason;
    EXPECT_EQ(category_of_data(layout, 5, {5, 0, 3}), kOk) << reason;
    EXPECT_EQ(category_of_data(layout, 9, {5, 3, 1}), kOk) << reason;
    EXPECT_EQ(category_of_data(layout, 4, {5, 3, 1}), kBadParam) << "a row beyond T would be read";
    EXPECT_EQ(category_of_data(layout, 5, {5, -1, 3}), kBadParam) << "a wrong length is not taken for one";
  }
}

TEST(CudnnSupport, DataSizes) {
  for (const auto layout : {kTimeMajor, kBatchMajor, kPacked}) {
    EXPECT_EQ(category_of_data(layout, 65535, {65535}), kOk) << "T may be this large, and is bounded by us";
    EXPECT_EQ(category_of_data(layout, 65536, {65536}), kNotSupported) << "T could be larger than our bound";
    EXPECT_EQ(category_of_data(layout, 1, std::vector<int>(70000, 1)), kOk) << "why N is bounded by us";
    const std::vector<int> lengths(1024, 65535);
    EXPECT_EQ(category_of_data(layout, 65535, 1024, lengths.data(), 64), kOk)
        << "2^32 elements: why their count is bounded by us";
  }
  const std::vector<int> ones(3, 1);
  EXPECT_EQ(category_of_data(kTimeMajor, 5, 3, nullptr), kBadParam) << "why uniform rows have lengths too";
  for (const int t : {0, -1}) {
    EXPECT_EQ(category_of_data(kTimeMajor, t, {0, 0}), kBadParam) << "a pass of no steps is no call";
  }
  EXPECT_EQ(category_of_data(kTimeMajor, 5, 0, ones.data()), kBadParam) << "a pass of no rows is no call";
  EXPECT_EQ(category_of_data(kTimeMajor, 1, 3, ones.data(), 0), kBadParam) << "bounds are checked before";
}

TEST(CudnnSupport, DataTypes) {
  const int length = 3;
  const auto category = [&](cudnnDataType_t dtype) {
    return category_of_data(kTimeMajor, 3, 1, &length, 8, dtype);
  };
  for (const auto dtype : {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF, CUDNN_DATA_BFLOAT16}) {
    EXPECT_EQ(category(dtype), kOk) << "type " << dtype << " is one of rondo's";
  }
  EXPECT_NE(category(CUDNN_DATA_INT8), kOk) << "there are no networks of whole numbers";
}

}  // namespace
}  // namespace rondo::cuda
