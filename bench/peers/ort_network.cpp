// The model is made by calls, as no file and no protobuf.
#include "bench/peers/ort_network.h"

#include <algorithm>
#include <type_traits>

namespace bench::ort {
namespace {

using Dims = std::vector<std::int64_t>;
using Names = std::vector<std::string>;

constexpr int kSequential = 0;
constexpr int kAllOptimizations = 99;
constexpr int kOpset = 14;  // the operators of ONNX 1.9: any ONNX Runtime with this interface has them

Owned<Value> make_value(const Library& library, const Dims& shape, ElementType type) {
  Allocator* allocator = nullptr;
  library.check(library->default_allocator(&allocator));
  return library.make(library->release_value, library->create_value, allocator, shape.data(), shape.size(),
                      type);
}
template <class T>
T* data_of(const Library& library, Value* value) {
  void* data = nullptr;
  library.check(library->data_of(value, &data));
  return static_cast<T*>(data);
}

class Builder {
 public:
  explicit Builder(const Library& library)
      : library_(library), graph_(library.make(library->release_graph, library->create_graph)) {}

  template <class T>
  std::string initializer(const std::string& name, const std::vector<T>& values, const Dims& shape) {
    Owned<Value> value = make_value(library_, shape, std::is_same_v<T, float> ? kFloat : kInt64);
    std::copy(values.begin(), values.end(), data_of<T>(library_, value.get()));
    library_.check(library_->add_initializer(graph_.get(), name.c_str(), value.get(), false));
    value.release();
    return name;
  }

  void attribute(const char* name, std::int64_t value) { attribute(name, &value, 1, kOfInt); }
  void attribute(const char* name, const Dims& values) {
    attribute(name, values.data(), values.size(), kOfInts);
  }
  void attribute(const char* name, const std::string& text) {
    attribute(name, text.data(), text.size(), kOfString);
  }
  // With the attributes since the last one; the name of its output.
  std::string node(const char* op, const Names& inputs, const std::string& output) {
    std::vector<const char*> in;
    for (const std::string& input : inputs) in.push_back(input.c_str());
    const char* const out = output.c_str();
    std::vector<Attribute*> attributes;
    for (const auto& attribute : attributes_) attributes.push_back(attribute.get());
    Owned<Node> node = library_.make(library_->release_node, library_->create_node, op, "", out, in.data(),
                                     in.size(), &out, 1, attributes.data(), attributes.size());
    for (auto& attribute : attributes_) attribute.release();
    attributes_.clear();
    library_.check(library_->add_node(graph_.get(), node.get()));
    node.release();
    return output;
  }

  void input(const std::string& name, const Dims& shape) { add(library_->set_graph_inputs, name, shape); }
  void output(const std::string& name, const Dims& shape) { add(library_->set_graph_outputs, name, shape); }

  Owned<Session> session(int threads) {
    const char* const domain = "";
    const Owned<Model> model =
        library_.make(library_->release_model, library_->create_model, &domain, &kOpset, 1);
    library_.check(library_->add_graph(model.get(), graph_.get()));
    graph_.release();
    const auto options = library_.make(library_->release_session_options, library_->create_session_options);
    library_.check(library_->set_execution_mode(options.get(), kSequential));
    library_.check(library_->set_optimization_level(options.get(), kAllOptimizations));
    library_.check(library_->enable_arena(options.get()));
    library_.check(library_->set_intra_op_threads(options.get(), threads));
    library_.check(library_->set_inter_op_threads(options.get(), 1));
    return library_.make(library_->release_session, library_->create_session, library_.env(), model.get(),
                         options.get());
  }

