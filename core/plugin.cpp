// Opens a backend's module: where it lies, whether it belongs to this library, and why it is refused.
#include "core/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "core/validate.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTheOther = ": install the module that came with this library";

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw DeviceError(message(parts...));
}

// Always absolute: a path without a directory, or a relative one, would depend on the current directory.
fs::path module_directory() {
  if (const char* text = secure_getenv("RONDO_BACKEND_DIR")) {
    if (fs::path(text).is_absolute()) return text;
    fail("RONDO_BACKEND_DIR is \"", text, "\", expected an absolute path such as /usr/lib/rondo: ",
         "give the whole path, or unset it to look beside the library");
  }
  Dl_info info{};
  // A function that is not exported: the address of another one may be a stub in the program.
  const bool known = dladdr(reinterpret_cast<const void*>(&module_directory), &info) != 0;
  const fs::path library = known && info.dli_fname != nullptr ? info.dli_fname : "";
  if (library.is_absolute()) return library.parent_path() / "rondo";
  fail("the rondo library was loaded as \"", library.string(), "\", expected an absolute path: ",
       "set RONDO_BACKEND_DIR, or make the paths in LD_LIBRARY_PATH absolute");
}

void* open_file(const std::string& path) {
  if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) return handle;
  const char* text = dlerror();
  const std::string_view error = text != nullptr ? text : "dlopen does not say why";
  // The loader begins with the file at fault.
  if (error.starts_with(path)) fail(std::string(error), kTheOther);
  fail(path, " needs what cannot be loaded: ", std::string(error),
       ": install it, or add its directory to LD_LIBRARY_PATH");
}

void* find_symbol(void* handle, const std::string& path, const char* name) {
  if (void* symbol = dlsym(handle, name)) return symbol;
  fail(path, " has no symbol ", name, ", so it is no backend of rondo", kTheOther);
}

std::unique_ptr<Backend> made_by_module(const ModuleName& module) {
  const std::string path = module_directory() / module.file;
  std::error_code ignored;  // what cannot be looked at is for dlopen to explain
  if (fs::status(path, ignored).type() == fs::file_type::not_found) {
    fail("this installation has no ", module.name, " backend: ", path,
         " does not exist (RONDO_BACKEND_DIR names another directory)");
  }
  void* handle = open_file(path);
  const std::string stamp =
      static_cast<const char*>(find_symbol(handle, path, RONDO_TEXT_OF(RONDO_STAMP_SYMBOL)));
  if (stamp != RONDO_BUILD_STAMP) fail(path, " is of ", stamp, ", this is ", RONDO_BUILD_STAMP, kTheOther);
  const auto make = reinterpret_cast<decltype(&RONDO_FACTORY_SYMBOL)>(
      find_symbol(handle, path, RONDO_TEXT_OF(RONDO_FACTORY_SYMBOL)));
  std::unique_ptr<Backend> backend;
  try {
    backend.reset(make());
  } catch (const std::exception& error) {
    fail(path, " cannot start: ", std::string(error.what()));
  } catch (...) {
    fail(path, " cannot start and throws what is no std::exception", kTheOther);
  }
  if (backend == nullptr) fail(path, " made no backend and does not say why", kTheOther);
  if (backend->kind() == module.kind) return backend;
  const Device got{backend->kind(), 0}, expected{module.kind, 0};
  fail(path, " is a backend for ", got, ", expected one for ", expected, kTheOther);
}

}  // namespace

OpenedModule open_module(const ModuleName& module) noexcept try {
  // A module brings the shared library: a second registry, and exceptions of other types.
  if (RONDO_SHARED == 0) {
    fail("this program links rondo statically; the ", module.name,
         " backend needs the shared library: link librondo.so instead");
  }
  return {made_by_module(module), ""};
} catch (const std::exception& error) {
  return {nullptr, error.what()};
}

}  // namespace rondo
