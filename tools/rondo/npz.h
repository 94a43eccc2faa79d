// NPZ, a zip file of NPY files, by libzip.
#pragma once

#include <map>
#include <string>

#include "array.h"

namespace cli {

// The arrays whose names `wanted` accepts, without their .npy. What compressed members may hold together is
// capped: the larger of 64 MiB and 100 times the file. FileError for what is damaged, or takes more.
std::map<std::string, Array> read_npz(const std::string& path, bool (*wanted)(const std::string& name));

// Written beside the path and renamed to it when complete: there is never half a file. Uncompressed, and the
// same bytes for the same results. WriteError.
void write_npz(const std::string& path, const Results& results);

}  // namespace cli
