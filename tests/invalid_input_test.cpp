// Wrong arguments of forward and backward: each refused by name, with all outputs untouched.
#include <gtest/gtest.h>

#include "rejected.h"

namespace rondo::testing {
namespace {

// Another shape over the same memory.
template <class View>
View reshaped(View view, const Shape& shape) {
  return {view.data, view.dtype, shape};
}
template <class View>
View retyped(View view, DType dtype) {
  return {view.data, dtype, view.shape};
}

TEST(ValidCall, IsAcceptedAsItStands) {
  for (Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    ValidCall call(valid_config(cell));
    call.record();
    call.plan.backward(call.weights, call.tape, call.backward);
    EXPECT_NE(call.y.span<float>()[0], 0.25F);
    EXPECT_NE(call.dx.span<float>()[0], 0.25F);
  }
}

TEST(InvalidForward, ShapeOfX) {
  ValidCall features;
  features.forward.x = reshaped(features.forward.x, {5, 2, 2});
  features.expect_forward_rejected({"forward", "x", "[5, 2, 2]", "I=3"});
  ValidCall rank;
  rank.forward.x = reshaped(rank.forward.x, {10, 3});
  rank.expect_forward_rejected({"forward", "x", "[10, 3]", "I=3"});
  ValidCall absent;
  absent.forward.x = {};
  absent.expect_forward_rejected({"forward: x has shape []", "I=3"});
  ValidCall pointer;
  pointer.forward.x = ConstTensorView(nullptr, DType::kF32, {kT, kN, kI});
  pointer.expect_forward_rejected({"forward: x [5, 2, 3] has no data"});
}

TEST(InvalidForward, SizesOverThePlan) {
  ValidCall longer;
  longer.forward.x = reshaped(longer.forward.x, {6, 2, 3});
  longer.expect_forward_rejected({"forward", "T=6", "max_t=5"});
  ValidCall wider;
  wider.forward.x = reshaped(wider.forward.x, {5, 3, 3});
  wider.expect_forward_rejected({"forward", "N=3", "max_n=2"});
  ValidCall empty;
  empty.forward.x = reshaped(empty.forward.x, {0, 2, 3});
  empty.expect_forward_rejected({"forward", "[0, 2, 3]", "T is 0", "at least 1"});
  ValidCall overflow;
  const std::int64_t big = std::int64_t{1} << 40;
  overflow.forward.x = reshaped(overflow.forward.x, {big, big, 3});
  overflow.expect_forward_rejected({"x", std::to_string(big)});
  ValidCall negative;
  negative.forward.x = reshaped(negative.forward.x, {5, -2, 3});
  negative.expect_forward_rejected({"forward", "x", "[5, -2, 3]"});
}

TEST(InvalidForward, BatchMajorReadsTheAxesTheOtherWayRound) {
  RnnConfig config = valid_config();
  config.layout = Layout::kBatchMajor;
  ValidCall call(config);
  call.forward.y = reshaped(call.forward.y, {5, 2, 4});
  call.expect_forward_rejected({"forward", "y", "[5, 2, 4]", "N=2", "T=5", "H=4"});
}

TEST(InvalidForward, ShapesOfStates) {
  ValidCall h0;
  h0.forward.h0 = reshaped(h0.forward.h0, {1, 2, 2});
  h0.expect_forward_rejected({"forward: h0 has shape [1, 2, 2], expected [L*D=1, N=2, H=4]"});
  ValidCall rank;
  rank.forward.h0 = reshaped(rank.forward.h0, {2, 4});
  rank.expect_forward_rejected({"forward: h0 has shape [2, 4], expected [L*D=1, N=2, H=4]"});
  ValidCall c0;
  c0.forward.c0 = reshaped(c0.forward.c0, {1, 1, 4});
  c0.expect_forward_rejected({"c0", "[1, 1, 4]", "[L*D=1, N=2, H=4]"});
  ValidCall h_n;
  h_n.forward.h_n = reshaped(h_n.forward.h_n, {2, 1, 4});
  h_n.expect_forward_rejected({"h_n", "[2, 1, 4]", "[L*D=1, N=2, H=4]"});
  ValidCall c_n;
  c_n.forward.c_n = reshaped(c_n.forward.c_n, {8});
  c_n.expect_forward_rejected({"c_n", "[8]", "[L*D=1, N=2, H=4]"});
}

TEST(InvalidForward, StatesOfAStackCountLayersAndDirections) {
  RnnConfig config = valid_config();
  config.num_layers = 3;
  config.direction = Direction::kBidirectional;
  ValidCall call(config);
  call.forward.h0 = reshaped(call.forward.h0, {3, 2, 4});
  call.expect_forward_rejected({"h0", "[3, 2, 4]", "[L*D=6, N=2, H=4]"});
}

TEST(InvalidForward, ShapeOfY) {
  ValidCall call;
  call.forward.y = reshaped(call.forward.y, {2, 4});
  call.expect_forward_rejected({"forward", "y", "[2, 4]", "T=5", "N=2", "H=4"});
  RnnConfig config = valid_config();
  config.outputs = Outputs::kLast;
  ValidCall last(config);
  last.forward.y = reshaped(last.forward.y, {1, 2, 4});
  last.expect_forward_rejected({"forward", "y", "[1, 2, 4]", "[N=2, H=4]"});
}

TEST(InvalidForward, Types) {
  ValidCall x;
  x.forward.x = retyped(x.forward.x, DType::kF64);
  x.expect_forward_rejected({"forward", "x", "f64", "f32"});
  ValidCall h0;
  h0.forward.h0 = retyped(h0.forward.h0, DType::kI32);
  h0.expect_forward_rejected({"forward", "h0", "i32", "f32"});
  ValidCall y;
  y.forward.y = retyped(y.forward.y, DType::kF64);
  y.expect_forward_rejected({"forward", "y", "f64", "f32"});
  ValidCall lengths;
  lengths.forward.lengths = retyped(lengths.forward.lengths, DType::kF32);
  lengths.expect_forward_rejected({"forward", "lengths", "f32", "i32", "i64"});
}

TEST(InvalidForward, StridesThatAreNotDense) {
  ValidCall x;
  x.forward.x.strides[0] += 1;
  x.expect_forward_rejected({"forward", "x", "stride 7 in dimension 0", "expected 6"});
  ValidCall h_n;
  h_n.forward.h_n.strides[2] = 2;
  h_n.expect_forward_rejected({"forward", "h_n", "stride 2 in dimension 2", "expected 1"});
}

TEST(InvalidForward, OtherDevices) {
  ValidCall call;
  call.forward.x.device = {Device::Kind::kCuda, 1};
  call.expect_forward_rejected({"forward", "x", "cuda:1", "cpu"});
}

TEST(InvalidForward, Lengths) {
  const auto with = [](std::int64_t value, std::initializer_list<std::string> parts) {
    ValidCall call;
    call.lengths.span<std::int64_t>()[1] = value;
    call.expect_forward_rejected(parts);
  };
  with(6, {"forward", "lengths[1]", "6", "T=5"});
  with(-1, {"forward", "lengths[1]", "-1", "T=5"});
  with(std::int64_t{1} << 32, {"forward", "lengths[1]", "4294967296", "T=5"});
  ValidCall few;
  few.forward.lengths = reshaped(few.forward.lengths, {1});
  few.expect_forward_rejected({"forward", "lengths", "[1]", "N=2"});
  ValidCall narrow;
  std::int32_t lengths[] = {2, 9};
  narrow.forward.lengths = ConstTensorView(lengths, {2});
  narrow.expect_forward_rejected({"forward", "lengths[1]", "9", "T=5"});
}

TEST(InvalidForward, WhatTheCellDoesNotHave) {
  const auto with = [](Cell cell, const std::string& name, auto member) {
    ValidCall call(valid_config(cell));
    Tensor state = filled(DType::kF32, {1, kN, kH});
    call.forward.*member = state.view();
    call.expect_forward_rejected({"forward", name + " was given", "expected none", "LSTM"});
  };
  with(Cell::kGru, "c0", &ForwardArgs::c0);
  with(Cell::kGru, "c_n", &ForwardArgs::c_n);
  with(Cell::kSimpleRnn, "c0", &ForwardArgs::c0);
  with(Cell::kSimpleRnn, "c_n", &ForwardArgs::c_n);
}

TEST(InvalidForward, ReverseOutputWithoutMergeNone) {
  RnnConfig config = valid_config();
  config.direction = Direction::kBidirectional;
  ValidCall call(config);
  Tensor reverse = filled(DType::kF32, {kT, kN, kH});
  call.forward.y_reverse = reverse;
  call.expect_forward_rejected({"forward", "y_reverse was given", "Merge::kNone"});
}

// The output named first starts `ahead` elements before the end of the other view.
TEST(InvalidForward, OverlappingViews) {
  Tensor shared = filled(DType::kF32, {200});
  float* memory = shared.span<float>().data();
  const auto place = [&](auto& view, std::int64_t at) { view.data = memory + at; };
  ValidCall y_x;
  place(y_x.forward.x, 0);
  place(y_x.forward.y, 29);  // x has 30 elements
  y_x.expect_forward_rejected({"forward", "y", "x", "overlap"});
  ValidCall y_h0;
  place(y_h0.forward.y, 0);
  place(y_h0.forward.h0, 39);  // y has 40
  y_h0.expect_forward_rejected({"forward", "y", "h0", "overlap"});
  ValidCall h_n_y;
  place(h_n_y.forward.h_n, 10);
  place(h_n_y.forward.y, 0);
  h_n_y.expect_forward_rejected({"forward", "h_n", "y", "overlap"});
  ValidCall c_n_h_n;
  place(c_n_h_n.forward.c_n, 0);
  place(c_n_h_n.forward.h_n, 0);
  c_n_h_n.expect_forward_rejected({"forward", "c_n", "h_n", "overlap"});
  ValidCall h_n_h0;
  place(h_n_h0.forward.h_n, 1);
  place(h_n_h0.forward.h0, 0);
  h_n_h0.expect_forward_rejected({"forward", "h_n", "h0", "overlap"});
  ValidCall h_n_c0;
  place(h_n_c0.forward.h_n, 0);
  place(h_n_c0.forward.c0, 0);
  h_n_c0.expect_forward_rejected({"forward", "h_n", "c0", "overlap"});
  for (float v : shared.span<float>()) ASSERT_EQ(v, 0.25F);
}

TEST(InvalidForward, NeighboursAndStatesInPlaceAreAllowed) {
  Tensor shared = filled(DType::kF32, {70});
  ValidCall call;
  call.forward.x.data = shared.span<float>().data();
  call.forward.y.data = shared.span<float>().data() + 30;
  call.forward.h_n.data = call.h0.span<float>().data();
  call.forward.c_n.data = call.c0.span<float>().data();
  call.plan.forward(call.weights, call.forward);
  EXPECT_NE(call.h0.span<float>()[0], 0.25F);
}

TEST(InvalidForward, Workspace) {
  ValidCall small;
  ASSERT_GT(small.plan.workspace_bytes(), 64u);
  small.forward.workspace = small.forward.workspace.first(small.plan.workspace_bytes() - 1);
  small.expect_forward_rejected({"forward", "workspace", std::to_string(small.plan.workspace_bytes() - 1),
                                 std::to_string(small.plan.workspace_bytes())});
  ValidCall shifted;
  shifted.forward.workspace = shifted.workspace.span(4);
  shifted.expect_forward_rejected({"forward", "workspace", "not aligned", "64"});
}

TEST(InvalidForward, TapeMemory) {
  ValidCall call;
  AlignedBytes memory(call.plan.tape_bytes());
  Tape small(memory.span().first(call.plan.tape_bytes() - 1));
  call.forward.tape = &small;
  call.expect_forward_rejected({"forward", "tape", std::to_string(call.plan.tape_bytes() - 1),
                                std::to_string(call.plan.tape_bytes())});
  Tape shifted(memory.span(8));
  call.forward.tape = &shifted;
  call.expect_forward_rejected({"forward", "tape", "not aligned", "64"});
}

TEST(InvalidForward, TapeInAPlanForInference) {
  ValidCall call(valid_config(), Phase::kInference);
  call.forward.tape = &call.tape;
  call.expect_forward_rejected({"forward", "tape was given", "kTraining"});
}

TEST(InvalidForward, Weights) {
  ValidCall call;
  call.weights = PackedWeights();
  call.expect_forward_rejected({"forward", "weights", "empty"});
  ValidCall other;
  ValidCall gru(valid_config(Cell::kGru));
  other.weights = gru.weights;
  other.expect_forward_rejected({"forward", "weights", "gru", "lstm"});
}

TEST(InvalidForward, SuppliedMasks) {
  RnnConfig config = valid_config();
  config.num_layers = 2;
  config.dropout = 0.5;
  config.recurrent_dropout = 0.5;
  config.layer_dropout = 0.5;
  Tensor input = filled(DType::kF32, {1, kN, kI}), inner = filled(DType::kF32, {1, kN, kH});
  Tensor wrong = filled(DType::kF32, {1, kN, 7});
  const auto with = [&](std::vector<ConstTensorView> masks, auto member,
                        std::initializer_list<std::string> parts) {
    ValidCall call(config);
    call.forward.tape = &call.tape;
    call.forward.dropout.*member = masks;
    call.expect_forward_rejected(parts);
  };
  with({input}, &DropoutArgs::input_masks, {"forward", "input_masks has 1", "2"});
  with({input, wrong}, &DropoutArgs::input_masks, {"forward", "input_masks", "[1, 2, 7]", "N=2", "in=4"});
  with({inner, wrong}, &DropoutArgs::recurrent_masks, {"forward", "recurrent_masks", "[1, 2, 7]", "H=4"});
  with({inner, inner}, &DropoutArgs::layer_masks, {"forward", "layer_masks has 2", "1"});
  with({inner}, &DropoutArgs::layer_masks, {"forward", "layer_masks", "[1, 2, 4]", "T=5"});
  config.dropout = config.recurrent_dropout = config.layer_dropout = 0;
  with({input, inner}, &DropoutArgs::input_masks, {"input_masks has 2", "none", "dropout is 0"});
  with({inner, inner}, &DropoutArgs::recurrent_masks, {"recurrent_masks", "none", "recurrent_dropout is 0"});
  with({inner}, &DropoutArgs::layer_masks, {"layer_masks", "none", "layer_dropout is 0"});
}

TEST(InvalidBackward, ShapesTypesAndStrides) {
  const auto with = [](auto member, const Shape& shape, std::initializer_list<std::string> parts) {
    ValidCall call;
    call.record();
    call.backward.*member = reshaped(call.backward.*member, shape);
    call.expect_backward_rejected(parts);
  };
  with(&BackwardArgs::dy, {5, 2, 2}, {"backward", "dy", "[5, 2, 2]", "H=4"});
  with(&BackwardArgs::dh_n, {2, 4}, {"backward", "dh_n", "[2, 4]", "[L*D=1, N=2, H=4]"});
  with(&BackwardArgs::dc_n, {1, 1, 4}, {"backward", "dc_n", "[1, 1, 4]", "[L*D=1, N=2, H=4]"});
  with(&BackwardArgs::dx, {2, 5, 3}, {"backward", "dx", "[2, 5, 3]", "T=5", "N=2", "I=3"});
  with(&BackwardArgs::dh0, {1, 2, 3}, {"backward", "dh0", "[1, 2, 3]", "[L*D=1, N=2, H=4]"});
  with(&BackwardArgs::dc0, {8}, {"backward", "dc0", "[8]", "[L*D=1, N=2, H=4]"});
  with(&BackwardArgs::dparameters, {100}, {"backward", "dparameters", "[100]", "144"});
  ValidCall type;
  type.record();
  type.backward.dx = retyped(type.backward.dx, DType::kF64);
  type.expect_backward_rejected({"backward", "dx", "f64", "f32"});
  ValidCall strides;
  strides.record();
  strides.backward.dy.strides[1] = 5;
  strides.expect_backward_rejected({"backward", "dy", "stride 5 in dimension 1", "expected 4"});
}

TEST(InvalidBackward, WhatTheNetworkDoesNotHave) {
  ValidCall gru(valid_config(Cell::kGru));
  gru.record();
  gru.backward.dc_n = gru.backward.dh_n;
  gru.expect_backward_rejected({"backward", "dc_n was given", "expected none", "LSTM"});
  ValidCall concat;
  concat.record();
  concat.backward.dy_reverse = concat.backward.dy;
  concat.expect_backward_rejected({"backward", "dy_reverse was given", "Merge::kNone"});
}

TEST(InvalidBackward, OverlappingViews) {
  ValidCall dx_dy;
  dx_dy.record();
  dx_dy.backward.dx.data = dx_dy.dy.span<float>().data() + 2;
  dx_dy.expect_backward_rejected({"backward", "dx", "dy", "overlap"});
  ValidCall dx_x;
  dx_x.record();
  dx_x.backward.dx.data = dx_x.x.span<float>().data();
  dx_x.expect_backward_rejected({"backward", "dx", "x", "overlap"});
  ValidCall dh0_dparameters;
  dh0_dparameters.record();
  dh0_dparameters.backward.dh0.data = dh0_dparameters.dparameters.span<float>().data();
  dh0_dparameters.expect_backward_rejected({"backward", "dh0", "dparameters", "overlap"});
}

TEST(InvalidBackward, Workspace) {
  ValidCall call;
  call.record();
  call.backward.workspace = {};
  call.expect_backward_rejected({"backward", "workspace", "0", std::to_string(call.plan.workspace_bytes())});
}

TEST(InvalidBackward, TapeNeverRecorded) {
  ValidCall call;
  call.expect_backward_rejected({"backward", "tape is empty", "forward"});
}

TEST(InvalidBackward, TapeUsedTwice) {
  ValidCall call;
  call.record();
  call.plan.backward(call.weights, call.tape, call.backward);
  call.expect_backward_rejected({"backward", "tape was used", "fresh forward"});
  call.record();  // a new forward makes it good again
  call.plan.backward(call.weights, call.tape, call.backward);
}

TEST(InvalidBackward, TapeOfAnotherPlanOrOtherWeights) {
  ValidCall first, second;
  first.record();
  std::swap(first.tape, second.tape);
  second.expect_backward_rejected({"backward", "tape was recorded by another"});
  std::swap(first.tape, second.tape);
  first.weights = first.plan.pack(first.parameters);
  first.expect_backward_rejected({"backward", "parameters changed", "tape"});
}

TEST(InvalidBackward, ARefusalLeavesTheTapeGood) {
  ValidCall call;
  call.record();
  const ConstTensorView dy = call.backward.dy;
  call.backward.dy = reshaped(dy, {5, 8});
  call.expect_backward_rejected({"dy"});
  call.backward.dy = dy;
  call.plan.backward(call.weights, call.tape, call.backward);
}

}  // namespace
}  // namespace rondo::testing
