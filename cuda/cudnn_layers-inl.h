// A stack, or its layers one by one, by cuDNN: the path for what cuDNN has.
//
// An algorithm that keeps weights on the chip runs passes that suit it (cuda/choose_path.h). Beside it stand
// the standard algorithm, for batches that do not, and the standard algorithm on packed rows, for different
// lengths. Which one runs a pass follows from its rows, and from what cuDNN refused before, so that backward
// takes the one that forward took.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "cuda/choose_path.h"
#include "cuda/cudnn_weights-inl.h"
#include "cuda/glue-inl.h"
#include "rondo/error.h"

namespace rondo::cuda {

template <class T, class Runtime>
class CudnnLayers final : public Glue<T, Runtime> {
 public:
  // CudnnRefusal where cuDNN does not run it.
  CudnnLayers(const Request& request, const Path& path, std::shared_ptr<Runtime> runtime)
      : Glue<T, Runtime>(std::move(runtime)),
        config_(request.config),
        phase_(request.phase),
        max_t_(request.max_t),
        max_n_(request.max_n),
        path_(path),
        device_(runtime_.traits()) {
    std::int64_t offset = 0;
    for (std::int64_t l = 0; l < config_.num_layers; l += layers_a_call()) add_call(l, offset);
    if (*path_.cudnn != CudnnAlgorithm::kStandard) try_out();
  }
  Joins joins() const override { return path_.joins; }
  std::size_t saved_bytes(std::int64_t) const override { return room_.reserve + kAlignment; }
  std::size_t workspace_bytes(std::int64_t flat_rows, std::int64_t n) const override {
    Arena arena(nullptr);
    memory(arena, flat_rows, n);
    return arena.used();
  }
  std::unique_ptr<Packed> pack(const void* parameters) const override {
    return std::make_unique<CudnnWeights<T, Runtime>>(config_, phase_, maps_, parameters, owner_);
  }
  void forward(const LayerForward& call) override;
  void backward(const LayerBackward& call) override;
  std::string path() const override { return "cuDNN " + to_string(*path_.cudnn) + ": " + path_.reason; }

 private:
  using Glue<T, Runtime>::owner_;
  using Glue<T, Runtime>::runtime_;
  using Weights = CudnnWeights<T, Runtime>;
  static constexpr std::size_t kAlignment = 256;

  // How one call is computed on rows of one kind.
  struct Engine {
    CudnnNetwork network;
    std::unique_ptr<CudnnRnn> rnn;
    std::size_t map = 0;  // among maps_
  };
  // A pass that cuDNN refused by the chosen algorithm, though it had taken its sizes.
  struct Refused {
    std::int64_t t, n;
    bool training;
    bool operator==(const Refused&) const = default;
  };
  struct Call {
    Engine chosen, standard, ragged;  // without `rnn` where the others do
    std::vector<Refused> refused;     // its own: a layer may be refused where the one below has run
  };
  struct Memory {
    T *h0, *c0, *h_n, *c_n;      // [S, n, H]: states that do not lie as cuDNN wants them
    T *dh_n, *dc_n, *dh0, *dc0;  // of training
    T* dy;                       // [P, D*H]: zeros
    std::byte* dweights;
    std::byte* workspace;
  };

  std::int64_t layers_a_call() const { return path_.joins == Joins::kStack ? config_.num_layers : 1; }
  std::int64_t states() const { return layers_a_call() * num_directions(config_); }
  bool lstm() const { return config_.cell == Cell::kLstm; }
  bool training() const { return phase_ == Phase::kTraining; }

  // Of the call that starts with a layer, whose parameters start at `offset`, which goes on to the next.
  void add_call(std::int64_t layer, std::int64_t& offset) {
    Call& call = calls_.emplace_back();
    call.chosen = engine(layer, *path_.cudnn, false, offset);
    if (*path_.cudnn != CudnnAlgorithm::kStandard) {
      call.standard = engine(layer, CudnnAlgorithm::kStandard, false, offset);
    }
    call.ragged = engine(layer, CudnnAlgorithm::kStandard, true, offset);
    offset = maps_[call.chosen.map].end();
  }
  Engine engine(std::int64_t layer, CudnnAlgorithm algorithm, bool ragged, std::int64_t offset) {
    Engine e{cudnn_network(config_, path_.joins, algorithm, layer), nullptr};
    e.network.ragged = ragged;
    e.rnn = runtime_.make_cudnn_rnn(e.network);
    make_room(e);
    WeightMap map(config_, *e.rnn, layer, layers_a_call(), offset);
    dweights_bytes_ = std::max(dweights_bytes_, map.bytes());
    e.map = static_cast<std::size_t>(std::find(maps_.begin(), maps_.end(), map) - maps_.begin());
    if (e.map == maps_.size()) maps_.push_back(std::move(map));
    return e;
  }

