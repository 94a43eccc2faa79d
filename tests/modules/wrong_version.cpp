// A module of another version of rondo.
#include "tests/modules/fake_backend.h"

#undef RONDO_VERSION
#define RONDO_VERSION "0.0.9"
RONDO_BACKEND_MODULE(fake::must_not_be_called())
