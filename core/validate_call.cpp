// Checks of the arguments of one call: shapes, types, lengths, overlaps, tapes.
#include <string_view>
#include <utility>

#include "core/validate.h"

namespace rondo {
namespace {

constexpr std::int64_t kAny = -1;

// A size with the letters it comes from: "L*D=2".
struct Size {
  const char* letters = nullptr;
  std::int64_t value = kAny;
};
// The sizes that an array has to have: those with letters.
struct Form {
  Size sizes[3];
};

std::string to_string(const Form& form) {
  std::string all;
  for (const Size& size : form.sizes) {
    if (size.letters != nullptr) all += message(all.empty() ? "[" : ", ", size.letters);
    if (size.value != kAny) all += message("=", size.value);
  }
  return all + "]";
}

// What is written shares no memory with any other argument, but that it may be the one named may_be.
enum class Use : std::uint8_t { kRead, kWritten };
struct Argument {
  const char* name;
  const ConstTensorView& view;
  Use use = Use::kRead;
  const char* may_be = nullptr;
};

// The arguments of one call. Each is checked as it is named, also against those that were named before.
class Call {
 public:
  Call(const char* name, const RnnConfig& config, Device device, CallSizes sizes = {kAny, kAny})
      : name_(name), config_(config), device_(device), sizes_(sizes) {}
  template <class... Parts>
  void expect(bool ok, const Parts&... parts) const {
    require(ok, name_, ": ", parts...);
  }

  Form sequence(Size width) const {
    const Size t{"T", sizes_.t}, n{"N", sizes_.n};
    return config_.layout == Layout::kTimeMajor ? Form{{t, n, width}} : Form{{n, t, width}};
  }
  Form input() const { return sequence({"I", config_.input_size}); }
  Form parameters() const { return {{{"parameter_count", parameter_count(config_)}}}; }
  void check(const Argument& a, const Form& form) const { check(a, form, config_.dtype, device_); }
  void check(const Argument& a, const Form& form, DType dtype, Device device) const;

  // Each of these may be absent.
  void array(const Argument& a, const Form& form) {
    if (a.view.absent()) return;
    check(a, form);
    add(a);
  }
  void states(const Argument& h, const Argument& c) {
    const Size count{"L*D", config_.num_layers * num_directions(config_)}, rows{"N", sizes_.n};
    expect_none_unless(config_.cell == Cell::kLstm, c, "only an LSTM has it");
    array(h, {{count, rows, state_width()}});
    array(c, {{count, rows, {"H", config_.hidden_size}}});
  }
  void outputs(const Argument& y, const Argument& reverse) {
    const std::int64_t width = output_size(config_);
    const bool projected = config_.projection_size > 0, side_by_side = width != state_size(config_);
    const Size o{side_by_side ? (projected ? "2*P" : "2*H") : (projected ? "P" : "H"), width};
    const Form form = config_.outputs == Outputs::kLast ? Form{{{"N", sizes_.n}, o}} : sequence(o);
    const bool apart = config_.merge == Merge::kNone && num_directions(config_) == 2;
    expect_none_unless(apart, reverse, "only a bidirectional network with Merge::kNone has it");
    array(y, form);
    array(reverse, form);
  }
  // c of every step, or its gradient.
  void cell_sequence(const Argument& c) {
    expect_none_unless(config_.cell_sequence, c, "RnnConfig::cell_sequence is not set");
    const std::int64_t directions = num_directions(config_);
    array(c, sequence({directions == 2 ? "2*H" : "H", directions * config_.hidden_size}));
  }
  // Of every row and step, on the host.
  void flags(const char* name, const ConstTensorView& view) {
    if (view.absent()) return;
    const Size t{"T", sizes_.t}, n{"N", sizes_.n};
    const bool time_major = config_.layout == Layout::kTimeMajor;
    check({name, view}, time_major ? Form{{t, n}} : Form{{n, t}}, DType::kU8, Device{});
    add({name, view});
  }
  Size state_width() const { return {config_.projection_size > 0 ? "P" : "H", state_size(config_)}; }
  void lengths(const ConstTensorView& view) {
    if (view.absent()) return;
    const bool narrow = view.dtype == DType::kI32;
    expect(narrow || view.dtype == DType::kI64, "lengths is ", view.dtype, ", expected i32 or i64");
    check({"lengths", view}, {{{"N", sizes_.n}}}, view.dtype, Device{});
    for (std::int64_t r = 0; r < sizes_.n; ++r) {
      const std::int64_t length = index_at(view, r);
      const bool fits = length >= 0 && length <= sizes_.t;
      expect(fits, "lengths[", r, "] is ", length, ", expected 0 to T=", sizes_.t);
    }
    add({"lengths", view});
  }

