// safetensors: eight bytes of length, a JSON header, the elements.
#pragma once

#include <map>
#include <string>

#include "array.h"

namespace cli {

// The tensors whose names `wanted` accepts; these have to be F32 or F64. FileError for what is damaged: the
// header has to account for every byte of the data, once.
std::map<std::string, Array> read_safetensors(const std::string& path,
                                              bool (*wanted)(const std::string& name));

}  // namespace cli
