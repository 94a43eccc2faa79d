// A module with a stamp and no factory.
#include "core/backend.h"

const char RONDO_STAMP_SYMBOL[] = RONDO_BUILD_STAMP;