  // Writable, 64-byte aligned memory of at least so many bytes.
  void memory(const char* name, std::span<const std::byte> memory, std::size_t bytes) {
    expect(memory.size() >= bytes, name, " has ", memory.size(), " bytes, expected at least ", bytes);
    const bool aligned = bytes == 0 || reinterpret_cast<std::uintptr_t>(memory.data()) % 64 == 0;
    expect(aligned, name, " is not aligned, expected a multiple of 64 bytes");
    add({name, memory.data(), memory.data() + memory.size(), Use::kWritten, nullptr});
  }

 private:
  struct Block {
    const char* name;
    const std::byte *begin, *end;
    Use use;
    const char* may_be;
  };

  void expect_none_unless(bool allowed, const Argument& a, const char* when) const {
    expect(allowed || a.view.absent(), a.name, " was given, expected none: ", when);
  }
  void add(const Argument& a) {
    const auto* begin = static_cast<const std::byte*>(a.view.data);
    add({a.name, begin, begin + a.view.shape.count() * element_bytes(a.view.dtype), a.use, a.may_be});
  }
  void add(const Block& block) {
    if (block.begin == block.end) return;
    for (const Block& other : std::span(blocks_).first(count_)) {
      const bool apart = block.begin >= other.end || other.begin >= block.end;
      const bool reads = block.use == Use::kRead && other.use == Use::kRead;
      const bool allowed = block.begin == other.begin && block.may_be != nullptr &&
                           std::string_view(other.name) == block.may_be;
      expect(apart || reads || allowed, block.name, " overlaps ", other.name, ", expected separate memory");
    }
    blocks_[count_++] = block;
  }

