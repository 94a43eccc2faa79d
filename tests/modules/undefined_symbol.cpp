// A module with a symbol that no library has.
#include "tests/modules/fake_backend.h"

extern "C" int rondo_nowhere();

namespace {
std::unique_ptr<rondo::Backend> made() {
  return rondo_nowhere() > 0 ? std::make_unique<fake::FakeBackend>() : nullptr;
}
}  // namespace

RONDO_BACKEND_MODULE(made())
