// A module whose factory returns nothing.
#include "core/backend.h"

RONDO_BACKEND_MODULE(nullptr)