  const char* name_;
  const RnnConfig& config_;
  Device device_;
  CallSizes sizes_;
  Block blocks_[16];  // backward has the most, 14
  std::size_t count_ = 0;
};

void Call::check(const Argument& a, const Form& form, DType dtype, Device device) const {
  const auto& [data, type, shape, strides, on] = a.view;
  int rank = 0;
  bool same = true;
  for (const Size& size : form.sizes) {
    if (size.letters == nullptr) break;
    const std::int64_t got = shape[rank++];
    same = same && (size.value == kAny ? got >= 0 : got == size.value);
  }
  expect(same && shape.rank() == rank, a.name, " has shape ", shape, ", expected ", form);
  expect(type == dtype, a.name, " is ", type, ", expected ", dtype);
  expect(on == device, a.name, " lies on ", on, ", expected ", device);
  for (std::int64_t stride = 1; rank-- > 0;) {
    const std::int64_t got = strides[static_cast<std::size_t>(rank)], size = shape[rank];
    expect(size <= 1 || got == stride, a.name, " has stride ", got, " in dimension ", rank, ", expected ",
           stride, " (dense, row-major)");
    const bool fits = !__builtin_mul_overflow(stride, size, &stride);
    expect(fits, a.name, " ", shape, " has more elements than 64-bit sizes count");
  }
  expect(data != nullptr || shape.count() == 0, a.name, " ", shape, " has no data");
  const std::uintptr_t off = reinterpret_cast<std::uintptr_t>(data) % 16;
  expect(device.kind == Device::Kind::kCpu || off == 0, a.name, " lies ", off,
         " bytes past a multiple of 16, expected a multiple of 16 on a GPU");
}

void check_dropout(const Call& call, const RnnConfig& c, std::int64_t n, const DropoutArgs& drop) {
  const std::int64_t pairs = c.num_layers * num_directions(c);
  const Size groups{"Gm", c.gate_masks == GateMasks::kPerGate ? num_gates(c.cell) : 1}, rows{"N", n};
  const Size width{"W", layer_input_size(c, 1)};
  const bool once = c.layer_masks == LayerMasks::kPerSequence;
  using Masks = std::span<const ConstTensorView>;
  struct Rate {
    const char* name;
    double value;
  };
  const auto each = [&](const char* name, Masks masks, Rate rate, std::int64_t count, auto&& form_of) {
    const bool announced = masks.empty() || rate.value > 0;
    call.expect(announced, name, " has ", masks.size(), " views, expected none since RnnConfig's ", rate.name,
                " is 0");
    const bool right = masks.empty() || std::ssize(masks) == count;
    call.expect(right, name, " has ", masks.size(), " views, expected none or ", count);
    for (std::int64_t i = 0; const ConstTensorView& mask : masks) call.check({name, mask}, form_of(i++));
  };
  each("dropout.input_masks", drop.input_masks, {"dropout", c.dropout}, pairs, [&](std::int64_t i) {
    return Form{{groups, rows, {"in", layer_input_size(c, i / num_directions(c))}}};
  });
  each("dropout.recurrent_masks", drop.recurrent_masks, {"recurrent_dropout", c.recurrent_dropout}, pairs,
       [&](std::int64_t) {
         return Form{{groups, rows, call.state_width()}};
       });
  each("dropout.zoneout_h_masks", drop.zoneout_h_masks, {"zoneout_h", c.zoneout_h}, pairs,
       [&](std::int64_t) { return call.sequence(call.state_width()); });
  each("dropout.zoneout_c_masks", drop.zoneout_c_masks, {"zoneout_c", c.zoneout_c}, pairs, [&](std::int64_t) {
    return call.sequence({"H", c.hidden_size});
  });
  each("dropout.dropconnect_masks", drop.dropconnect_masks, {"dropconnect", c.dropconnect}, pairs,
       [&](std::int64_t) {
         return Form{{{"G*H", num_gates(c.cell) * c.hidden_size}, call.state_width()}};
       });
  each("dropout.layer_masks", drop.layer_masks, {"layer_dropout", c.layer_dropout}, c.num_layers - 1,
       [&](std::int64_t) {
         return once ? Form{{rows, width}} : call.sequence(width);
       });
}

void check_weights(const Call& call, const Plan& plan, bool training, const Packed* weights) {
  call.expect(weights != nullptr, "weights are empty, expected the result of Plan::pack");
  const RnnConfig &have = weights->config, &want = plan.config();
  if (have != want) {
    const std::string names = to_string(have), expected = to_string(want);
    const char* more = names == expected ? ", which differs in an option that this does not name" : "";
    call.expect(false, "weights were packed for ", names, ", expected ", expected, more);
  }
  const Device on = weights->device, device = plan.options().device;
  call.expect(on == device, "weights were packed for ", on, ", expected ", device);
  call.expect(!training || weights->phase == Phase::kTraining,
              "weights were packed by an inference plan, expected a plan made for Phase::kTraining");
}

void check_state(const char* name, const RnnConfig& c, std::int64_t n, const State& state) {
  Call call(name, c, {}, {kAny, n});
  const ConstTensorView cell = state.c();
  call.states({"state.h", state.h()}, {"state.c", cell});
  call.expect(!cell.absent() || c.cell != Cell::kLstm, "the state has no c, expected that of an LSTM");
}

// Rows of a state with `count` of them.
void check_rows(const Call& call, const ConstTensorView& rows, std::int64_t count) {
  const bool narrow = rows.dtype == DType::kI32;
  call.expect(narrow || rows.dtype == DType::kI64, "rows is ", rows.dtype, ", expected i32 or i64");
  call.check({"rows", rows}, {{{"n", kAny}}}, rows.dtype, Device{});
  for (std::int64_t i = 0; i < rows.shape[0]; ++i) {
    const std::int64_t row = index_at(rows, i);
    call.expect(row >= 0 && row < count, "rows[", i, "] is ", row, ", expected 0 to ", count - 1);
  }
}

CallSizes sizes_of(const RnnConfig& c, const Shape& x) {
  return c.layout == Layout::kTimeMajor ? CallSizes{x[0], x[1]} : CallSizes{x[1], x[0]};
}

CallSizes check_x(const RnnConfig& c, Device device, const ConstTensorView& x) {
  const Call call("forward", c, device);
  call.check({"x", x}, call.input());
  const CallSizes sizes = sizes_of(c, x.shape);
  call.expect(sizes.t >= 1, "x has shape ", x.shape, ", T is 0, expected at least 1");
  return sizes;
}

}  // namespace

void validate_parameters(const char* call, const RnnConfig& c, Device device, const ConstTensorView& view) {
  const Call checks(call, c, device);
  checks.check({"parameters", view}, checks.parameters());
}

CallSizes validate_sequence(const RnnConfig& c, const ConstTensorView& x, const ForwardOptions& o) {
  const CallSizes sizes = check_x(c, {}, x);
  if (o.state == nullptr) return sizes;
  const bool alone = o.h0.absent() && o.c0.absent();
  require(alone, "forward: h0 or c0 was given with a state, expected one of the two");
  if (!std::as_const(*o.state).h().absent()) check_state("forward", c, sizes.n, *o.state);
  return sizes;
}

CallSizes validate_forward(const Plan& plan, const Packed* weights, const ForwardArgs& a,
                           const std::span<std::byte>* tape) {
  const RnnConfig& c = plan.config();
  const PlanOptions& o = plan.options();
  const CallSizes sizes = check_x(c, o.device, a.x);
  Call call("forward", c, o.device, sizes);
  call.expect(sizes.t <= o.max_t && sizes.n <= o.max_n, "x has T=", sizes.t, ", N=", sizes.n,
              ", expected at most the plan's max_t=", o.max_t, ", max_n=", o.max_n);
  const bool tapes = a.tape == nullptr || o.phase == Phase::kTraining;
  call.expect(tapes, "a tape was given, expected a plan made for Phase::kTraining");
  call.array({"x", a.x}, call.input());
  call.states({"h0", a.h0}, {"c0", a.c0});
  call.lengths(a.lengths);
  call.flags("mask", a.mask);
  call.flags("resets", a.resets);
  call.expect(a.resets.absent() || o.resets,
              "resets was given, expected a plan made with PlanOptions::resets");
  const bool whole = a.lengths.absent() && a.mask.absent();
  call.expect(whole || o.ragged || o.resets, a.mask.absent() ? "lengths" : "mask",
              " was given, expected a plan made with PlanOptions::ragged");
  call.outputs({"y", a.y, Use::kWritten}, {"y_reverse", a.y_reverse, Use::kWritten});
  call.states({"h_n", a.h_n, Use::kWritten, "h0"}, {"c_n", a.c_n, Use::kWritten, "c0"});
  call.cell_sequence({"c", a.c, Use::kWritten});
  call.memory("workspace", a.workspace, plan.workspace_bytes());
  check_weights(call, plan, a.tape != nullptr, weights);
  if (a.tape == nullptr) return sizes;
  check_dropout(call, c, sizes.n, a.dropout);
  if (tape != nullptr) call.memory("tape", *tape, plan.tape_bytes());
  return sizes;
}

CallSizes validate_backward(const Plan& plan, const ForwardArgs& recorded, const BackwardArgs& a,
                            std::span<const std::byte> tape) {
  const RnnConfig& c = plan.config();
  const CallSizes sizes = sizes_of(c, recorded.x.shape);
  Call call("backward", c, plan.options().device, sizes);
  call.array({"x", recorded.x}, call.input());
  call.outputs({"y", recorded.y}, {"y_reverse", recorded.y_reverse});
  call.outputs({"dy", a.dy}, {"dy_reverse", a.dy_reverse});
  call.states({"dh_n", a.dh_n}, {"dc_n", a.dc_n});
  call.cell_sequence({"dc", a.dc});
  call.array({"dx", a.dx, Use::kWritten}, call.input());
  call.states({"dh0", a.dh0, Use::kWritten, "dh_n"}, {"dc0", a.dc0, Use::kWritten, "dc_n"});
  call.array({"dparameters", a.dparameters, Use::kWritten}, call.parameters());
  call.memory("workspace", a.workspace, plan.workspace_bytes());
  call.memory("tape", tape, plan.tape_bytes());
  return sizes;
}

void validate_tape(const TapeFacts& tape) {
  require(tape.exists, "tape: was moved from, expected one that is whole");
  require(tape.fixed,
          "forward: the tape owns its memory, expected one made with the caller's "
          "(Plan::tape_bytes), since the plan has a stream and memory that grows is not ordered on it");
  require(tape.recorded, "backward: the tape is empty, expected one that a forward pass was given");
  require(tape.unused, "backward: the tape was used by an earlier backward pass, expected a fresh forward");
  require(tape.same_plan, "backward: the tape was recorded by another network or plan, expected this one's");
  require(tape.same_weights, "backward: the parameters changed, expected those of the tape's forward pass");
}

void validate_step(const RnnConfig& c, const ConstTensorView& x, const State& state,
                   const ConstTensorView& rows) {
  const Call call("step", c, {});
  call.expect(c.direction == Direction::kForward, "the network is ", c.direction,
              ", expected forward: the future is not known yet");
  const ConstTensorView h = state.h();
  call.expect(!h.absent(), "the state is empty, expected one from make_state");
  check_state("step", c, h.shape[1], state);
  const std::int64_t n = rows.absent() ? h.shape[1] : rows.shape[0];
  if (!rows.absent()) check_rows(call, rows, h.shape[1]);
  call.check({"x_t", x}, {{{"N", n}, {"I", c.input_size}}});
}

void validate_once(std::int64_t row, bool first) {
  require(first, "step: rows has row ", row, " twice, expected each at most once");
}

void validate_row(std::int64_t row, std::int64_t rows) {
  require(row >= 0 && row < rows, "reset_row: row is ", row, ", expected 0 to ", rows - 1);
}

}  // namespace rondo
