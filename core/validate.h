// Every check of an argument. Nothing else throws InvalidArgument; nothing is written before they pass.
#pragma once

#include <cstdint>
#include <string>

#include "core/backend.h"
#include "rondo/parameters.h"

namespace rondo {

// validate_config.cpp: what is known before a call.
void validate_config(const RnnConfig& config);
void validate_plan(const RnnConfig& config, const PlanOptions& options);
void validate_rank(std::size_t rank);
void validate_sizes(const char* what, const Shape& shape, std::int64_t bytes_each);  // >= 0, and countable
DeviceChoice parse_device_text(const char* where, const std::string& text);
std::size_t find_parameter(const std::vector<ParameterInfo>& layout, const std::string& name);

// validate_call.cpp: the arguments of one pass.
struct CallSizes {
  std::int64_t t, n;
};
void validate_parameters(const char* call, const char* name, const RnnConfig& config, Device device,
                         const ConstTensorView& parameters);
CallSizes validate_input(const char* call, const RnnConfig& config, Device device, const ConstTensorView& x);
CallSizes validate_forward(const RnnConfig& config, const PlanOptions& options, std::size_t workspace_bytes,
                           const ForwardArgs& args);
void validate_backward(const RnnConfig& config, Device device, CallSizes sizes, std::size_t workspace_bytes,
                       const ForwardArgs& forward, const BackwardArgs& args);
void validate_weights(const char* call, const RnnConfig& config, Device device, Phase phase, const Packed* weights);
void validate_memory(const char* call, const char* name, std::span<const std::byte> memory, std::size_t bytes);
// What is wrong with a tape, if anything.
struct TapeFacts {
  bool exists, recorded, used, same_plan, same_weights;
};
void validate_tape(const TapeFacts& tape);
// The tape's memory shares nothing with what the call reads or writes.
void validate_tape_apart(const char* call, std::span<const std::byte> tape, const ForwardArgs& args);
void validate_tape_apart(const char* call, std::span<const std::byte> tape, const BackwardArgs& args);
void validate_step(const RnnConfig& config, const ConstTensorView& x_t, const ConstTensorView& h,
                   const ConstTensorView& c);
void validate_state(const char* call, const RnnConfig& config, std::int64_t n, const ConstTensorView& h,
                    const ConstTensorView& c);
void validate_one_state(const ConstTensorView& h0, const ConstTensorView& c0);
void validate_state_rows(std::int64_t rows);
void validate_row(std::int64_t row, std::int64_t rows);

}  // namespace rondo
