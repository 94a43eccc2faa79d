// The text of a DeviceError, for tests that link the shared library.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "rondo/error.h"

namespace rondo::testing {

// What the call throws; the type is the library's, though the module threw it.
template <class Call>
std::string device_error(const Call& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no DeviceError";
  return "";
}

}  // namespace rondo::testing
