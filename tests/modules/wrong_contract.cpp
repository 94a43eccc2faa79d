// A module that was compiled against other headers of the same version.
#include "tests/modules/fake_backend.h"

#undef RONDO_CONTRACT
#define RONDO_CONTRACT "0123456789abcdef"
RONDO_BACKEND_MODULE(fake::must_not_be_called())
