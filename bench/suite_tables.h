// What a file of results says in words and in Markdown.
#pragma once

#include <string>

#include "bench/write_file.h"

namespace bench {

// Medians in microseconds, a line a row and a column a runner.
std::string markdown_table(const Json& results);

// A line each: auto beside the fastest device, a GPU beside the CPU, and each peer beside Rondo where the
// peer ran (geometric means).
std::string summary(const Json& results);

}  // namespace bench
