// Rounds of rows that are about Rondo itself. Each function adds its runners to the row and says false when
// it was stopped.
#pragma once

#include <string>

#include "bench/bars/effort.h"
#include "bench/bars/record.h"

namespace bench::bars {

// An option and the plain cell in turn, on one thread: "option" and "plain".
bool time_option(Row& row, const std::string& option, const Effort& effort, const Stopped& stopped);
// Likewise rows of different lengths and the full batch: "ragged", and "full batch, valid share", the time of
// the full batch times the share of its steps that the lengths leave.
bool time_ragged(Row& row, const Effort& effort, const Stopped& stopped);
// Many calls of Rnn::step, each timed by itself: "median" and "p99.9".
bool time_calls(Row& row, const Effort& effort, const Stopped& stopped);
// New processes on all threads: "plan" and "first call", in microseconds.
bool time_start(Row& row, const Effort& effort, const Stopped& stopped);
// New processes on one thread: "rondo MB" and "pytorch MB".
bool measure_memory(Row& row, const Effort& effort, const Stopped& stopped);

}  // namespace bench::bars
