// A module whose backend is for another kind of device than its name says.
#include "tests/modules/fake_backend.h"

RONDO_BACKEND_MODULE(std::make_unique<fake::FakeBackend>(rondo::Device::Kind::kCpu))
