// A libcudnn that knows its version and nothing else.
#include <cstddef>

extern "C" __attribute__((visibility("default"))) std::size_t cudnnGetVersion() { return FAKE_VERSION; }
