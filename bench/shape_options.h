// The command line that names one shape, the same for rondo-bench and for every peer beside it.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace bench {

struct ShapeOptions {
  std::string cell = "lstm";        // lstm, gru (reset_after), rnn (tanh)
  std::int64_t t = 100;             // steps
  std::int64_t n = 1;               // batch rows
  std::int64_t i = 128;             // input size
  std::int64_t h = 128;             // hidden size
  std::int64_t layers = 1;
  bool bidirectional = false;
  std::string phase = "inference";  // inference, training, step
  int threads = 1;
  std::string device = "cpu";       // cpu, cuda, cuda:N, auto
  std::string dtype = "f32";        // f32, f64, f16, bf16
  std::string math = "strict";      // strict, tf32
  bool graph = false;               // replays of one run, captured in a CUDA graph
  bool brief = false;               // samples for 0.15 s instead of 0.5 s
  double seconds = 0;               // samples for so long, by effort_of; 0: as brief says
  std::string once;                 // plan, call, memory: that of one run instead, see once.h; "": times
};

// Adds one option a field; values out of range or not in the list are errors that say what exists.
void add_shape_options(CLI::App& app, ShapeOptions& options);
// Those of them that are not about the shape: --threads, --device, --dtype, --math, --graph.
void add_run_options(CLI::App& app, ShapeOptions& options);

// The options above of a shape, as a row for a peer: --cell to --phase, --dtype and --math.
std::string row_text(const ShapeOptions& options);

// Floating-point operations of one run: 2 T N G H (I + H) a layer and direction, where the input of a
// later layer is the output of both directions; three times that for training.
double flops(const ShapeOptions& options);

}  // namespace bench
