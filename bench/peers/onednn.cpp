// oneDNN beside Rondo: the same shapes and the same line of JSON, through oneDNN's C++ interface.
//
// Weights are reordered into the layout that oneDNN prefers before the clock starts, for inference and for
// training. GRU is lbr_gru, which is reset_after. One layer: oneDNN runs a bidirectional stack as two
// independent stacks, which is another network.
#include <dlfcn.h>

#include <cmath>
#include <functional>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "bench/peers/peer_program.h"

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

// oneDNN 2 describes an operation in an object of its own, oneDNN 3 in the primitive's description.
template <class Primitive, class... Args>
auto describe_forward(const dnnl::engine& engine, const Args&... args) {
  using Description = typename Primitive::primitive_desc;
  if constexpr (requires { typename Primitive::desc; }) {
    return Description(typename Primitive::desc(args...), engine);
  } else {
    return Description(engine, args...);
  }
}
template <class Primitive, class Hint, class... Args>
auto describe_backward(const dnnl::engine& engine, const Hint& forward, const Args&... args) {
  using Description = typename Primitive::primitive_desc;
  if constexpr (requires { typename Primitive::desc; }) {
    return Description(typename Primitive::desc(args...), engine, forward);
  } else {
    return Description(engine, args..., forward);
  }
}

// The tensors' descriptions. `any` leaves the layout of weights to oneDNN.
struct Shapes {
  explicit Shapes(const bench::ShapeOptions& o, std::int64_t steps)
      : gates(o.cell == "lstm"  ? 4
              : o.cell == "gru" ? 3
                                : 1),
        directions(o.bidirectional ? 2 : 1) {
    const auto f32 = memory::data_type::f32;
    x = {{steps, o.n, o.i}, f32, Tag::tnc};
    y = {{steps, o.n, directions * o.h}, f32, Tag::tnc};
    state = {{1, directions, o.n, o.h}, f32, Tag::ldnc};
    weights_x = {{1, directions, o.i, gates, o.h}, f32, Tag::any};
    weights_h = {{1, directions, o.h, gates, o.h}, f32, Tag::any};
    bias = {{1, directions, o.cell == "gru" ? gates + 1 : gates, o.h}, f32, Tag::ldgo};
    plain_x = {{1, directions, o.i, gates, o.h}, f32, Tag::ldigo};
    plain_h = {{1, directions, o.h, gates, o.h}, f32, Tag::ldigo};
    direction = o.bidirectional ? dnnl::rnn_direction::bidirectional_concat
                                : dnnl::rnn_direction::unidirectional_left2right;
  }
  std::int64_t gates, directions;
  dnnl::rnn_direction direction;
  memory::desc x, y, state, weights_x, weights_h, bias, plain_x, plain_h;
};

// The order of arguments of each cell's descriptions; state_in and state_out may be empty.
struct Lstm {
  using Forward = dnnl::lstm_forward;
  using Backward = dnnl::lstm_backward;
  static constexpr bool kHasCellState = true;
  static auto forward(const dnnl::engine& e, dnnl::prop_kind kind, const Shapes& s, const memory::desc& in,
                      const memory::desc& out) {
    return describe_forward<Forward>(e, kind, s.direction, s.x, in, in, s.weights_x, s.weights_h, s.bias, s.y,
                                     out, out);
  }
  static auto backward(const dnnl::engine& e, const Forward::primitive_desc& hint, const Shapes& s) {
    const memory::desc none;
    return describe_backward<Backward>(e, hint, dnnl::prop_kind::backward, s.direction, s.x, s.state, s.state,
                                       s.weights_x, s.weights_h, s.bias, s.y, none, none, s.x, s.state,
                                       s.state, s.weights_x, s.weights_h, s.bias, s.y, none, none);
  }
};
struct Gru {
  using Forward = dnnl::lbr_gru_forward;
  using Backward = dnnl::lbr_gru_backward;
  static constexpr bool kHasCellState = false;
  static auto forward(const dnnl::engine& e, dnnl::prop_kind kind, const Shapes& s, const memory::desc& in,
                      const memory::desc& out) {
    return describe_forward<Forward>(e, kind, s.direction, s.x, in, s.weights_x, s.weights_h, s.bias, s.y,
                                     out);
  }
  static auto backward(const dnnl::engine& e, const Forward::primitive_desc& hint, const Shapes& s) {
    const memory::desc none;
    return describe_backward<Backward>(e, hint, dnnl::prop_kind::backward, s.direction, s.x, s.state,
                                       s.weights_x, s.weights_h, s.bias, s.y, none, s.x, s.state, s.weights_x,
                                       s.weights_h, s.bias, s.y, none);
  }
};
struct Rnn {
  using Forward = dnnl::vanilla_rnn_forward;
  using Backward = dnnl::vanilla_rnn_backward;
  static constexpr bool kHasCellState = false;
  static constexpr auto kTanh = dnnl::algorithm::eltwise_tanh;
  static auto forward(const dnnl::engine& e, dnnl::prop_kind kind, const Shapes& s, const memory::desc& in,
                      const memory::desc& out) {
    return describe_forward<Forward>(e, kind, kTanh, s.direction, s.x, in, s.weights_x, s.weights_h, s.bias,
                                     s.y, out);
  }
  static auto backward(const dnnl::engine& e, const Forward::primitive_desc& hint, const Shapes& s) {
    const memory::desc none;
    return describe_backward<Backward>(e, hint, dnnl::prop_kind::backward, kTanh, s.direction, s.x, s.state,
                                       s.weights_x, s.weights_h, s.bias, s.y, none, s.x, s.state, s.weights_x,
                                       s.weights_h, s.bias, s.y, none);
  }
};

