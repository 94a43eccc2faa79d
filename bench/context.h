// The facts of a machine and of a run, as a file of results begins with them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/write_file.h"
#include "rondo/rondo.h"

namespace bench {

// The first GPU that can be used, or why there is none, in a sentence.
struct Gpu {
  std::optional<rondo::DeviceInfo> info;
  std::string reason;
};
Gpu find_gpu();

// Google Benchmark's facts of the machine, without its name, and those of this project: format, engine, cpu,
// isa, threads, blas, gpu, no_gpu, driver, cuda, cudnn, commit (RONDO_COMMIT in the environment), date,
// calibration.
Json run_context(const Gpu& gpu);
Json json_of(const Limits& limits);

}  // namespace bench
