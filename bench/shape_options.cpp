// The command line that names one shape.
#include "bench/shape_options.h"

#include <CLI/CLI.hpp>

namespace bench {

void add_shape_options(CLI::App& app, ShapeOptions& options) {
  const CLI::Range size(std::int64_t{1}, std::int64_t{1} << 31, "a whole number of at least 1");
  app.add_option("--cell", options.cell, "lstm, gru (reset_after) or rnn (tanh)")
      ->check(CLI::IsMember({"lstm", "gru", "rnn"}));
  app.add_option("--t", options.t, "steps")->check(size);
  app.add_option("--n", options.n, "rows of the batch")->check(size);
  app.add_option("--i", options.i, "input size")->check(size);
  app.add_option("--h", options.h, "hidden size")->check(size);
  app.add_option("--layers", options.layers, "layers")->check(size);
  app.add_flag("--bidirectional", options.bidirectional, "both directions, concatenated");
  app.add_option("--phase", options.phase,
                 "inference: forward over T steps; training: forward and all gradients; "
                 "step: T steps, one call each")
      ->check(CLI::IsMember({"inference", "training", "step"}));
  app.add_flag("--brief", options.brief, "samples for 0.15 s instead of 0.5 s, for rows that are repeated");
  app.add_option("--seconds", options.seconds, "samples for so long instead")
      ->check(CLI::Range(0.001, 600.0));
  app.add_option(
         "--once", options.once,
         "instead of times, in a process that has run nothing: plan or call, the microseconds of making "
         "a plan or of the first call; memory, the bytes by which it grows")
      ->check(CLI::IsMember({"plan", "call", "memory"}));
  add_run_options(app, options);
  app.option_defaults()->always_capture_default();
}

void add_run_options(CLI::App& app, ShapeOptions& options) {
  app.add_option("--threads", options.threads, "threads")->check(CLI::Range(1, 4096));
  app.add_option("--device", options.device, "cpu, cuda, cuda:N or auto");
  app.add_option("--dtype", options.dtype, "f32, f64, f16 or bf16")
      ->check(CLI::IsMember({"f32", "f64", "f16", "bf16"}));
  app.add_option("--math", options.math, "strict, or tf32: products of f32 in TF32 on a device that has it")
      ->check(CLI::IsMember({"strict", "tf32"}));
  app.add_flag("--graph", options.graph,
               "on a GPU: capture one run (of training: forward and backward) in a CUDA graph, time replays");
}

std::string row_text(const ShapeOptions& s) {
  std::string text = "--cell " + s.cell;
  for (const auto& [name, size] :
       {std::pair{"t", s.t}, {"n", s.n}, {"i", s.i}, {"h", s.h}, {"layers", s.layers}}) {
    text += std::string(" --") + name + " " + std::to_string(size);
  }
  return text + (s.bidirectional ? " --bidirectional" : "") + " --phase " + s.phase + " --dtype " + s.dtype +
         " --math " + s.math;
}

double flops(const ShapeOptions& options) {
  const double gates = options.cell == "lstm" ? 4 : options.cell == "gru" ? 3 : 1;
  const double directions = options.bidirectional ? 2 : 1;
  double inputs = 0;  // summed over layers
  for (std::int64_t layer = 0; layer < options.layers; ++layer) {
    const double h = static_cast<double>(options.h);
    inputs += h + (layer == 0 ? static_cast<double>(options.i) : directions * h);
  }
  const double forward = 2.0 * static_cast<double>(options.t) * static_cast<double>(options.n) * gates *
                         static_cast<double>(options.h) * inputs * directions;
  return options.phase == "training" ? 3 * forward : forward;
}

}  // namespace bench