class Workload {
 public:
  explicit Workload(const bench::ShapeOptions& options)
      : options_(options), shapes_(options, options.phase == "step" ? 1 : options.t) {}
  std::function<void()> prepare() {
    if (options_.cell == "lstm") return prepare_cell<Lstm>();
    if (options_.cell == "gru") return prepare_cell<Gru>();
    return prepare_cell<Rnn>();
  }

 private:
  memory uniform(const memory::desc& shape, float bound) {
    memory filled(shape, engine_);
    std::uniform_real_distribution<float> distribution(-bound, bound);
    float* values = static_cast<float*>(filled.get_data_handle());
    for (std::size_t k = 0; k < shape.get_size() / sizeof(float); ++k) values[k] = distribution(generator_);
    return filled;
  }
  memory zeros(const memory::desc& shape) { return uniform(shape, 0); }
  memory reordered(memory from, const memory::desc& to) {
    memory result(to, engine_);
    dnnl::reorder(from, result).execute(stream_, from, result);
    stream_.wait();
    return result;
  }

  template <class Cell>
  std::function<void()> prepare_cell() {
    // PyTorch's bound of initial weights.
    const float bound = 1 / std::sqrt(static_cast<float>(options_.h));
    plain_x_ = uniform(shapes_.plain_x, bound);
    plain_h_ = uniform(shapes_.plain_h, bound);
    const memory bias = uniform(shapes_.bias, bound);
    forward_ = {{DNNL_ARG_SRC_LAYER, uniform(shapes_.x, 1)},
                {DNNL_ARG_DST_LAYER, zeros(shapes_.y)},
                {DNNL_ARG_BIAS, bias}};
    if (options_.phase == "inference") return prepare_inference<Cell>();
    if (options_.phase == "training") return prepare_training<Cell>();
    return prepare_steps<Cell>();
  }

  template <class Description>
  void add_weights(Arguments& arguments, const Description& description) {
    arguments[DNNL_ARG_WEIGHTS_LAYER] = reordered(plain_x_, description.weights_layer_desc());
    arguments[DNNL_ARG_WEIGHTS_ITER] = reordered(plain_h_, description.weights_iter_desc());
  }

  template <class Cell>
  std::function<void()> prepare_inference() {
    const memory::desc none;
    const auto description = Cell::forward(engine_, dnnl::prop_kind::forward_inference, shapes_, none, none);
    add_weights(forward_, description);
    return [this, pass = typename Cell::Forward(description)] {
      pass.execute(stream_, forward_);
      stream_.wait();
    };
  }

