// What a Tape holds between a forward pass and its backward.
#pragma once

#include "core/device_memory.h"
#include "core/memory.h"

namespace rondo {

struct Tape::Record {
  bool owns = true;  // of `owned`, which grows; else `memory` is the caller's
  DeviceMemory owned;
  std::span<std::byte> memory;
  AlignedMemory host;                     // for a plan on another device
  DeviceMemory sent;                      // level one's copies there of what `forward` views
  std::weak_ptr<const void> plan;         // the one that recorded it
  std::shared_ptr<const void> awaited;    // the same, until backward
  std::shared_ptr<const Packed> weights;  // null: nothing is recorded
  ForwardArgs forward;                    // x, y and y_reverse are read in backward
};

}  // namespace rondo
