// A module whose factory throws what is no exception of the standard library.
#include "core/backend.h"

namespace {
std::unique_ptr<rondo::Backend> broken() { throw 999; }
}  // namespace

RONDO_BACKEND_MODULE(broken())
