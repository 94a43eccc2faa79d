// A module whose factory throws an exception of the library.
#include "core/backend.h"

namespace {
std::unique_ptr<rondo::Backend> broken() {
  throw rondo::DeviceError("fake: initialise: the driver answers 999");
}
}  // namespace

RONDO_BACKEND_MODULE(broken())
