// Every check of an argument. Nothing else throws InvalidArgument; nothing is written before they pass.
#pragma once

#include "core/backend.h"
#include "rondo/calibration.h"
#include "rondo/rnn.h"

namespace rondo {

// An element of an array of i32 or i64.
inline std::int64_t index_at(const ConstTensorView& view, std::int64_t i) {
  return view.dtype == DType::kI32 ? static_cast<const std::int32_t*>(view.data)[i]
                                   : static_cast<const std::int64_t*>(view.data)[i];
}

// A message out of its parts: texts, numbers, and all that has a to_string.
inline std::string to_string(std::string text) { return text; }
template <class... Parts>
std::string message(const Parts&... parts) {
  using rondo::to_string, std::to_string;
  return (std::string() + ... + to_string(parts));
}
[[noreturn]] void refuse(const std::string& message);
// For the two files of checks: InvalidArgument with the message of these parts unless ok.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) refuse(message(parts...));
}

// validate_config.cpp: what is known before a call.
void validate_least(const char* where, const char* name, std::int64_t value, std::int64_t least);
void validate_config(const RnnConfig& config);
void validate_plan(const RnnConfig& config, const PlanOptions& options);
void validate_rank(std::size_t rank);
void validate_sizes(const char* what, const Shape& shape, std::int64_t bytes_each);  // >= 0, and countable
void validate_calibration(const char* where, const Calibration& calibration);
DeviceChoice parse_device_text(const char* where, const std::string& text);
const ParameterInfo& find_parameter(const std::vector<ParameterInfo>& layout, const std::string& name);

// validate_call.cpp: the arguments of one call.
struct CallSizes {
  std::int64_t t, n;
};
struct TapeFacts {
  bool exists = true, fixed = true, recorded = true, unused = true, same_plan = true, same_weights = true;
};
void validate_tape(const TapeFacts& tape);
void validate_parameters(const char* call, const RnnConfig&, Device, const ConstTensorView& parameters);
CallSizes validate_sequence(const RnnConfig& config, const ConstTensorView& x, const ForwardOptions& options);
// tape: the caller's memory for one; null when there is none or it has its own.
CallSizes validate_forward(const Plan& plan, const Packed* weights, const ForwardArgs& args,
                           const std::span<std::byte>* tape);
CallSizes validate_backward(const Plan& plan, const ForwardArgs& recorded, const BackwardArgs& args,
                            std::span<const std::byte> tape);
// rows: absent where all of the state take part. That no row is there twice is left to the call.
void validate_step(const RnnConfig& config, const ConstTensorView& x_t, const State& state,
                   const ConstTensorView& rows = {});
// Whether these are for certain what a step takes, by comparisons alone; else validate_step looks closer.
inline bool plainly_fit_a_step(const RnnConfig& c, const ConstTensorView& x_t, const Tensor& h,
                               const Tensor& cell) {
  const auto fits = [&](const Tensor& states, std::int64_t width) {
    const Shape& shape = states.shape();
    return !states.absent() && states.dtype() == c.dtype && shape[0] == c.num_layers &&
           shape[1] == x_t.shape[0] && shape[2] == width;
  };
  return x_t.data != nullptr && x_t.dtype == c.dtype && x_t.device == Device{} && x_t.shape.rank() == 2 &&
         x_t.shape[1] == c.input_size && x_t.strides[0] == x_t.shape[1] && x_t.strides[1] == 1 &&
         c.direction == Direction::kForward && fits(h, state_size(c)) &&
         (c.cell == Cell::kLstm ? fits(cell, c.hidden_size) : cell.absent());
}
// Whether x_t shares no memory with the states of its rows, [L, n, width] each; null: there is none.
inline bool apart_from_states(const RnnConfig& c, const ConstTensorView& x_t, const void* h,
                              const void* cell) {
  const std::int64_t bytes = x_t.shape[0] * element_bytes(c.dtype);
  const auto at = [](const void* data) { return reinterpret_cast<std::intptr_t>(data); };
  const auto from = [&](const void* states, std::int64_t width) {
    return states == nullptr || at(x_t.data) >= at(states) + c.num_layers * width * bytes ||
           at(states) >= at(x_t.data) + c.input_size * bytes;
  };
  return from(h, state_size(c)) && from(cell, c.hidden_size);
}
void validate_once(std::int64_t row, bool first);  // rows of a step
void validate_row(std::int64_t row, std::int64_t rows);

}  // namespace rondo
