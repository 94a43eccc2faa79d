// Many shapes by one process, which pays for its start and for a CUDA context once.
#pragma once

#include <iosfwd>

namespace bench {

// Reads rows, each the options of `rondo-bench shape` on a line, and prints for each, at once, the line of
// JSON that `shape` prints, or {"error": "..."}. A row that equals the one before finds everything ready.
// Empty lines are passed over.
void run_rows(std::istream& rows, std::ostream& results);

}  // namespace bench
