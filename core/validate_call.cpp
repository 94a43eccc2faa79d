// Checks of the arguments of one pass: shapes, types, lengths, overlaps, tapes.
#include <array>

#include "core/validate.h"

namespace rondo {
namespace {

[[noreturn]] void fail(const char* call, const std::string& message) {
  throw InvalidArgument(std::string(call) + ": " + message);
}

constexpr const char* kOnlyLstm = "only an LSTM has it";

// A size with the letters it comes from: "L*D=2".
struct Size {
  const char* letters;
  std::int64_t value;
};
using Sizes = std::initializer_list<Size>;

std::string to_string(Sizes sizes) {
  std::string text = "[";
  for (const Size& size : sizes) {
    text += (text.size() > 1 ? ", " : "") + std::string(size.letters) + "=" + std::to_string(size.value);
  }
  return text + "]";
}

class Checker {
 public:
  Checker(const char* call, const RnnConfig& config, Device device) : call_(call), config_(config), device_(device) {}

  void dense(const char* name, const ConstTensorView& view, DType dtype) const {
    if (view.dtype != dtype) {
      fail(call_, std::string(name) + " is " + rondo::to_string(view.dtype) + ", expected " + rondo::to_string(dtype));
    }
    if (view.device != device_) {
      fail(call_, std::string(name) + " lies on " + rondo::to_string(view.device) + ", expected " +
                      rondo::to_string(device_));
    }
    std::int64_t stride = 1;
    for (int i = view.shape.rank(); i-- > 0; stride *= view.shape[i]) {
      if (view.shape[i] > 1 && view.strides[static_cast<std::size_t>(i)] != stride) {
        fail(call_, std::string(name) + " has stride " + std::to_string(view.strides[static_cast<std::size_t>(i)]) +
                        " in dimension " + std::to_string(i) + ", expected " + std::to_string(stride) +
                        " (dense, row-major)");
      }
    }
    if (view.data == nullptr && view.shape.count() > 0) {
      fail(call_, std::string(name) + " " + rondo::to_string(view.shape) + " has no data");
    }
  }

  // Absent is fine; present must be of this shape.
  void optional(const char* name, const ConstTensorView& view, Sizes sizes) const {
    if (!view.absent()) required(name, view, sizes);
  }
  void required(const char* name, const ConstTensorView& view, Sizes sizes) const {
    bool same = view.shape.rank() == static_cast<int>(sizes.size());
    int i = 0;
    for (const Size& size : sizes) same = same && view.shape[i++] == size.value;
    if (!same) {
      fail(call_, std::string(name) + " has shape " + rondo::to_string(view.shape) + ", expected " + to_string(sizes));
    }
    dense(name, view, config_.dtype);
  }
  void state(const char* name, const ConstTensorView& view, std::int64_t n) const {
    optional(name, view, {{"L*D", config_.num_layers * num_directions(config_)}, {"N", n}, {"H", config_.hidden_size}});
  }
  void none(const char* name, const ConstTensorView& view, bool allowed, const char* when) const {
    if (!allowed && !view.absent()) fail(call_, std::string(name) + " was given, expected none: " + when);
  }
  // y, dy and their reverse parts.
  void outputs(const char* name, const char* reverse_name, const ConstTensorView& y, const ConstTensorView& reverse,
               CallSizes sizes) const {
    const bool apart = config_.merge == Merge::kNone && config_.direction == Direction::kBidirectional;
    none(reverse_name, reverse, apart, "only a bidirectional network with Merge::kNone has it");
    const bool concat = config_.merge == Merge::kConcat && num_directions(config_) == 2;
    const Size o{concat ? "2*H" : "H", output_size(config_)};
    for (const auto& [label, view] : {std::pair{name, &y}, std::pair{reverse_name, &reverse}}) {
      if (config_.outputs == Outputs::kLast) {
        optional(label, *view, {{"N", sizes.n}, o});
      } else {
        sequence(label, *view, sizes, o);
      }
    }
  }
  void sequence(const char* name, const ConstTensorView& view, CallSizes sizes, Size width) const {
    const Size t{"T", sizes.t}, n{"N", sizes.n};
    if (config_.layout == Layout::kTimeMajor) {
      optional(name, view, {t, n, width});
    } else {
      optional(name, view, {n, t, width});
    }
  }

