// Process-wide settings that the public functions of device.h write and backends read.
#pragma once

#include "rondo/device.h"

namespace rondo {

Executor* executor();  // null: the library's own threads
bool blas_single_threaded();
bool division_trials();
int available_cpus();  // of the affinity mask and the cgroup's quota, at least 1

}  // namespace rondo
