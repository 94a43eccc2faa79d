// cuDNN as the tests call it, without a GPU, and what its refusals say.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "cuda/cudnn_descriptors.h"

namespace rondo::testing {

inline const cuda::Cudnn& cudnn() {
  static const cuda::Cudnn opened{cuda::CudnnLibrary::opened(), 0};
  return opened;
}

// A function of cuDNN that only tests call.
template <class Function>
Function* find_function(Function*, const char* name) {
  static void* const library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<Function*>(library != nullptr ? dlsym(library, name) : nullptr);
}

// The text of what the call throws.
template <class Error, class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

inline void expect_parts(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
  }
}

}  // namespace rondo::testing