 private:
  const char* call_;
  const RnnConfig& config_;
  Device device_;
};

// Arrays that must not share memory, but for the pairs that may be the same.
class Overlaps {
 public:
  explicit Overlaps(const char* call) : call_(call) {}
  void add(const char* name, const ConstTensorView& view, bool output, const char* may_be = nullptr) {
    if (view.data == nullptr) return;
    add(name, view.data, static_cast<std::size_t>(view.shape.count() * element_bytes(view.dtype)), output, may_be);
  }
  void add(const char* name, const void* data, std::size_t bytes, bool output, const char* may_be = nullptr) {
    const auto* begin = static_cast<const std::byte*>(data);
    const Block block{name, begin, begin + bytes, output, may_be};
    if (bytes == 0) return;
    for (std::size_t i = 0; i < count_; ++i) {
      const Block& other = blocks_[i];
      if (!(block.output || other.output) || block.begin >= other.end || other.begin >= block.end) continue;
      if (block.may_be != nullptr && std::string_view(other.name) == block.may_be && other.begin == begin) continue;
      fail(call_, std::string(block.name) + " overlaps " + other.name + ", expected separate memory");
    }
    if (count_ < blocks_.size()) blocks_[count_++] = block;
  }

 private:
  struct Block {
    const char* name;
    const std::byte *begin, *end;
    bool output;
    const char* may_be;
  };
  const char* call_;
  std::array<Block, 16> blocks_{};
  std::size_t count_ = 0;
};

void check_lengths(const char* call, const ConstTensorView& lengths, CallSizes sizes) {
  if (lengths.absent()) return;
  if (lengths.device != Device{}) {
    fail(call, "lengths lies on " + rondo::to_string(lengths.device) + ", expected the host");
  }
  if (lengths.shape != Shape{sizes.n}) {
    fail(call, "lengths has shape " + rondo::to_string(lengths.shape) + ", expected " + to_string({{"N", sizes.n}}));
  }
  if (lengths.dtype != DType::kI32 && lengths.dtype != DType::kI64) {
    fail(call, "lengths is " + rondo::to_string(lengths.dtype) + ", expected i32 or i64");
  }
  if (lengths.data == nullptr && sizes.n > 0) fail(call, "lengths has no data");
  if (sizes.n > 1 && lengths.strides[0] != 1) fail(call, "lengths has a stride, expected dense");
  for (std::int64_t r = 0; r < sizes.n; ++r) {
    const std::int64_t length = lengths.dtype == DType::kI32 ? static_cast<const std::int32_t*>(lengths.data)[r]
                                                             : static_cast<const std::int64_t*>(lengths.data)[r];
    if (length < 0 || length > sizes.t) {
      fail(call, "lengths[" + std::to_string(r) + "] is " + std::to_string(length) + ", expected 0 to T=" +
                     std::to_string(sizes.t));
    }
  }
}

void check_masks(const Checker& check, const RnnConfig& c, const DropoutArgs& drop, CallSizes sizes) {
  const std::int64_t groups = c.gate_masks == GateMasks::kPerGate ? num_gates(c.cell) : 1;
  const std::int64_t pairs = c.num_layers * num_directions(c);
  const auto counted = [&](const char* name, std::size_t got, std::int64_t expected) {
    if (got != 0 && static_cast<std::int64_t>(got) != expected) {
      fail("forward", std::string(name) + " has " + std::to_string(got) + " views, expected none or " +
                          std::to_string(expected));
    }
  };
  counted("dropout.input_masks", drop.input_masks.size(), pairs);
  counted("dropout.recurrent_masks", drop.recurrent_masks.size(), pairs);
  counted("dropout.layer_masks", drop.layer_masks.size(), c.num_layers - 1);
  for (std::size_t i = 0; i < drop.input_masks.size(); ++i) {
    const std::int64_t in = layer_input_size(c, static_cast<std::int64_t>(i) / num_directions(c));
    check.required("dropout.input_masks", drop.input_masks[i], {{"Gm", groups}, {"N", sizes.n}, {"in", in}});
  }
  for (const ConstTensorView& mask : drop.recurrent_masks) {
    check.required("dropout.recurrent_masks", mask, {{"Gm", groups}, {"N", sizes.n}, {"H", c.hidden_size}});
  }
  const Size width{"W", layer_input_size(c, 1)};
  for (const ConstTensorView& mask : drop.layer_masks) {
    if (c.layer_masks == LayerMasks::kPerSequence) {
      check.required("dropout.layer_masks", mask, {{"N", sizes.n}, width});
    } else if (mask.absent()) {
      fail("forward", "dropout.layer_masks has an absent view, expected one of T, N and W");
    } else {
      check.sequence("dropout.layer_masks", mask, sizes, width);
    }
  }
}

}  // namespace

void validate_parameters(const char* call, const char* name, const RnnConfig& c, Device device,
                         const ConstTensorView& parameters) {
  Checker(call, c, device).required(name, parameters, {{"parameter_count", parameter_count(c)}});
}

CallSizes validate_input(const char* call, const RnnConfig& c, Device device, const ConstTensorView& x) {
  const bool time_major = c.layout == Layout::kTimeMajor;
  if (x.shape.rank() != 3 || x.shape[2] != c.input_size || x.shape[0] < 0 || x.shape[1] < 0) {
    fail(call, "x has shape " + rondo::to_string(x.shape) + ", expected " + (time_major ? "[T, N, I=" : "[N, T, I=") +
                   std::to_string(c.input_size) + "]");
  }
  const CallSizes sizes{x.shape[time_major ? 0 : 1], x.shape[time_major ? 1 : 0]};
  if (sizes.t < 1) fail(call, "x has shape " + rondo::to_string(x.shape) + ", T is 0, expected at least 1");
  validate_sizes("x", x.shape, 8);
  Checker(call, c, device).dense("x", x, c.dtype);
  return sizes;
}

CallSizes validate_forward(const RnnConfig& c, const PlanOptions& options, std::size_t workspace_bytes,
                           const ForwardArgs& a) {
  constexpr const char* kCall = "forward";
  const CallSizes sizes = validate_input(kCall, c, options.device, a.x);
  if (sizes.t > options.max_t || sizes.n > options.max_n) {
    fail(kCall, "x has T=" + std::to_string(sizes.t) + ", N=" + std::to_string(sizes.n) +
                    ", expected at most the plan's max_t=" + std::to_string(options.max_t) +
                    ", max_n=" + std::to_string(options.max_n));
  }
  const Checker check(kCall, c, options.device);
  const bool lstm = c.cell == Cell::kLstm;
  check.state("h0", a.h0, sizes.n);
  check.none("c0", a.c0, lstm, kOnlyLstm);
  check.state("c0", a.c0, sizes.n);
  check.state("h_n", a.h_n, sizes.n);
  check.none("c_n", a.c_n, lstm, kOnlyLstm);
  check.state("c_n", a.c_n, sizes.n);
  check.outputs("y", "y_reverse", a.y, a.y_reverse, sizes);
  check_lengths(kCall, a.lengths, sizes);
  if (a.tape != nullptr) {
    if (options.phase != Phase::kTraining) fail(kCall, "a tape was given, expected a plan made for Phase::kTraining");
    check_masks(check, c, a.dropout, sizes);
  }
  validate_memory(kCall, "workspace", a.workspace, workspace_bytes);
  Overlaps overlaps(kCall);
  overlaps.add("x", a.x, false);
  overlaps.add("h0", a.h0, false);
  overlaps.add("c0", a.c0, false);
  overlaps.add("lengths", a.lengths, false);
  overlaps.add("y", a.y, true);
  overlaps.add("y_reverse", a.y_reverse, true);
  overlaps.add("h_n", a.h_n, true, "h0");
  overlaps.add("c_n", a.c_n, true, "c0");
  overlaps.add("workspace", a.workspace.data(), a.workspace.size(), true);
  return sizes;
}

void validate_backward(const RnnConfig& c, Device device, CallSizes sizes, std::size_t workspace_bytes, const ForwardArgs& f,
                       const BackwardArgs& a) {
  constexpr const char* kCall = "backward";
  const Checker check(kCall, c, device);
  const bool lstm = c.cell == Cell::kLstm;
  check.outputs("dy", "dy_reverse", a.dy, a.dy_reverse, sizes);
  check.state("dh_n", a.dh_n, sizes.n);
  check.none("dc_n", a.dc_n, lstm, kOnlyLstm);
  check.state("dc_n", a.dc_n, sizes.n);
  check.sequence("dx", a.dx, sizes, {"I", c.input_size});
  check.state("dh0", a.dh0, sizes.n);
  check.none("dc0", a.dc0, lstm, kOnlyLstm);
  check.state("dc0", a.dc0, sizes.n);
  if (!a.dparameters.absent()) validate_parameters(kCall, "dparameters", c, device, a.dparameters);
  validate_memory(kCall, "workspace", a.workspace, workspace_bytes);
  Overlaps overlaps(kCall);
  overlaps.add("x", f.x, false);
  overlaps.add("y", f.y, false);
  overlaps.add("y_reverse", f.y_reverse, false);
  overlaps.add("dy", a.dy, false);
  overlaps.add("dy_reverse", a.dy_reverse, false);
  overlaps.add("dh_n", a.dh_n, false);
  overlaps.add("dc_n", a.dc_n, false);
  overlaps.add("dx", a.dx, true);
  overlaps.add("dh0", a.dh0, true, "dh_n");
  overlaps.add("dc0", a.dc0, true, "dc_n");
  overlaps.add("dparameters", a.dparameters, true);
  overlaps.add("workspace", a.workspace.data(), a.workspace.size(), true);
}

void validate_weights(const char* call, const RnnConfig& c, Device device, Phase phase, const Packed* weights) {
  if (weights == nullptr) fail(call, "weights are empty, expected the result of Plan::pack");
  if (weights->config != c) {
    fail(call, "weights were packed for " + rondo::to_string(weights->config) + ", expected " + rondo::to_string(c));
  }
  if (weights->device != device) {
    fail(call, "weights were packed for " + rondo::to_string(weights->device) + ", expected " +
                   rondo::to_string(device));
  }
  if (phase == Phase::kTraining && weights->phase != Phase::kTraining) {
    fail(call, "weights were packed by an inference plan, expected a plan made for Phase::kTraining");
  }
}

void validate_memory(const char* call, const char* name, std::span<const std::byte> memory, std::size_t bytes) {
  if (memory.size() < bytes) {
    fail(call, std::string(name) + " has " + std::to_string(memory.size()) + " bytes, expected at least " +
                   std::to_string(bytes));
  }
  if (bytes > 0 && reinterpret_cast<std::uintptr_t>(memory.data()) % 64 != 0) {
    fail(call, std::string(name) + " is not aligned, expected a multiple of 64 bytes");
  }
}

void validate_tape(const TapeFacts& tape) {
  if (!tape.exists) fail("tape", "was moved from, expected one that is whole");
  if (!tape.recorded) fail("backward", "the tape is empty, expected one that a forward pass was given");
  if (tape.used) fail("backward", "the tape was used by an earlier backward pass, expected a fresh forward pass");
  if (!tape.same_plan) fail("backward", "the tape was recorded by another network or plan, expected this one's");
  if (!tape.same_weights) {
    fail("backward", "the parameters changed since the forward pass, expected those that the tape was recorded with");
  }
}

void validate_tape_apart(const char* call, std::span<const std::byte> tape, const ForwardArgs& a) {
  Overlaps overlaps(call);
  overlaps.add("x", a.x, false);
  overlaps.add("h0", a.h0, false);
  overlaps.add("c0", a.c0, false);
  overlaps.add("y", a.y, false);
  overlaps.add("y_reverse", a.y_reverse, false);
  overlaps.add("h_n", a.h_n, false);
  overlaps.add("c_n", a.c_n, false);
  overlaps.add("workspace", a.workspace.data(), a.workspace.size(), false);
  overlaps.add("tape", tape.data(), tape.size(), true);
}

void validate_tape_apart(const char* call, std::span<const std::byte> tape, const BackwardArgs& a) {
  Overlaps overlaps(call);
  overlaps.add("dy", a.dy, false);
  overlaps.add("dy_reverse", a.dy_reverse, false);
  overlaps.add("dx", a.dx, false);
  overlaps.add("dh0", a.dh0, false);
  overlaps.add("dc0", a.dc0, false);
  overlaps.add("dparameters", a.dparameters, false);
  overlaps.add("workspace", a.workspace.data(), a.workspace.size(), false);
  overlaps.add("tape", tape.data(), tape.size(), true);
}

void validate_step(const RnnConfig& config, const ConstTensorView& x, const ConstTensorView& h,
                   const ConstTensorView& c) {
  if (config.direction != Direction::kForward) {
    fail("step", "the network is " + rondo::to_string(config.direction) +
                     ", expected forward: the future is not known yet");
  }
  if (h.absent()) fail("step", "the state is empty, expected one from make_state");
  const std::int64_t n = h.shape[1];
  validate_state("step", config, n, h, c);
  Checker("step", config, {}).required("x_t", x, {{"N", n}, {"I", config.input_size}});
}

void validate_state(const char* call, const RnnConfig& config, std::int64_t n, const ConstTensorView& h,
                    const ConstTensorView& c) {
  const Checker check(call, config, {});
  check.state("state.h", h, n);
  check.none("state.c", c, config.cell == Cell::kLstm, kOnlyLstm);
  check.state("state.c", c, n);
  if (c.absent() && config.cell == Cell::kLstm) fail(call, "the state has no c, expected that of an LSTM");
}

void validate_one_state(const ConstTensorView& h0, const ConstTensorView& c0) {
  if (!h0.absent() || !c0.absent()) fail("forward", "h0 or c0 was given with a state, expected one of the two");
}

void validate_state_rows(std::int64_t rows) {
  if (rows < 0) fail("make_state", "n is " + std::to_string(rows) + ", expected at least 0");
}

void validate_row(std::int64_t row, std::int64_t rows) {
  if (row < 0 || row >= rows) {
    fail("reset_row", "row is " + std::to_string(row) + ", expected 0 to " + std::to_string(rows - 1));
  }
}

}  // namespace rondo