  // The state goes to and fro between two memories.
  template <class Cell>
  std::function<void()> prepare_steps() {
    const auto description =
        Cell::forward(engine_, dnnl::prop_kind::forward_inference, shapes_, shapes_.state, shapes_.state);
    add_weights(forward_, description);
    const memory h[2] = {zeros(shapes_.state), zeros(shapes_.state)};
    const memory c[2] = {zeros(shapes_.state), zeros(shapes_.state)};
    backward_ = forward_;  // the odd steps
    for (int odd = 0; odd < 2; ++odd) {
      Arguments& arguments = odd == 0 ? forward_ : backward_;
      arguments[DNNL_ARG_SRC_ITER] = h[odd];
      arguments[DNNL_ARG_DST_ITER] = h[1 - odd];
      if (Cell::kHasCellState) {
        arguments[DNNL_ARG_SRC_ITER_C] = c[odd];
        arguments[DNNL_ARG_DST_ITER_C] = c[1 - odd];
      }
    }
    return [this, pass = typename Cell::Forward(description)] {
      for (std::int64_t t = 0; t < options_.t; ++t) {
        pass.execute(stream_, t % 2 == 0 ? forward_ : backward_);
        stream_.wait();
      }
    };
  }

  template <class Cell>
  std::function<void()> prepare_training() {
    const memory::desc none;
    const auto forward =
        Cell::forward(engine_, dnnl::prop_kind::forward_training, shapes_, shapes_.state, none);
    const auto backward = Cell::backward(engine_, forward, shapes_);
    forward_[DNNL_ARG_SRC_ITER] = zeros(shapes_.state);
    forward_[DNNL_ARG_WORKSPACE] = memory(forward.workspace_desc(), engine_);
    if (Cell::kHasCellState) forward_[DNNL_ARG_SRC_ITER_C] = zeros(shapes_.state);
    backward_ = forward_;
    add_weights(forward_, forward);
    add_weights(backward_, backward);
    backward_[DNNL_ARG_DIFF_DST_LAYER] = uniform(shapes_.y, 0.01f);
    backward_[DNNL_ARG_DIFF_SRC_LAYER] = zeros(shapes_.x);
    backward_[DNNL_ARG_DIFF_SRC_ITER] = zeros(shapes_.state);
    if (Cell::kHasCellState) backward_[DNNL_ARG_DIFF_SRC_ITER_C] = zeros(shapes_.state);
    backward_[DNNL_ARG_DIFF_WEIGHTS_LAYER] = zeros(backward.diff_weights_layer_desc());
    backward_[DNNL_ARG_DIFF_WEIGHTS_ITER] = zeros(backward.diff_weights_iter_desc());
    backward_[DNNL_ARG_DIFF_BIAS] = zeros(shapes_.bias);
    return [this, first = typename Cell::Forward(forward), second = typename Cell::Backward(backward)] {
      first.execute(stream_, forward_);
      second.execute(stream_, backward_);
      stream_.wait();
    };
  }

  bench::ShapeOptions options_;
  Shapes shapes_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::mt19937 generator_{1};
  memory plain_x_, plain_h_;
  Arguments forward_, backward_;
};

std::string isa_name() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_bf16";
    default:
      return "other";
  }
}

// Of the team that runs what is made from now on, where oneDNN was built with OpenMP.
void set_threads(int threads) {
  static auto* const set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set == nullptr && threads > 1) throw std::runtime_error("this oneDNN has no OpenMP, only --threads 1");
  if (set != nullptr) set(threads);
}

std::string version() {
  const dnnl_version_t* v = dnnl::version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

void check(const bench::ShapeOptions& o) {
  if (o.layers == 1 && o.dtype == "f32" && o.math == "strict" && o.device == "cpu" && !o.graph) return;
  throw bench::BadOption(
      "oneDNN runs --layers 1, --dtype f32, --math strict, --device cpu only, and has no --graph");
}

bench::ReadyShape prepare(const bench::ShapeOptions& options) {
  check(options);
  set_threads(options.threads);
  const auto workload = std::make_shared<Workload>(options);
  return {.run = [workload, run = workload->prepare()] { run(); },
          .runner = {.engine = "onednn " + version(),
                     .device = "cpu",
                     .device_name = "",
                     .isa = isa_name(),
                     .threads = options.threads}};
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_peer({.name = "onednn", .title = "oneDNN", .version = version, .prepare = prepare}, argc,
                         argv);
}
