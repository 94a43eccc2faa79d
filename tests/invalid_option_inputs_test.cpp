// Wrong arguments of options: masks, resets, every c, supplied masks, rows of a step. Each refused by name,
// with all outputs untouched.
#include <gtest/gtest.h>

#include "rejected.h"

namespace rondo::testing {
namespace {

// With a plan for resets, and flags [T, N] that say nothing.
struct OptionCall : ValidCall {
  Tensor flags;
  explicit OptionCall(const RnnConfig& of = valid_config())
      : ValidCall(of), flags(DType::kU8, of.layout == Layout::kTimeMajor ? Shape{kT, kN} : Shape{kN, kT}) {
    plan = Plan(of, {.phase = Phase::kTraining, .max_t = kT, .max_n = kN, .resets = true});
    weights = plan.pack(parameters);
    workspace = AlignedBytes(plan.workspace_bytes());
    forward.workspace = backward.workspace = workspace.span();
    for (std::uint8_t& flag : flags.span<std::uint8_t>()) flag = 1;
    forward.mask = forward.resets = flags;
  }
};

RnnConfig with_every_c(Direction direction = Direction::kForward) {
  RnnConfig config = valid_config();
  config.cell_sequence = true;
  config.direction = direction;
  return config;
}

TEST(ValidOptionCall, IsAcceptedAsItStands) {
  for (const Layout layout : {Layout::kTimeMajor, Layout::kBatchMajor}) {
    RnnConfig config = with_every_c(Direction::kBidirectional);
    config.layout = layout;
    OptionCall call(config);
    call.record();
    call.plan.backward(call.weights, call.tape, call.backward);
    EXPECT_NE(call.c.span<float>()[0], 0.25F);
    EXPECT_NE(call.dx.span<float>()[0], 0.25F);
  }
}

TEST(InvalidForward, MasksAndResets) {
  const Tensor small(DType::kU8, {kT, 1}), across(DType::kU8, {kN, kT}), deep(DType::kU8, {kT, kN, 1});
  const Tensor floats = filled(DType::kF32, {kT, kN}), integers(DType::kI32, {kT, kN});
  for (const auto& [member, name] :
       {std::pair{&ForwardArgs::mask, "mask"}, std::pair{&ForwardArgs::resets, "resets"}}) {
    const auto with = [&, argument = member](ConstTensorView view, std::initializer_list<std::string> parts) {
      OptionCall call;
      call.forward.*argument = view;
      call.expect_forward_rejected(parts);
    };
    const std::string is = std::string("forward: ") + name;
    with(small, {is + " has shape [5, 1], expected [T=5, N=2]"});
    with(across, {is + " has shape [2, 5], expected [T=5, N=2]"});
    with(deep, {is + " has shape [5, 2, 1], expected [T=5, N=2]"});
    with(floats, {is + " is f32, expected u8"});
    with(integers, {is + " is i32, expected u8"});
    with({nullptr, DType::kU8, {kT, kN}}, {is + " [5, 2] has no data"});
    ConstTensorView strided = across;
    strided.shape = {kT, kN};
    strided.strides = {1, kT};
    with(strided, {is + " has stride 5 in dimension 1, expected 1"});
    const Tensor flags(DType::kU8, {kT, kN});
    ConstTensorView elsewhere = flags;
    elsewhere.device = {Device::Kind::kCuda, 0};
    with(elsewhere, {is + " lies on cuda:0, expected cpu"});
  }
}

TEST(InvalidForward, MasksOfABatchMajorNetworkHaveTheAxesTheOtherWayRound) {
  RnnConfig config = valid_config();
  config.layout = Layout::kBatchMajor;
  const Tensor time_major(DType::kU8, {kT, kN});
  OptionCall mask(config), resets(config);
  mask.forward.mask = time_major;
  mask.expect_forward_rejected({"forward: mask has shape [5, 2], expected [N=2, T=5]"});
  resets.forward.resets = time_major;
  resets.expect_forward_rejected({"forward: resets has shape [5, 2], expected [N=2, T=5]"});
}

TEST(InvalidForward, ResetsOfAPlanWithoutThem) {
  OptionCall with;
  ValidCall without;
  without.forward.resets = with.flags;
  without.expect_forward_rejected({"forward: resets was given", "PlanOptions::resets"});
}

TEST(InvalidForward, RaggedRowsOfAPlanWithoutThem) {
  OptionCall call;
  call.plan = Plan(valid_config(), {.phase = Phase::kTraining, .max_t = kT, .max_n = kN, .ragged = false});
  call.forward.resets = {};
  call.expect_forward_rejected({"forward: mask was given", "PlanOptions::ragged"});
  call.forward.mask = {};
  const Tensor lengths(DType::kI64, {kN});
  call.forward.lengths = lengths;
  call.expect_forward_rejected({"forward: lengths was given", "PlanOptions::ragged"});
}

TEST(InvalidForward, MasksThatOverlapOutputs) {
  OptionCall call;
  call.forward.mask.data = call.y.span<float>().data();
  call.expect_forward_rejected({"forward", "y overlaps mask"});
  OptionCall resets;
  resets.forward.resets.data = resets.h_n.span<float>().data();
  resets.expect_forward_rejected({"forward", "h_n overlaps resets"});
}

TEST(InvalidForward, EveryC) {
  ValidCall plain;
  plain.forward.c = plain.forward.y;
  plain.expect_forward_rejected({"forward: c was given, expected none: RnnConfig::cell_sequence is not set"});
  OptionCall both(with_every_c(Direction::kBidirectional));
  both.forward.c.shape = {kT, kN, kH};
  both.expect_forward_rejected({"forward: c has shape [5, 2, 4], expected [T=5, N=2, 2*H=8]"});
  OptionCall last(with_every_c());
  last.forward.c = TensorView(last.forward.c.data, DType::kF32, {kN, kH});
  last.expect_forward_rejected({"forward: c has shape [2, 4], expected [T=5, N=2, H=4]"});
  OptionCall type(with_every_c());
  type.forward.c.dtype = DType::kF64;
  type.expect_forward_rejected({"forward: c is f64, expected f32"});
  OptionCall overlap(with_every_c());
  overlap.forward.c.data = overlap.forward.y.data;
  overlap.expect_forward_rejected({"forward", "c overlaps y"});
}

TEST(InvalidForward, ProjectedStates) {
  RnnConfig config = valid_config();
  config.projection_size = 3;
  config.direction = Direction::kBidirectional;
  const auto with = [&](auto member, const Shape& shape, std::initializer_list<std::string> parts) {
    ValidCall call(config);
    (call.forward.*member).shape = shape;
    call.expect_forward_rejected(parts);
  };
  with(&ForwardArgs::h0, {2, kN, kH}, {"forward: h0 has shape [2, 2, 4], expected [L*D=2, N=2, P=3]"});
  with(&ForwardArgs::c0, {2, kN, 3}, {"forward: c0 has shape [2, 2, 3], expected [L*D=2, N=2, H=4]"});
  with(&ForwardArgs::y, {kT, kN, 2 * kH}, {"forward: y has shape [5, 2, 8], expected [T=5, N=2, 2*P=6]"});
  with(&ForwardArgs::c_n, {2, kN, 3}, {"forward: c_n has shape [2, 2, 3], expected [L*D=2, N=2, H=4]"});
}

TEST(InvalidForward, SuppliedMasksOfZoneoutAndDropConnect) {
  RnnConfig config = valid_config();
  config.zoneout_h = config.zoneout_c = config.dropconnect = 0.5;
  config.projection_size = 3;
  const Tensor h = filled(DType::kF32, {kT, kN, 3}), c = filled(DType::kF32, {kT, kN, kH}),
               r = filled(DType::kF32, {4 * kH, 3}), square = filled(DType::kF32, {4 * kH, kH});
  const auto with = [&](std::vector<ConstTensorView> masks, auto member,
                        std::initializer_list<std::string> parts) {
    ValidCall call(config);
    call.forward.tape = &call.tape;
    call.forward.dropout.*member = masks;
    call.expect_forward_rejected(parts);
  };
  with({c}, &DropoutArgs::zoneout_h_masks, {"zoneout_h_masks has shape [5, 2, 4], expected [T=5, N=2, P=3]"});
  with({h}, &DropoutArgs::zoneout_c_masks, {"zoneout_c_masks has shape [5, 2, 3], expected [T=5, N=2, H=4]"});
  with({square}, &DropoutArgs::dropconnect_masks,
       {"dropconnect_masks has shape [16, 4], expected [G*H=16, P=3]"});
  with({h, h}, &DropoutArgs::zoneout_h_masks, {"zoneout_h_masks has 2 views, expected none or 1"});
  with({c, c}, &DropoutArgs::zoneout_c_masks, {"zoneout_c_masks has 2 views, expected none or 1"});
  with({r, r, r}, &DropoutArgs::dropconnect_masks, {"dropconnect_masks has 3 views, expected none or 1"});
  config.zoneout_h = config.zoneout_c = config.dropconnect = 0;
  with({h}, &DropoutArgs::zoneout_h_masks, {"zoneout_h_masks has 1 views, expected none", "zoneout_h is 0"});
  with({c}, &DropoutArgs::zoneout_c_masks, {"zoneout_c_masks has 1 views, expected none", "zoneout_c is 0"});
  with({r}, &DropoutArgs::dropconnect_masks,
       {"dropconnect_masks has 1 views, expected none", "dropconnect is 0"});
}

TEST(InvalidBackward, GradientsOfEveryC) {
  ValidCall plain;
  plain.record();
  plain.backward.dc = plain.backward.dy;
  plain.expect_backward_rejected(
      {"backward: dc was given, expected none: RnnConfig::cell_sequence is not set"});
  OptionCall shape(with_every_c(Direction::kBidirectional));
  shape.record();
  shape.backward.dc.shape = {kT, kN, kH};
  shape.expect_backward_rejected({"backward: dc has shape [5, 2, 4], expected [T=5, N=2, 2*H=8]"});
  OptionCall type(with_every_c());
  type.record();
  type.backward.dc.dtype = DType::kF64;
  type.expect_backward_rejected({"backward: dc is f64, expected f32"});
  OptionCall overlap(with_every_c());
  overlap.record();
  overlap.backward.dx.data = overlap.dc.span<float>().data();
  overlap.expect_backward_rejected({"backward", "dx overlaps dc"});
}

TEST(InvalidRnnForward, MasksAndResets) {
  Rnn rnn(valid_config(), Device{});
  const Tensor x = filled(DType::kF32, {kT, kN, kI}), wrong(DType::kU8, {kT, kN + 1});
  ForwardOptions mask, resets;
  mask.mask = resets.resets = wrong;
  expect_rejected([&] { (void)rnn.forward(x, mask); },
                  {"forward: mask has shape [5, 3], expected [T=5, N=2]"});
  expect_rejected([&] { (void)rnn.forward(x, resets); },
                  {"forward: resets has shape [5, 3], expected [T=5, N=2]"});
}

TEST(InvalidStep, Rows) {
  Rnn rnn(valid_config(), Device{});
  State state = rnn.make_state(4);
  const Tensor x = filled(DType::kF32, {2, kI});
  Snapshot before;
  before.add("h", state.h());
  before.add("c", state.c());
  const auto with = [&](const std::vector<std::int32_t>& rows, std::initializer_list<std::string> parts) {
    const ConstTensorView view(rows.data(), Shape{static_cast<std::int64_t>(rows.size())});
    expect_rejected([&] { (void)rnn.step(x, state, view); }, parts);
    before.expect_unchanged();
  };
  with({0, 4}, {"step: rows[1] is 4, expected 0 to 3"});
  with({-1, 2}, {"step: rows[0] is -1, expected 0 to 3"});
  with({3, 3}, {"step: rows has row 3 twice"});
  with({0, 1, 2}, {"step: x_t has shape [2, 3], expected [N=3, I=3]"});
  const Tensor floats = filled(DType::kF32, {2}), table(DType::kI32, {2, 1}), bytes(DType::kU8, {2});
  const auto with_view = [&](ConstTensorView rows, std::initializer_list<std::string> parts) {
    expect_rejected([&] { (void)rnn.step(x, state, rows); }, parts);
    before.expect_unchanged();
  };
  with_view(floats, {"step: rows is f32, expected i32 or i64"});
  with_view(bytes, {"step: rows is u8, expected i32 or i64"});
  with_view(table, {"step: rows has shape [2, 1], expected [n]"});
  const std::vector<std::int64_t> good = {3, 1};
  (void)rnn.step(x, state, {good.data(), Shape{2}});
}

}  // namespace
}  // namespace rondo::testing
