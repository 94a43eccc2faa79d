// rondo run and rondo grad: one pass of a network from files, its results as NPZ.
#pragma once

#include <string>

#include "model.h"

namespace cli {

// Paths; empty: not given.
struct PassOptions {
  ModelOptions model;
  std::string x, dy, h0, c0, lengths, mask, resets, dh_n, dc_n, out;
  std::string device;
};

// Both print a line that says what was computed, where, and what was written.
void run_forward(const PassOptions& options);   // y, h_n, c_n
void run_backward(const PassOptions& options);  // dx, dh0, dc0, and each parameter's gradient by its name

}  // namespace cli