  // cuDNN's sizes do not always grow with t and n: those of the largest pass, which has to be possible, of
  // smaller ones over the whole range, and an eighth for those in between.
  void make_room(const Engine& e) {
    if (max_n_ == 0) return;
    const auto asked = [&](std::int64_t n) {  // all small ones, and those around powers of two
      const auto power = [](std::int64_t i) { return (i & (i - 1)) == 0; };
      return n <= 32 || n + 1 >= max_n_ || power(n - 1) || power(n) || power(n + 1);
    };
    CudnnSizes most;
    for (const std::int64_t t : {std::int64_t{1}, (max_t_ + 1) / 2, max_t_}) {
      for (std::int64_t n = 1; n <= max_n_; ++n) {
        if (!asked(n)) continue;
        const bool largest = t == max_t_ && n == max_n_;
        if (!largest && !suits(e.network, device_, training(), n)) continue;
        try {
          include(most, e, t, n);
        } catch (const CudnnRefusal&) {
          if (largest) throw;
        }
      }
    }
    room_.workspace = std::max(room_.workspace, most.workspace + most.workspace / 8);
    room_.reserve = std::max(room_.reserve, most.reserve + most.reserve / 8);
  }
  void include(CudnnSizes& most, const Engine& e, std::int64_t t, std::int64_t n) const {
    std::vector<std::int64_t> offsets;
    Sequence sequence = uniform(t, n);
    for (std::int64_t s = 0; e.network.ragged && s <= t; ++s) offsets.push_back(s * n);
    if (e.network.ragged) sequence = {t, n, 0, 1, offsets.data()};
    for (const bool trains : {false, true}) {
      if (trains && !training()) continue;
      const CudnnSizes sizes = e.rnn->sizes(sequence, trains);
      most.workspace = std::max(most.workspace, sizes.workspace);
      most.reserve = std::max(most.reserve, sizes.reserve);
    }
  }
  // Rows of t steps each, as they lie in the caller's arrays.
  Sequence uniform(std::int64_t t, std::int64_t n) const {
    if (config_.layout == Layout::kBatchMajor) return {t, n, 1, t, nullptr};
    return {t, n, n, 1, nullptr};
  }

  std::size_t index_of(const LayerCall& call) const {
    return static_cast<std::size_t>(call.id.layer / layers_a_call());
  }
  const Call& call_of(const LayerCall& call) const { return calls_[index_of(call)]; }
  void run_forward(const LayerForward& call, const Engine& engine);
  // Which engine runs a pass: the same for its forward and its backward.
  const Engine& engine_of(const LayerCall& call) const {
    const Call& c = call_of(call);
    const bool trains = call.saved != nullptr;
    if (call.sequence.offsets != nullptr) return c.ragged;
    if (c.standard.rnn == nullptr) return c.chosen;
    if (!suits(c.chosen.network, device_, trains, call.sequence.n)) return c.standard;
    const Refused rows{call.sequence.t, call.sequence.n, trains};
    if (std::find(c.refused.begin(), c.refused.end(), rows) != c.refused.end()) return c.standard;
    try {
      const CudnnSizes sizes = c.chosen.rnn->sizes(call.sequence, trains);
      const bool fits = sizes.workspace <= room_.workspace && sizes.reserve <= room_.reserve;
      return fits ? c.chosen : c.standard;
    } catch (const CudnnRefusal&) {
      return c.standard;
    }
  }
  void try_out();

