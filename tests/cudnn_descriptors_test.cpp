// How networks and sequences become cuDNN's descriptors, and which are refused. Needs no GPU.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "opened_cudnn.h"

namespace rondo::cuda {
namespace {

using testing::cudnn;
using testing::error_of;
using testing::expect_parts;

// Every field of an RNN descriptor.
struct ReadBack {
  cudnnRNNAlgo_t algorithm{};
  cudnnRNNMode_t cell{};
  cudnnRNNBiasMode_t bias{};
  cudnnDirectionMode_t direction{};
  cudnnRNNInputMode_t input{};
  cudnnDataType_t dtype{}, precision{};
  cudnnMathType_t math{};
  int input_size = 0, hidden_size = 0, projection_size = 0, num_layers = 0;
  cudnnDropoutDescriptor_t dropout{};
  unsigned flags = 0;
  bool operator==(const ReadBack&) const = default;
};

ReadBack read_back(const CudnnNetwork& network) {
  const RnnDescriptor descriptor = create_rnn_descriptor(cudnn());
  set_rnn_descriptor(cudnn(), descriptor.get(), network);
  ReadBack r;
  const auto get = testing::find_function(&::cudnnGetRNNDescriptor_v8, "cudnnGetRNNDescriptor_v8");
  EXPECT_EQ(
      get(descriptor.get(), &r.algorithm, &r.cell, &r.bias, &r.direction, &r.input, &r.dtype, &r.precision,
          &r.math, &r.input_size, &r.hidden_size, &r.projection_size, &r.num_layers, &r.dropout, &r.flags),
      CUDNN_STATUS_SUCCESS);
  return r;
}

TEST(CudnnDescriptor, IsTheNetwork) {
  // A strict LSTM of f32; each of the others differs from it in what it names.
  const CudnnNetwork lstm{.input_size = 24, .hidden_size = 32, .num_layers = 3};
  const ReadBack expected{CUDNN_RNN_ALGO_STANDARD,
                          CUDNN_LSTM,
                          CUDNN_RNN_DOUBLE_BIAS,
                          CUDNN_UNIDIRECTIONAL,
                          CUDNN_LINEAR_INPUT,
                          CUDNN_DATA_FLOAT,
                          CUDNN_DATA_FLOAT,
                          CUDNN_FMA_MATH,
                          24,
                          32,
                          32,
                          3,
                          nullptr,
                          CUDNN_RNN_PADDED_IO_ENABLED};
  EXPECT_TRUE(read_back(lstm) == expected);
  const auto expect = [&](const char* what, const auto& change, const auto& changed) {
    CudnnNetwork network = lstm;
    ReadBack other = expected;
    change(network);
    changed(other);
    EXPECT_FALSE(other == expected) << what;
    EXPECT_TRUE(read_back(network) == other) << what;
  };
  expect(
      "gru", [](auto& n) { n.cell = Cell::kGru; }, [](auto& r) { r.cell = CUDNN_GRU; });
  expect(
      "tanh", [](auto& n) { n.cell = Cell::kSimpleRnn; }, [](auto& r) { r.cell = CUDNN_RNN_TANH; });
  expect(
      "relu",
      [](auto& n) {
        n.cell = Cell::kSimpleRnn;
        n.activation = Activation::kRelu;
      },
      [](auto& r) { r.cell = CUDNN_RNN_RELU; });
  expect(
      "bidirectional", [](auto& n) { n.directions = 2; }, [](auto& r) { r.direction = CUDNN_BIDIRECTIONAL; });
  expect(
      "f64", [](auto& n) { n.dtype = DType::kF64; },
      [](auto& r) {
        r.dtype = r.precision = CUDNN_DATA_DOUBLE;
        r.math = CUDNN_DEFAULT_MATH;
      });
  expect(
      "f16", [](auto& n) { n.dtype = DType::kF16; },
      [](auto& r) {
        r.dtype = CUDNN_DATA_HALF;
        r.math = CUDNN_TENSOR_OP_MATH;
      });
  expect(
      "bf16", [](auto& n) { n.dtype = DType::kBf16; },
      [](auto& r) {
        r.dtype = CUDNN_DATA_BFLOAT16;
        r.math = CUDNN_TENSOR_OP_MATH;
      });
  expect(
      "tf32", [](auto& n) { n.math_mode = MathMode::kTf32; }, [](auto& r) { r.math = CUDNN_DEFAULT_MATH; });
  expect(
      "ragged", [](auto& n) { n.ragged = true; }, [](auto& r) { r.flags = CUDNN_RNN_PADDED_IO_DISABLED; });
  expect(
      "persist static", [](auto& n) { n.algorithm = CudnnAlgorithm::kPersistStatic; },
      [](auto& r) { r.algorithm = CUDNN_RNN_ALGO_PERSIST_STATIC; });
  expect(
      "small H", [](auto& n) { n.algorithm = CudnnAlgorithm::kPersistSmallH; },
      [](auto& r) { r.algorithm = CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H; });
}

TEST(CudnnDescriptor, RefusesWhatCudnnDoesNotRun) {
  const auto refusal = [](const CudnnNetwork& network) {
    return error_of<CudnnRefusal>([&] { read_back(network); });
  };
  const CudnnNetwork lstm{.input_size = 3, .hidden_size = 4};
  CudnnNetwork network = lstm;
  network.dtype = DType::kF64;
  network.algorithm = CudnnAlgorithm::kPersistStatic;
  EXPECT_EQ(refusal(network),
            "cuDNN refuses lstm I=3 H=4 L=1 D=1 f64 by its algorithm persist-static: "
            "cudnnSetRNNDescriptor_v8: CUDNN_STATUS_NOT_SUPPORTED");
  network = lstm;
  network.dtype = DType::kI32;
  expect_parts(refusal(network), {"f32, f64, f16 or bf16", "not of i32"});
  network = lstm;
  network.input_size = std::int64_t{1} << 31;
  EXPECT_EQ(refusal(network), "input_size is 2147483648, cuDNN takes 1 to 2147483647");
  network = lstm;
  network.hidden_size = 0;
  EXPECT_EQ(refusal(network), "hidden_size is 0, cuDNN takes 1 to 2147483647");
  network = lstm;
  network.directions = 3;
  EXPECT_EQ(refusal(network), "directions is 3, cuDNN takes 1 to 2");
  network = lstm;
  network.ragged = true;
  network.algorithm = CudnnAlgorithm::kPersistSmallH;
  expect_parts(refusal(network), {"different lengths", "standard", "small-h"});
}

struct DataReadBack {
  cudnnDataType_t dtype{};
  cudnnRNNDataLayout_t layout{};
  int t = 0, n = 0, width = 0;
  std::vector<int> lengths;
  double padding = 0;
  bool operator==(const DataReadBack&) const = default;
};

DataReadBack read_back(const DataDescriptor& descriptor) {
  DataReadBack r;
  r.lengths.resize(8, -1);
  r.padding = 1;
  const auto get = testing::find_function(&::cudnnGetRNNDataDescriptor, "cudnnGetRNNDataDescriptor");
  EXPECT_EQ(get(descriptor.get(), &r.dtype, &r.layout, &r.t, &r.n, &r.width, 8, r.lengths.data(), &r.padding),
            CUDNN_STATUS_SUCCESS);
  r.lengths.resize(static_cast<std::size_t>(r.n));
  return r;
}

const CudnnNetwork kNetwork{
    .dtype = DType::kF64, .input_size = 5, .hidden_size = 7, .num_layers = 3, .directions = 2};
constexpr auto kTimeMajor = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
constexpr auto kBatchMajor = CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED;
constexpr auto kPacked = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;

void expect_descriptors(const Sequence& sequence, cudnnRNNDataLayout_t layout, int t,
                        const std::vector<int>& expected_lengths) {
  CudnnNetwork network = kNetwork;
  network.ragged = sequence.offsets != nullptr;
  const SequenceDescriptors descriptors = create_sequence_descriptors(cudnn());
  std::vector<int> lengths;
  fill_lengths(lengths, sequence);
  set_sequence_descriptors(cudnn(), descriptors, network, shape_of(network, sequence), lengths);
  const int n = static_cast<int>(expected_lengths.size());
  DataReadBack expected{CUDNN_DATA_DOUBLE, layout, t, n, 5, expected_lengths, 0.0};
  EXPECT_TRUE(read_back(descriptors.x) == expected);
  expected.width = 2 * 7;
  EXPECT_TRUE(read_back(descriptors.y) == expected);

  int rank = 0, sizes[CUDNN_DIM_MAX] = {}, strides[CUDNN_DIM_MAX] = {};
  cudnnDataType_t dtype{};
  ASSERT_EQ(cudnn().library.cudnnGetTensorNdDescriptor(descriptors.state.get(), CUDNN_DIM_MAX, &dtype, &rank,
                                                       sizes, strides),
            CUDNN_STATUS_SUCCESS);
  ASSERT_EQ(rank, 3);
  EXPECT_EQ(dtype, CUDNN_DATA_DOUBLE);
  EXPECT_EQ((std::vector<int>{sizes[0], sizes[1], sizes[2]}), (std::vector<int>{3 * 2, n, 7}));
  EXPECT_EQ((std::vector<int>{strides[0], strides[1], strides[2]}), (std::vector<int>{n * 7, 7, 1}));
}

TEST(CudnnSequence, IsUniformInEitherLayout) {
  expect_descriptors({.t = 4, .n = 3, .step_stride = 3, .row_stride = 1}, kTimeMajor, 4, {4, 4, 4});
  expect_descriptors({.t = 4, .n = 3, .step_stride = 1, .row_stride = 4}, kBatchMajor, 4, {4, 4, 4});
  expect_descriptors({.t = 1, .n = 3, .step_stride = 3, .row_stride = 1}, kTimeMajor, 1, {1, 1, 1});
  expect_descriptors({.t = 1, .n = 3, .step_stride = 1, .row_stride = 1}, kTimeMajor, 1, {1, 1, 1});
  expect_descriptors({.t = 4, .n = 1, .step_stride = 1, .row_stride = 4}, kTimeMajor, 4, {4});
  expect_descriptors({.t = 4, .n = 1, .step_stride = 1, .row_stride = 1}, kTimeMajor, 4, {4});
}

TEST(CudnnSequence, IsPackedWhenRagged) {
  const std::int64_t offsets[] = {0, 5, 7, 9, 10};
  expect_descriptors({.t = 4, .n = 5, .offsets = offsets}, kPacked, 4, {4, 3, 1, 1, 1});
  // The call's steps may go on after the last row has ended.
  const std::int64_t ended[] = {0, 3, 6, 8, 8, 8};
  expect_descriptors({.t = 5, .n = 3, .offsets = ended}, kPacked, 3, {3, 3, 2});
  const std::int64_t equal[] = {0, 2, 4, 4};
  expect_descriptors({.t = 3, .n = 2, .offsets = equal}, kPacked, 2, {2, 2});
}

TEST(CudnnSequence, LengthsAllocateForMoreRowsOnly) {
  std::vector<int> lengths;
  fill_lengths(lengths, {.t = 4, .n = 9, .step_stride = 9});
  const int* const memory = lengths.data();
  const std::int64_t offsets[] = {0, 5, 7};
  fill_lengths(lengths, {.t = 2, .n = 5, .offsets = offsets});
  EXPECT_EQ(lengths, (std::vector<int>{2, 2, 1, 1, 1}));
  fill_lengths(lengths, {.t = 3, .n = 9, .step_stride = 9});
  EXPECT_EQ(lengths, std::vector<int>(9, 3));
  EXPECT_EQ(lengths.data(), memory);
}

std::string refusal_of(const CudnnNetwork& network, const Sequence& sequence) {
  return error_of<CudnnRefusal>([&] { shape_of(network, sequence); });
}
Sequence time_major(std::int64_t t, std::int64_t n) { return {.t = t, .n = n, .step_stride = n}; }

TEST(CudnnSequence, RefusesWhatCudnnCannotCount) {
  const CudnnNetwork small{.input_size = 1, .hidden_size = 1};
  EXPECT_EQ(shape_of(small, time_major(65535, 1)).t, 65535);
  EXPECT_EQ(shape_of(small, time_major(1, 65535)).n, 65535);
  EXPECT_EQ(refusal_of(small, time_major(65536, 1)), "T is 65536, cuDNN takes 1 to 65535");
  EXPECT_EQ(refusal_of(small, time_major(1, 65536)), "N is 65536, cuDNN takes 1 to 65535");

  // 32768 * 8192 rows are 2^28, so that 8 units are 2^31 elements and 7 are fewer.
  const Sequence large = time_major(32768, 8192);
  CudnnNetwork rnn{.cell = Cell::kSimpleRnn, .input_size = 7, .hidden_size = 7};
  EXPECT_EQ(shape_of(rnn, large).t, 32768);
  rnn.input_size = 8;
  EXPECT_EQ(refusal_of(rnn, large),
            "x's rows times input_size are 268435456 * 8 elements, more than the "
            "2147483647 that cuDNN counts");
  rnn.input_size = 1;
  rnn.hidden_size = 8;
  expect_parts(refusal_of(rnn, large), {"y's rows times D*H are 268435456 * 8 elements"});
  rnn.hidden_size = 4;
  rnn.directions = 2;
  expect_parts(refusal_of(rnn, large), {"y's rows times D*H are 268435456 * 8 elements"});
  const CudnnNetwork lstm{.input_size = 1, .hidden_size = 2};
  expect_parts(refusal_of(lstm, large), {"gates' G*D*H are 268435456 * 8 elements"});
  const CudnnNetwork deep{.input_size = 1, .hidden_size = 1 << 20, .num_layers = 1 << 11};
  expect_parts(refusal_of(deep, time_major(1, 1)), {"states", "2048 * 1048576 elements"});
  const CudnnNetwork huge{.input_size = 1, .hidden_size = std::numeric_limits<std::int32_t>::max()};
  expect_parts(refusal_of(huge, time_major(65535, 1)), {"65535 * 2147483647 elements"});

  // A few long rows among many short ones are as many elements as there are, not T * N.
  CudnnNetwork ragged{.input_size = 1, .hidden_size = 512};
  ragged.ragged = true;
  std::vector<std::int64_t> offsets{0, 60000};
  for (int s = 1; s < 60000; ++s) offsets.push_back(offsets.back() + 1);
  EXPECT_EQ(shape_of(ragged, {.t = 60000, .n = 60000, .offsets = offsets.data()}).n, 60000);
}

TEST(CudnnSequence, RefusesGapsBetweenRows) {
  const CudnnNetwork network{.input_size = 3, .hidden_size = 4};
  expect_parts(refusal_of(network, {.t = 4, .n = 3, .step_stride = 6, .row_stride = 1}),
               {"T=4 steps lie 6 rows apart", "N=3 rows 1", "dense time-major or batch-major"});
  refusal_of(network, {.t = 4, .n = 3, .step_stride = 3, .row_stride = 2});
  refusal_of(network, {.t = 4, .n = 3, .step_stride = 1, .row_stride = 5});
  refusal_of(network, {.t = 4, .n = 1, .step_stride = 2, .row_stride = 1});
  refusal_of(network, {.t = 1, .n = 3, .step_stride = 3, .row_stride = 2});
  const std::int64_t offsets[] = {0, 1};
  EXPECT_THROW(shape_of(network, {.t = 1, .n = 1, .offsets = offsets}), std::logic_error);
}

TEST(CudnnWeights, LieApartAndInside) {
  EXPECT_NO_THROW(check_regions({{40, 10}, {0, 20}, {20, 20}}, 50));
  expect_parts(error_of<CudnnRefusal>([] {
                 check_regions({{40, 11}, {0, 20}, {20, 20}}, 50);
               }),
               {"11 bytes of weights at 40", "weight space of 50 bytes"});
  EXPECT_THROW(check_regions({{0, 20}, {19, 1}}, 50), CudnnRefusal);
  EXPECT_THROW(check_regions({{51, 0}}, 50), CudnnRefusal);
  // An address before the weight space.
  EXPECT_THROW(check_regions({{std::numeric_limits<std::size_t>::max() - 3, 8}}, 50), CudnnRefusal);
}

}  // namespace
}  // namespace rondo::cuda
