// Backends that are shared objects of their own, opened at run time. They are never unloaded.
#pragma once

#include "core/backend.h"

namespace rondo {

struct ModuleName {
  const char* file;  // "librondo_cuda.so"
  const char* name;  // "CUDA", for sentences
  Device::Kind kind;
};
struct OpenedModule {
  std::unique_ptr<Backend> backend;
  std::string reason;  // when there is none, in a sentence
};

// From the directory of RONDO_BACKEND_DIR, or else from rondo/ beside the library that this is part of.
OpenedModule open_module(const ModuleName& module) noexcept;

}  // namespace rondo