  Memory memory(Arena& arena, std::int64_t flat_rows, std::int64_t n) const {
    Memory m{};
    const std::int64_t state = states() * n * config_.hidden_size;
    for (T** one : {&m.h0, &m.h_n}) *one = arena.take<T>(state);
    if (lstm()) {
      for (T** one : {&m.c0, &m.c_n}) *one = arena.take<T>(state);
    }
    if (training()) {
      for (T** one : {&m.dh_n, &m.dc_n, &m.dh0, &m.dc0}) *one = arena.take<T>(state);
      m.dy = arena.take<T>(flat_rows * num_directions(config_) * config_.hidden_size);
      m.dweights = take_aligned(arena, dweights_bytes_);
    }
    m.workspace = take_aligned(arena, room_.workspace);
    return m;
  }
  static std::byte* take_aligned(Arena& arena, std::size_t bytes) {
    return aligned(arena.take<std::byte>(static_cast<std::int64_t>(bytes + kAlignment)));
  }
  static std::byte* aligned(std::byte* at) {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    return at + (kAlignment - address % kAlignment) % kAlignment;
  }

  // States between a call's memory, [S, n, H] with state_stride, and dense ones of ours, aligned as cuDNN's
  // fastest kernels need it.
  bool fits(const LayerCall& call, const void* at) const {
    const bool dense = call.state_stride == call.sequence.n * config_.hidden_size || states() == 1;
    return dense && reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
  }
  void copy_states(const LayerCall& call, void* to, std::int64_t to_stride, const void* from,
                   std::int64_t from_stride) {
    const std::int64_t h = config_.hidden_size;
    for (std::int64_t i = 0; i < states(); ++i) {
      this->copy_rows({static_cast<T*>(to) + i * to_stride, h},
                      {static_cast<const T*>(from) + i * from_stride, h}, call.sequence.n, h);
    }
  }
  // What cuDNN reads in place of `from`: itself where it fits and nothing is written over it.
  const void* input_states(const LayerCall& call, const void* from, const void* written, T* room) {
    if (from == nullptr || (fits(call, from) && from != written)) return from;
    copy_states(call, room, call.sequence.n * config_.hidden_size, from, call.state_stride);
    return room;
  }
  void* output_states(const LayerCall& call, void* to, T* room) const {
    return to == nullptr || fits(call, to) ? to : room;
  }
  void fetch_states(const LayerCall& call, void* to, const void* from) {
    if (to != from) copy_states(call, to, call.state_stride, from, call.sequence.n * config_.hidden_size);
  }
  template <class Element>
  void fill_zeros(Element* to, std::int64_t count) {
    runtime_.for_each(1, count, FillZeros<Element>{to});
  }
  CudnnPass pass(const LayerCall& call, const Engine& engine, const Memory& m) const {
    return {.sequence = call.sequence,
            .weights = static_cast<const Weights&>(call.weights).space(engine.map),
            .x = call.x.data,
            .y = call.y.data,
            .h0 = call.h0,
            .c0 = call.c0,
            .workspace = m.workspace,
            .reserve = call.saved == nullptr ? nullptr : aligned(call.saved),
            .room = room_};
  }

