// What a Tape holds between a forward pass and its backward.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/backend.h"
#include "core/memory.h"
#include "rondo/plan.h"

namespace rondo {

struct Tape::Record {
  bool owns = true;  // of `owned`, which grows; else `memory` is the caller's
  AlignedMemory owned;
  std::span<std::byte> memory;

  bool recorded = false, used = false;
  std::uint64_t plan = 0;                 // Plan's number
  std::shared_ptr<const void> awaited;    // the plan's, until backward
  std::shared_ptr<const Packed> weights;  // also kept alive
  std::int64_t t = 0, n = 0;
  ForwardArgs forward;                    // x, y and y_reverse are read in backward
};

}  // namespace rondo
