// A module by a compiler with another C++ ABI.
#include "tests/modules/fake_backend.h"

#undef RONDO_TEXT_OF
#define RONDO_TEXT_OF(name) "7"
RONDO_BACKEND_MODULE(fake::must_not_be_called())
