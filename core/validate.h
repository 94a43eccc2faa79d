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
// What steps of a network take, at hand in a few words.
struct StepForm {
  explicit StepForm(const RnnConfig& c)
      : dtype(c.dtype),
        forward(c.direction == Direction::kForward),
        layers(c.num_layers),
        input(c.input_size),
        width(state_size(c)),
        cell_width(c.cell == Cell::kLstm ? c.hidden_size : 0),
        x_bytes(input * element_bytes(dtype)),
        h_bytes(layers * width * element_bytes(dtype)),
        c_bytes(layers * cell_width * element_bytes(dtype)) {}
  DType dtype;
  bool forward;
  std::int64_t layers, input, width;
  std::int64_t cell_width;                 // of c; 0: there is none
  std::int64_t x_bytes, h_bytes, c_bytes;  // of a row
};
// Whether these are for certain what a step takes, by comparisons alone; else validate_step looks closer.
inline bool plainly_fit_a_step(const StepForm& form, const ConstTensorView& x_t, const Tensor& h,
                               const Tensor& cell) {
  const auto fits = [&](const Tensor& states, std::int64_t width) {
    const Shape& shape = states.shape();
    return !states.absent() && states.dtype() == form.dtype && shape[0] == form.layers &&
           shape[1] == x_t.shape[0] && shape[2] == width;
  };
  return x_t.data != nullptr && x_t.dtype == form.dtype && x_t.device == Device{} && x_t.shape.rank() == 2 &&
         x_t.shape[1] == form.input && x_t.strides[0] == form.input && x_t.strides[1] == 1 && form.forward &&
         fits(h, form.width) && (form.cell_width > 0 ? fits(cell, form.cell_width) : cell.absent());
}
// Whether x_t shares no memory with the states of its rows, [L, n, width] each; c null: there is none.
inline bool apart_from_states(const StepForm& form, const ConstTensorView& x_t, const void* h,
                              const void* c) {
  const std::int64_t n = x_t.shape[0];
  const auto at = [](const void* data) { return reinterpret_cast<std::intptr_t>(data); };
  const auto from = [&](const void* states, std::int64_t bytes) {
    return at(x_t.data) >= at(states) + n * bytes || at(states) >= at(x_t.data) + n * form.x_bytes;
  };
  return from(h, form.h_bytes) && (c == nullptr || from(c, form.c_bytes));
}
void validate_once(std::int64_t row, bool first);  // rows of a step
void validate_row(std::int64_t row, std::int64_t rows);

}  // namespace rondo
