// ONNX Runtime's C interface, as much of it as its peer calls, out of the library alone: the package that has
// the library has no header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace bench::ort {

// Objects of the library's own.
struct Status;
struct Env;
struct SessionOptions;
struct Session;
struct Value;
struct Allocator;
struct TensorInfo;
struct TypeInfo;
struct IoBinding;
struct Attribute;
struct ValueInfo;
struct Node;
struct Graph;
struct Model;

enum ElementType : int { kFloat = 1, kInt64 = 7 };
enum AttributeType : int { kOfInt = 1, kOfInts = 2, kOfString = 5 };

template <class T>
using Make = Status* (*)(T**);
template <class T>
using Release = void (*)(T*);

// The interface is two tables of functions that grow at their ends alone, so that each has its position for
// good.
struct Functions {
  const char* (*error_message)(const Status*);
  Release<Status> release_status;

  Status* (*create_env)(int log_level, const char* name, Env**);
  Release<Env> release_env;
  Make<SessionOptions> create_session_options;
  Release<SessionOptions> release_session_options;
  Status* (*set_execution_mode)(SessionOptions*, int mode);
  Status* (*enable_arena)(SessionOptions*);
  Status* (*set_optimization_level)(SessionOptions*, int level);
  Status* (*set_intra_op_threads)(SessionOptions*, int);
  Status* (*set_inter_op_threads)(SessionOptions*, int);
  Release<Session> release_session;

  Status* (*default_allocator)(Allocator**);  // which stays the library's
  Status* (*create_value)(Allocator*, const std::int64_t* shape, std::size_t rank, ElementType, Value**);
  Status* (*data_of)(Value*, void**);
  Release<Value> release_value;
  Status* (*create_binding)(Session*, IoBinding**);
  Release<IoBinding> release_binding;
  Status* (*bind_input)(IoBinding*, const char* name, const Value*);
  Status* (*bind_output)(IoBinding*, const char* name, const Value*);
  Status* (*run)(Session*, const void* options, const IoBinding*);

  Make<TensorInfo> create_tensor_info;
  Release<TensorInfo> release_tensor_info;
  Status* (*set_element_type)(TensorInfo*, ElementType);
  Status* (*set_dimensions)(TensorInfo*, const std::int64_t* shape, std::size_t rank);
  Release<TypeInfo> release_type_info;
  Status* (*create_attribute)(const char* name, const void* data, int count, AttributeType, Attribute**);
  Release<Attribute> release_attribute;
  Release<ValueInfo> release_value_info;
  Release<Node> release_node;
  Release<Graph> release_graph;
  Release<Model> release_model;

  // Of the second table. A set_ or add_ takes what it is given, a create_node its attributes.
  Status* (*create_tensor_type)(const TensorInfo*, TypeInfo**);
  Status* (*create_value_info)(const char* name, const TypeInfo*, ValueInfo**);
  Status* (*create_node)(const char* op, const char* domain, const char* name, const char* const* inputs,
                         std::size_t input_count, const char* const* outputs, std::size_t output_count,
                         Attribute** attributes, std::size_t attribute_count, Node**);
  Make<Graph> create_graph;
  Status* (*set_graph_inputs)(Graph*, ValueInfo**, std::size_t count);
  Status* (*set_graph_outputs)(Graph*, ValueInfo**, std::size_t count);
  Status* (*add_initializer)(Graph*, const char* name, Value*, bool data_is_elsewhere);
  Status* (*add_node)(Graph*, Node*);
  Status* (*create_model)(const char* const* domains, const int* opsets, std::size_t count, Model**);
  Status* (*add_graph)(Model*, Graph*);
  Status* (*create_session)(const Env*, const Model*, const SessionOptions*, Session**);
};

template <class T>
using Owned = std::unique_ptr<T, Release<T>>;

class Library {
 public:
  // Stays open until the program ends. Throws where it is not one, or is older than 1.22, which brought
  // models that are made by calls.
  explicit Library(const std::string& path);

  const std::string& version() const { return version_; }
  const Functions* operator->() const { return &functions_; }
  const Env* env() const { return env_.get(); }

  // Throws the library's own words.
  void check(Status* status) const;
  // What a function makes by its last argument.
  template <class T, class... Parameters, class... Arguments>
  Owned<T> make(Release<T> release, Status* (*function)(Parameters...), Arguments... arguments) const {
    T* made = nullptr;
    check(function(arguments..., &made));
    return Owned<T>(made, release);
  }

 private:
  Functions functions_ = {};
  std::string version_;
  Owned<Env> env_{nullptr, nullptr};
};

// That which RONDO_ONNXRUNTIME names, else the one that tools/install-peers installed. Throws where there is
// none.
std::string library_path();

}  // namespace bench::ort
