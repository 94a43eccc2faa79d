// The library is opened, and its functions found by their positions.
#include "bench/peers/ort_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace bench::ort {
namespace {

// The first version with models that are made by calls.
constexpr std::uint32_t kVersion = 22;
constexpr int kLogErrors = 3;

// What OrtGetApiBase, the library's one symbol, returns.
struct Base {
  const void* const* (*table)(std::uint32_t version);
  const char* (*version)();
};

class Table {
 public:
  Table(const void* const* functions, const std::string& path) : functions_(functions), path_(path) {}
  template <class Function>
  void find(Function*& function, std::size_t position) const {
    function = reinterpret_cast<Function*>(const_cast<void*>(functions_[position]));
    if (function == nullptr) {
      throw std::runtime_error(path_ + " has no function at position " + std::to_string(position));
    }
  }

 private:
  const void* const* functions_;
  const std::string& path_;
};

// As onnxruntime_c_api.h counts the members of OrtApi and of OrtModelEditorApi.
void find_functions(const Table& table, Functions& f) {
  table.find(f.error_message, 2);
  table.find(f.create_env, 3);
  table.find(f.create_session_options, 10);
  table.find(f.set_execution_mode, 13);
  table.find(f.enable_arena, 18);
  table.find(f.set_optimization_level, 23);
  table.find(f.set_intra_op_threads, 24);
  table.find(f.set_inter_op_threads, 25);
  table.find(f.create_value, 48);
  table.find(f.data_of, 51);
  table.find(f.create_tensor_info, 57);
  table.find(f.set_element_type, 58);
  table.find(f.set_dimensions, 59);
  table.find(f.default_allocator, 78);
  table.find(f.release_env, 92);
  table.find(f.release_status, 93);
  table.find(f.release_session, 95);
  table.find(f.release_value, 96);
  table.find(f.release_type_info, 98);
  table.find(f.release_tensor_info, 99);
  table.find(f.release_session_options, 100);
  table.find(f.run, 133);
  table.find(f.create_binding, 134);
  table.find(f.release_binding, 135);
  table.find(f.bind_input, 136);
  table.find(f.bind_output, 137);
  table.find(f.create_attribute, 211);
  table.find(f.release_attribute, 212);
  table.find(f.release_value_info, 285);
  table.find(f.release_node, 286);
  table.find(f.release_graph, 287);
  table.find(f.release_model, 288);
}
void find_model_functions(const Table& table, Functions& f) {
  table.find(f.create_tensor_type, 0);
  table.find(f.create_value_info, 5);
  table.find(f.create_node, 6);
  table.find(f.create_graph, 7);
  table.find(f.set_graph_inputs, 8);
  table.find(f.set_graph_outputs, 9);
  table.find(f.add_initializer, 10);
  table.find(f.add_node, 11);
  table.find(f.create_model, 12);
  table.find(f.add_graph, 13);
  table.find(f.create_session, 14);
}
constexpr std::size_t kModelTable = 291;

}  // namespace

Library::Library(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  const auto base = reinterpret_cast<const Base* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (base == nullptr) throw std::runtime_error(path + " is no ONNX Runtime: it has no OrtGetApiBase");
  version_ = base()->version();
  const void* const* const functions = base()->table(kVersion);
  if (functions == nullptr) {
    throw std::runtime_error(path + " is ONNX Runtime " + version_ + ", expected 1." +
                             std::to_string(kVersion) + " or newer");
  }
  const Table table(functions, path);
  find_functions(table, functions_);
  const void* const* (*model_functions)() = nullptr;
  table.find(model_functions, kModelTable);
  const void* const* const of_models = model_functions();
  if (of_models == nullptr)
    throw std::runtime_error(path + " makes no models: it was built to run them alone");
  find_model_functions(Table(of_models, path), functions_);
  env_ = make(functions_.release_env, functions_.create_env, kLogErrors, "rondo-bench-ort");
}

void Library::check(Status* status) const {
  if (status == nullptr) return;
  const std::string message = functions_.error_message(status);
  functions_.release_status(status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

std::string library_path() {
  if (const char* named = std::getenv("RONDO_ONNXRUNTIME"); named != nullptr && *named != '\0') return named;
  const std::filesystem::path peers = RONDO_SOURCE "/.cache/peers/lib";
  std::error_code none;
  for (const auto& python : std::filesystem::directory_iterator(peers, none)) {
    const auto folder = python.path() / "site-packages/onnxruntime/capi";
    for (const auto& file : std::filesystem::directory_iterator(folder, none)) {
      if (file.path().filename().string().starts_with("libonnxruntime.so")) return file.path();
    }
  }
  throw std::runtime_error("there is no libonnxruntime.so in " + peers.string() +
                           "/python*/site-packages/onnxruntime/capi: tools/install-peers puts it there, and "
                           "RONDO_ONNXRUNTIME names another one");
}

}  // namespace bench::ort
