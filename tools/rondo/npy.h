// NPY, NumPy's format of one array: a strict reader and a writer of versions 1 to 3.
//
// Not by xtensor's reader: it takes the lengths in the file at their word and allocates them before it looks
// whether the bytes are there, and its regular expressions recurse on a header's length.
#pragma once

#include <string>
#include <string_view>

#include "array.h"

namespace cli {

// FileError unless the path is that of a regular file: a pipe has no size that its contents could be held to.
void check_regular(const std::string& path);
// Whether the file begins with these characters.
bool starts_with(const std::string& path, const std::string& characters);
// The whole file in memory. FileError unless it is a regular file that can be read.
std::vector<std::byte> read_file(const std::string& path);

// The array in `bytes`, which have to end with it. path and place are for messages.
Array parse_npy(std::vector<std::byte> bytes, const std::string& path, const std::string& place);
Array read_npy(const std::string& path);

// The bytes of an NPY file up to its data.
std::string npy_header(rondo::DType dtype, const rondo::Shape& shape);

}  // namespace cli