  RnnConfig config_;
  Phase phase_;
  std::int64_t max_t_, max_n_;
  Path path_;
  DeviceTraits device_;
  CudnnSizes room_;  // enough for every call
  std::size_t dweights_bytes_ = 0;
  std::vector<WeightMap> maps_;
  std::vector<Call> calls_;
};

template <class T, class Runtime>
void CudnnLayers<T, Runtime>::forward(const LayerForward& call) {
  const Engine& engine = engine_of(call);
  try {
    run_forward(call, engine);
  } catch (const CudnnRefusal& refusal) {
    // Nothing has run. From now on such a pass takes the standard algorithm, and so does this one's backward.
    if (&engine != &call_of(call).chosen || call_of(call).standard.rnn == nullptr) {
      throw DeviceError(refusal.what());
    }
    calls_[index_of(call)].refused.push_back({call.sequence.t, call.sequence.n, call.saved != nullptr});
    forward(call);
  }
}

template <class T, class Runtime>
void CudnnLayers<T, Runtime>::run_forward(const LayerForward& call, const Engine& engine) {
  Arena arena(call.workspace);
  const Memory m = memory(arena, max_t_ * max_n_, max_n_);
  CudnnForward f{pass(call, engine, m), output_states(call, call.h_n, m.h_n),
                 output_states(call, call.c_n, m.c_n)};
  f.h0 = input_states(call, call.h0, call.h_n, m.h0);
  f.c0 = input_states(call, call.c0, call.c_n, m.c0);
  engine.rnn->forward(f);
  fetch_states(call, call.h_n, f.h_n);
  fetch_states(call, call.c_n, f.c_n);
}

template <class T, class Runtime>
void CudnnLayers<T, Runtime>::backward(const LayerBackward& call) {
  Arena arena(call.workspace);
  const Memory m = memory(arena, max_t_ * max_n_, max_n_);
  const Engine& engine = engine_of(call);
  CudnnBackward b{pass(call, engine, m),
                  call.dy.data,
                  input_states(call, call.dh_n, call.dh0, m.dh_n),
                  input_states(call, call.dc_n, call.dc0, m.dc_n),
                  call.dx.data,
                  output_states(call, call.dh0, m.dh0),
                  output_states(call, call.dc0, m.dc0),
                  call.dparameters == nullptr ? nullptr : m.dweights};
  b.h0 = input_states(call, call.h0, nullptr, m.h0);
  b.c0 = input_states(call, call.c0, nullptr, m.c0);
  if (b.dy == nullptr) {
    fill_zeros(m.dy, call.sequence.total() * num_directions(config_) * config_.hidden_size);
    b.dy = m.dy;
  }
  const WeightMap& map = maps_[engine.map];
  if (b.dweights != nullptr) {
    fill_zeros(reinterpret_cast<float*>(m.dweights), static_cast<std::int64_t>(map.bytes() / sizeof(float)));
  }
  engine.rnn->backward(b);
  fetch_states(call, call.dh0, b.dh0);
  fetch_states(call, call.dc0, b.dc0);
  if (b.dweights == nullptr) return;
  for (const WeightMap::Run& run : map.runs()) {
    runtime_.for_each(1, run.count,
                      MoveRun<T, true>{static_cast<T*>(call.dparameters) + run.parameter,
                                       reinterpret_cast<const T*>(m.dweights + run.place)});
  }
}

// Runs each call on zeros, for the few steps that show whether cuDNN runs it at all: some refusals come with
// the pass. A DeviceError of a pass is a refusal; a device that is lost reports it again at the next call.
template <class T, class Runtime>
void CudnnLayers<T, Runtime>::try_out() {
  if (max_n_ == 0) return;
  struct Release {
    Runtime& runtime;
    void operator()(std::byte* memory) const { runtime.release(memory); }
  };
  const auto zeros = [&](std::int64_t bytes) {
    std::unique_ptr<std::byte, Release> made(
        static_cast<std::byte*>(runtime_.allocate(static_cast<std::size_t>(bytes) + 8)), {runtime_});
    fill_zeros(reinterpret_cast<float*>(made.get()), bytes / 4 + 1);
    return made;
  };
  const std::int64_t e = sizeof(T), t = std::min<std::int64_t>(max_t_, 2), flat = t * max_n_;
  const std::int64_t out = num_directions(config_) * config_.hidden_size;
  const std::int64_t wide = std::max(config_.input_size, layer_input_size(config_, 1));
  {
    const auto parameters = zeros(maps_.back().end() * e), x = zeros(flat * wide * e);
    const auto y = zeros(flat * out * e), dx = zeros(flat * wide * e);
    const auto saved = zeros(static_cast<std::int64_t>(saved_bytes(0)));
    const auto workspace = zeros(static_cast<std::int64_t>(workspace_bytes(max_t_ * max_n_, max_n_)));
    const std::unique_ptr<Packed> weights = pack(parameters.get());
    for (std::int64_t l = 0; l < config_.num_layers; l += layers_a_call()) {
      const std::int64_t in = layer_input_size(config_, l);
      const LayerCall call{.weights = *weights,
                           .id = {l, false},
                           .sequence = uniform(t, max_n_),
                           .state_stride = max_n_ * config_.hidden_size,
                           .x = {x.get(), in},
                           .y = {y.get(), out},
                           .h0 = nullptr,
                           .c0 = nullptr,
                           .c = {},
                           .masks = {},
                           .saved = nullptr,
                           .workspace = workspace.get()};
      try {
        run_forward({call, nullptr, nullptr}, call_of(call).chosen);
        if (!training()) continue;
        LayerForward trained{call, nullptr, nullptr};
        trained.saved = saved.get();
        run_forward(trained, call_of(call).chosen);
        backward(LayerBackward{trained, {}, {}, nullptr, nullptr, {dx.get(), in}, false, nullptr, nullptr,
                               parameters.get()});
      } catch (const DeviceError& error) {
        throw CudnnRefusal(error.what());
      }
    }
  }
  runtime_.trim();  // passes have memory of their own
}

}  // namespace rondo::cuda
