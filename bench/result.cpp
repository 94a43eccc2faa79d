// A measurement as one line of JSON.
#include "bench/result.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace bench {
namespace {

// Three digits after the point are a nanosecond, below what a clock tells apart.
double rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace

std::string json_line(const ShapeOptions& options, const Timing& timing, const Runner& runner) {
  nlohmann::ordered_json line;
  line["engine"] = runner.engine;
  line["cell"] = options.cell;
  line["phase"] = options.phase;
  line["t"] = options.t;
  line["n"] = options.n;
  line["i"] = options.i;
  line["h"] = options.h;
  line["layers"] = options.layers;
  line["bidirectional"] = options.bidirectional;
  line["dtype"] = options.dtype;
  line["math"] = options.math;
  line["median_us"] = rounded(timing.median_us);
  line["min_us"] = rounded(timing.min_us);
  line["samples"] = timing.samples;
  line["gflops"] = rounded(flops(options) / timing.median_us / 1000);
  line["device"] = runner.device;
  line["device_name"] = runner.device_name;
  line["isa"] = runner.isa;
  line["threads"] = runner.threads;
  if (!runner.path.empty()) line["path"] = runner.path;
  if (!runner.run.empty()) line["run"] = runner.run;
  line["graph"] = options.graph;
  const std::string runs = std::to_string(timing.runs_per_sample);
  line["sample"] = runs + (runs == "1" ? " run" : " runs") + (runner.waits ? " and one synchronisation" : "");
  return line.dump();
}

}  // namespace bench
