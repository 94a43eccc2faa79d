// A module that works.
#include "tests/modules/fake_backend.h"

RONDO_BACKEND_MODULE(std::make_unique<fake::FakeBackend>())
