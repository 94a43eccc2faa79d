// CPU, GPU and the library's own choice between them, shape by shape.
#pragma once

#include <set>
#include <string>

namespace bench {

struct CompareOptions {
  std::set<std::string> shapes;  // names of kCompareShapes; empty: all
  int threads = 0;               // 0: as many as the library takes by itself
  std::string dtype = "f32";
  std::string json;  // a file for the results; empty: none
};

// Prints the table, and progress to stderr; writes the file anew after each shape.
void compare(const CompareOptions& options);

}  // namespace bench
