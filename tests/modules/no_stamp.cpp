// A module without a stamp.
#include "tests/modules/fake_backend.h"

rondo::Backend* RONDO_FACTORY_SYMBOL() { return fake::must_not_be_called().release(); }
