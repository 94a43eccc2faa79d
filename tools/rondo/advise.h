// rondo advise: predicted times on each device, the choice, and where it would flip.
#pragma once

#include <cstdint>
#include <string>

namespace cli {

struct AdviseOptions {
  std::string cell = "lstm", phase = "inference", dtype = "f32";
  std::int64_t t = 100, n = 1, i = 128, h = 128, layers = 1;
  bool bidirectional = false;
};

void print_advice(const AdviseOptions& options);

}  // namespace cli
