// What networks by cuDNN hand over in every pass, and what they keep. Needs no GPU.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "noted_cudnn.h"

namespace rondo::cuda {
namespace {

using testing::error_of;
using testing::expect_parts;

TEST_F(CudnnPasses, FindThePlacesOfWeights) {
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    CudnnNetwork network = lstm_;
    network.cell = cell;
    const auto rnn = make(network);
    EXPECT_EQ(rnn->weight_bytes(), asked.weight_bytes);
    const int gates = num_gates(cell);
    for (int i = 0; i < 2 * 2 * 2 * gates; ++i) {
      const int layer = i / (4 * gates), direction = i / (2 * gates) % 2, id = i % (2 * gates);
      const CudnnRnn::Place place = rnn->place(layer, direction, id % gates, id >= gates);
      const std::size_t expected = weights_after(layer * 2 + direction, id, asked.gap);
      EXPECT_EQ(place.matrix, expected) << i;
      EXPECT_EQ(place.bias, expected + matrix_bytes(layer * 2 + direction, id) + asked.gap) << i;
    }
  }
  expect_parts(error_of<CudnnRefusal>([&] { make(lstm_, 17); }), {"bytes of weights at", "weight space of"});
}

TEST_F(CudnnPasses, ForwardHandsOverEveryArray) {
  const auto rnn = make(lstm_);
  rnn->forward(forward_of(uniform_, false));
  rnn->forward(forward_of(uniform_, true));
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"infer", "train"}));
  EXPECT_EQ(asked.arrays[0], numbers({0, 2, 3, 4, 8, 5, 9, 1, 6, 0}));
  EXPECT_EQ(asked.arrays[1], numbers({0, 2, 3, 4, 8, 5, 9, 1, 6, 7}));
  // What was asked for, and not all the room that there is.
  EXPECT_EQ(asked.bytes[0], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 0}));
  EXPECT_EQ(asked.bytes[1], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 40030}));
  const auto layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
  EXPECT_TRUE(asked.x == (DataOf{layout, 4, 3, 5, {4, 4, 4}}));
  EXPECT_TRUE(asked.y == (DataOf{layout, 4, 3, 14, {4, 4, 4}}));
  EXPECT_EQ(asked.state, (std::vector<int>{4, 3, 7}));
}

TEST_F(CudnnPasses, BackwardGoesThroughTheDataFirst) {
  const auto rnn = make(lstm_);
  CudnnBackward pass = backward_of(uniform_);
  rnn->backward(pass);
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"data", "add weights"}));
  EXPECT_EQ(asked.arrays[0], numbers({0, 3, 10, 13, 4, 11, 14, 5, 12, 15, 1, 6, 7}));
  EXPECT_EQ(asked.arrays[1], numbers({0, 2, 4, 3, 16, 6, 7}));
  EXPECT_EQ(asked.bytes[0], (std::array<std::size_t, 3>{asked.weight_bytes, 4003, 40030}));
  EXPECT_EQ(asked.bytes[1], asked.bytes[0]);
  pass.dweights = nullptr;
  rnn->backward(pass);
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"data", "add weights", "data"}));
}

TEST_F(CudnnPasses, KeepTheLastSizes) {
  const auto rnn = make(lstm_);
  const auto sizes = [&](std::int64_t n, bool training) {
    return rnn->sizes({.t = 2, .n = n, .step_stride = n}, training);
  };
  for (const bool training : {false, true, false, true}) {
    for (std::int64_t n = 2; n < 18; ++n) {
      EXPECT_EQ(sizes(n, training).workspace, static_cast<std::size_t>(2000 + n));
      EXPECT_EQ(sizes(n, training).reserve, static_cast<std::size_t>(training ? 20000 + 10 * n : 0));
    }
  }
  EXPECT_EQ(asked.sizes, 32);
  sizes(2, true);    // now 3 is the one that was used longest ago
  sizes(100, true);  // takes its place
  EXPECT_EQ(asked.sizes, 33);
  for (std::int64_t n = 4; n < 18; ++n) sizes(n, true);
  sizes(2, true);
  EXPECT_EQ(asked.sizes, 33);
  sizes(3, true);
  EXPECT_EQ(asked.sizes, 34);
  // The other layout is another sequence.
  rnn->sizes({.t = 2, .n = 2, .step_stride = 1, .row_stride = 2}, true);
  EXPECT_EQ(asked.sizes, 35);
}

TEST_F(CudnnPasses, RaggedLengthsAreThoseOfThePass) {
  CudnnNetwork network = lstm_;
  network.ragged = true;
  const auto rnn = make(network);
  const std::int64_t first[] = {0, 3, 5, 6}, second[] = {0, 3, 6, 6}, third[] = {0, 3, 4, 5};
  rnn->sizes({.t = 3, .n = 3, .offsets = first}, true);
  const auto layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
  const Sequence one{.t = 3, .n = 3, .offsets = first}, other{.t = 3, .n = 3, .offsets = second};
  rnn->forward(forward_of(one, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 2, 1}}));
  rnn->forward(forward_of(other, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 2, 3, 5, {2, 2, 2}}));
  EXPECT_TRUE(asked.y == (DataOf{layout, 2, 3, 14, {2, 2, 2}}));
  EXPECT_EQ(asked.bytes.back()[1], 2003U);
  rnn->backward(backward_of(one));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 2, 1}}));
  rnn->forward(forward_of({.t = 3, .n = 3, .offsets = third}, true));
  EXPECT_TRUE(asked.x == (DataOf{layout, 3, 3, 5, {3, 1, 1}}));
}

TEST_F(CudnnPasses, NothingIsCalledWithoutSteps) {
  CudnnNetwork network = lstm_;
  network.ragged = true;
  const auto rnn = make(network);
  const std::int64_t none[] = {0, 0, 0};
  const Sequence empty{.t = 2, .n = 0, .offsets = none};
  EXPECT_EQ(rnn->sizes(empty, true).workspace, 0U);
  rnn->forward(forward_of(empty, true));
  rnn->backward(backward_of(empty));
  EXPECT_EQ(asked.passes, std::vector<std::string>{});
}

TEST_F(CudnnPasses, CreateNoDescriptors) {
  const std::int64_t offsets[] = {0, 3, 5, 6};
  for (const bool ragged : {false, true}) {
    CudnnNetwork network = lstm_;
    network.ragged = ragged;
    const auto rnn = make(network);
    // One of the network, two to read where weights lie, and x, y and the state of every kept sequence.
    EXPECT_EQ(asked.created, 3 + 3 * (ragged ? 1 : 16));
    for (std::int64_t t = 1; t < 40; ++t) {
      const Sequence uniform{.t = t, .n = 3, .step_stride = 3}, packed{.t = 3, .n = 3, .offsets = offsets};
      rnn->sizes(ragged ? packed : uniform, true);
      rnn->forward(forward_of(ragged ? packed : uniform, true));
      rnn->backward(backward_of(ragged ? packed : uniform));
    }
    EXPECT_EQ(asked.passes.size(), 39U * 3);
    EXPECT_EQ(asked.created, 3 + 3 * (ragged ? 1 : 16)) << "a pass has created descriptors";
  }
}

}  // namespace
}  // namespace rondo::cuda
