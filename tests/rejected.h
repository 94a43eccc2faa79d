// A valid call of each kind, to be spoilt in one place, and the check that it is then refused.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "rondo/rondo.h"

namespace rondo::testing {

// The call throws InvalidArgument, whose message holds every part (what was got, what was expected).
template <class Call>
void expect_rejected(Call&& call, std::initializer_list<std::string> parts) {
  try {
    call();
    ADD_FAILURE() << "accepted, expected InvalidArgument";
  } catch (const InvalidArgument& e) {
    const std::string message = e.what();
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << message;
    }
  } catch (const std::exception& e) {
    ADD_FAILURE() << "expected InvalidArgument, got: " << e.what();
  }
}

// Memory of a call that must be as it was after a refusal.
class Snapshot {
 public:
  void add(const std::string& name, TensorView view) {
    if (view.data == nullptr) return;
    const auto bytes = static_cast<std::size_t>(view.shape.count() * element_bytes(view.dtype));
    const auto* first = static_cast<const unsigned char*>(view.data);
    kept_.push_back({name, first, {first, first + bytes}});
  }
  void expect_unchanged() const {
    for (const Kept& k : kept_) {
      EXPECT_EQ(std::memcmp(k.memory, k.before.data(), k.before.size()), 0) << k.name << " was written to";
    }
  }

 private:
  struct Kept {
    std::string name;
    const unsigned char* memory;
    std::vector<unsigned char> before;
  };
  std::vector<Kept> kept_;
};

// A tensor full of 0.25, so that a stray write of zeros shows.
inline Tensor filled(DType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  if (dtype == DType::kF64) {
    for (double& v : tensor.span<double>()) v = 0.25;
  } else if (dtype == DType::kF32) {
    for (float& v : tensor.span<float>()) v = 0.25F;
  }
  return tensor;
}

// 64-byte aligned bytes.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t bytes)
      : memory_(DType::kI64, {static_cast<std::int64_t>(bytes / 8 + 9)}), bytes_(bytes) {}
  std::span<std::byte> span(std::size_t skip = 0) {
    return {reinterpret_cast<std::byte*>(memory_.span<std::int64_t>().data()) + skip, bytes_};
  }

 private:
  Tensor memory_;
  std::size_t bytes_;
};

inline constexpr std::int64_t kT = 5, kN = 2, kI = 3, kH = 4;  // sizes of the valid calls
inline RnnConfig valid_config(Cell cell = Cell::kLstm) {
  return {.cell = cell, .input_size = kI, .hidden_size = kH};
}

// A plan and complete arguments of a forward and a backward call, all valid.
struct ValidCall {
  RnnConfig config;
  Plan plan;
  Tensor parameters;
  PackedWeights weights;
  AlignedBytes workspace;
  Tensor x, h0, c0, lengths, y, y_reverse, h_n, c_n, c;
  Tensor dy, dh_n, dc_n, dc, dx, dh0, dc0, dparameters;
  Tape tape;
  ForwardArgs forward;
  BackwardArgs backward;

  explicit ValidCall(const RnnConfig& of = valid_config(), Phase phase = Phase::kTraining)
      : config(of),
        plan(of, {.phase = phase, .max_t = kT, .max_n = kN}),
        parameters(filled(of.dtype, {parameter_count(of)})),
        weights(plan.pack(parameters)),
        workspace(plan.workspace_bytes()),
        lengths(DType::kI64, {kN}) {
    const bool lstm = of.cell == Cell::kLstm;
    const bool batch_major = of.layout == Layout::kBatchMajor;
    const std::int64_t directions = num_directions(of), slots = of.num_layers * directions;
    const Shape h_states = {slots, kN, state_size(of)}, c_states = {slots, kN, kH};
    const auto over_time = [&](std::int64_t width) {
      return batch_major ? Shape{kN, kT, width} : Shape{kT, kN, width};
    };
    const Shape in = over_time(kI), sequence = over_time(output_size(of));
    const Shape out = of.outputs == Outputs::kLast ? Shape{kN, output_size(of)} : sequence;
    const auto make = [&](const Shape& shape) { return filled(of.dtype, shape); };
    x = make(in), h0 = make(h_states), y = make(out), h_n = make(h_states);
    dy = make(out), dh_n = make(h_states), dx = make(in), dh0 = make(h_states),
    dparameters = make({parameter_count(of)});
    if (lstm) c0 = make(c_states), c_n = make(c_states), dc_n = make(c_states), dc0 = make(c_states);
    if (of.merge == Merge::kNone && directions == 2) y_reverse = make(out);
    if (of.cell_sequence) c = make(over_time(directions * kH)), dc = make(over_time(directions * kH));
    lengths.span<std::int64_t>()[0] = kT;
    lengths.span<std::int64_t>()[1] = 1;
    forward.x = x, forward.h0 = h0, forward.c0 = c0, forward.lengths = lengths;
    forward.y = y, forward.y_reverse = y_reverse, forward.h_n = h_n, forward.c_n = c_n, forward.c = c;
    forward.workspace = workspace.span();
    backward.dy = dy, backward.dh_n = dh_n, backward.dc_n = dc_n, backward.dc = dc;
    backward.dx = dx, backward.dh0 = dh0, backward.dc0 = dc0, backward.dparameters = dparameters;
    backward.workspace = workspace.span();
  }

  Snapshot snapshot() {
    Snapshot s;
    for (auto& [name, tensor] :
         std::initializer_list<std::pair<const char*, Tensor*>>{{"x", &x},
                                                                {"h0", &h0},
                                                                {"c0", &c0},
                                                                {"y", &y},
                                                                {"y_reverse", &y_reverse},
                                                                {"h_n", &h_n},
                                                                {"c_n", &c_n},
                                                                {"c", &c},
                                                                {"dx", &dx},
                                                                {"dh0", &dh0},
                                                                {"dc0", &dc0},
                                                                {"dparameters", &dparameters}}) {
      s.add(name, *tensor);
    }
    return s;
  }
  void record() {
    forward.tape = &tape;
    plan.forward(weights, forward);
  }
  void expect_forward_rejected(std::initializer_list<std::string> parts) {
    const Snapshot before = snapshot();
    expect_rejected([&] { plan.forward(weights, forward); }, parts);
    before.expect_unchanged();
  }
  // The tape has to be recorded before.
  void expect_backward_rejected(std::initializer_list<std::string> parts) {
    const Snapshot before = snapshot();
    expect_rejected([&] { plan.backward(weights, tape, backward); }, parts);
    before.expect_unchanged();
  }
};

}  // namespace rondo::testing
