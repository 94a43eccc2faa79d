// A measurement as one line of JSON.
#pragma once

#include <string>

#include "bench/shape_options.h"
#include "bench/timing.h"

namespace bench {

// What ran the shape.
struct Runner {
  std::string engine;       // "rondo 0.1.0"
  std::string device;       // "cpu"
  std::string device_name;  // "AMD EPYC, 2 threads"
  std::string isa;          // "avx2"
  int threads = 1;
  std::string path = "";  // which kernels or library calls; "": the engine does not say
  std::string run = "";   // what one run is: "forward", "pack, forward, backward"
  bool waits = false;     // a sample ends with waiting for the device
};

std::string json_line(const ShapeOptions& options, const Timing& timing, const Runner& runner);

}  // namespace bench
