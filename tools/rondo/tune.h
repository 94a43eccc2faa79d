// rondo tune: the cost model's coefficients for this machine, measured and kept.
#pragma once

namespace cli {

struct TuneOptions {
  double seconds = 20;
  bool show = false, reset = false;
};

// The exit status: 0; 130 after an interruption, with nothing stored.
int run_tune(const TuneOptions& options);

}  // namespace cli
