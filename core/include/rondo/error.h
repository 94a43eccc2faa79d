// The exceptions of the library. Each is thrown before any output is written, unless it says so.
#pragma once

#include <stdexcept>

#include "rondo/types.h"

namespace rondo {

// The caller's mistake. The message names the argument, what was got and what was expected:
// "forward: h0 has shape [1, 8, 32], expected [L*D=1, N=8, H=64]".
class RONDO_API InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// The environment: a device that is missing, full or broken. The message names the backend,
// the call that failed and the vendor's text.
class RONDO_API DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace rondo