 private:
  void attribute(const char* name, const void* data, std::size_t count, AttributeType type) {
    attributes_.push_back(library_.make(library_->release_attribute, library_->create_attribute, name, data,
                                        static_cast<int>(count), type));
  }
  void add(Status* (*set)(Graph*, ValueInfo**, std::size_t), const std::string& name, const Dims& shape) {
    const auto tensor = library_.make(library_->release_tensor_info, library_->create_tensor_info);
    library_.check(library_->set_element_type(tensor.get(), kFloat));
    library_.check(library_->set_dimensions(tensor.get(), shape.data(), shape.size()));
    const auto type = library_.make(library_->release_type_info, library_->create_tensor_type, tensor.get());
    auto info =
        library_.make(library_->release_value_info, library_->create_value_info, name.c_str(), type.get());
    ValueInfo* one = info.get();
    library_.check(set(graph_.get(), &one, 1));
    info.release();
  }

  const Library& library_;
  Owned<Graph> graph_;
  std::vector<Owned<Attribute>> attributes_;
};

struct Sizes {
  explicit Sizes(const ShapeOptions& o)
      : t(o.t),
        n(o.n),
        h(o.h),
        d(o.bidirectional ? 2 : 1),
        rows(o.h * (o.cell == "lstm"  ? 4
                    : o.cell == "gru" ? 3
                                      : 1)) {}
  std::int64_t t, n, h, d, rows;
};

std::string add_layer(Builder& builder, const ShapeOptions& options, std::size_t index, const std::string& x,
                      const LayerWeights& weights) {
  const Sizes s(options);
  const std::string k = std::to_string(index);
  const std::int64_t inputs = index == 0 ? options.i : s.d * s.h;
  const std::string w = builder.initializer("W" + k, weights.w, {s.d, s.rows, inputs});
  const std::string r = builder.initializer("R" + k, weights.r, {s.d, s.rows, s.h});
  const std::string b = builder.initializer("B" + k, weights.b, {s.d, 2 * s.rows});
  builder.attribute("hidden_size", s.h);
  builder.attribute("direction", std::string(s.d == 2 ? "bidirectional" : "forward"));
  if (options.cell == "gru") builder.attribute("linear_before_reset", std::int64_t{1});
  const char* const op = options.cell == "lstm" ? "LSTM" : options.cell == "gru" ? "GRU" : "RNN";
  return builder.node(op, {x, w, r, b}, "y" + k);
}

// [T, D, N, H] to [T, N, D * H].
std::string add_join(Builder& builder, const ShapeOptions& options, std::size_t index, std::string y) {
  const Sizes s(options);
  const std::string k = std::to_string(index);
  if (s.d > 1) {
    builder.attribute("perm", Dims{0, 2, 1, 3});
    y = builder.node("Transpose", {y}, "turned" + k);
  }
  const Dims shape{s.t, s.n, s.d * s.h};
  return builder.node("Reshape", {y, builder.initializer("shape" + k, shape, {3})}, "x" + k);
}

}  // namespace

Network::Network(const Library& library, const ShapeOptions& options,
                 const std::vector<LayerWeights>& weights)
    : library_(library) {
  const Sizes s(options);
  const Dims x_shape{s.t, s.n, options.i}, y_shape{s.t, s.d, s.n, s.h};
  Builder builder(library);
  builder.input("x", x_shape);
  std::string last = "x";
  for (std::size_t k = 0; k < weights.size(); ++k) {
    if (k > 0) last = add_join(builder, options, k, last);
    last = add_layer(builder, options, k, last, weights[k]);
  }
  builder.output(last, y_shape);
  session_ = builder.session(options.threads);

  x_value_ = make_value(library, x_shape, kFloat);
  y_value_ = make_value(library, y_shape, kFloat);
  x_ = {data_of<float>(library, x_value_.get()), static_cast<std::size_t>(s.t * s.n * options.i)};
  y_ = {data_of<float>(library, y_value_.get()), static_cast<std::size_t>(s.t * s.d * s.n * s.h)};
  binding_ = library.make(library->release_binding, library->create_binding, session_.get());
  library.check(library->bind_input(binding_.get(), "x", x_value_.get()));
  library.check(library->bind_output(binding_.get(), last.c_str(), y_value_.get()));
}

void Network::run() const { library_.check(library_->run(session_.get(), nullptr, binding_.get())); }

}  // namespace bench::ort
