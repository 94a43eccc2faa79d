// What a process pays once: planning, the first call, memory.
#pragma once

#include <string>

#include "bench/shape_options.h"

namespace bench {

// A line of JSON, {"once": ..., "value": ...}, for options.once: of "plan" and "call" microseconds, of "memory"
// bytes. plan: making a Plan. call: an Rnn made and called, forward and in training backward, which finds
// devices, plans, packs and starts threads; true of a process that has run nothing before. memory: by how much
// the process's peak is above what it held before, once arrays, plan and two runs of make_workload have come on
// top; a tiny network has run before that.
std::string once_line(const ShapeOptions& options);

}  // namespace bench
