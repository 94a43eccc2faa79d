// Every option beside the plain cell, on the CPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/workload.h"

namespace bench {

std::vector<std::string> option_names(const std::string& cell);  // of lstm, gru or rnn

// Under this option lengths are these: uniform from a tenth of T to T, in any order.
inline constexpr const char* kRaggedOption = "ragged lengths";
std::vector<std::int64_t> ragged_lengths(std::int64_t t, std::int64_t n);

// Level two, in f32, with arrays of the host; "" is the plain cell by the same code. A call has as many steps
// as the option leaves of T: one in 20 is masked or reset, or lengths run from 3/4 or a tenth of T on.
std::unique_ptr<Workload> make_option_workload(const ShapeOptions& shape, const std::string& option);

}  // namespace bench
