// A module that is linked to a library which is not there when it is opened.
#include "tests/modules/fake_backend.h"

extern "C" int rondo_vendor_version();

namespace {
std::unique_ptr<rondo::Backend> made() {
  return rondo_vendor_version() > 0 ? std::make_unique<fake::FakeBackend>() : nullptr;
}
}  // namespace

RONDO_BACKEND_MODULE(made())
