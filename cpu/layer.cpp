// One layer in one direction on the CPU: memory, and how work is split among threads.
#include "cpu/layer.h"

#include "core/settings.h"
#include "cpu/layer_memory.h"
#include "cpu/team.h"

namespace rondo::cpu {

template <class T>
Layers<T>::Layers(const Request& request)
    : config_(request.config),
      phase_(request.phase),
      kernels_(kernels<T>()),
      order_(gate_order(config_)),
      h_(config_.hidden_size),
      hp_(round_up(h_, kernels_.lanes)) {
  prepare_team(num_threads());
}

template <class T>
Saved<T> Layers<T>::saved(std::byte* memory, std::int64_t flat_rows, std::size_t* bytes) const {
  Arena arena(memory);
  Saved<T> s{};
  s.gates = arena.take<T>(flat_rows * order_.columns * hp_);
  if (config_.cell == Cell::kLstm) s.c = arena.take<T>(flat_rows * hp_);
  if (bytes != nullptr) *bytes = arena.used();
  return s;
}

template <class T>
std::size_t Layers<T>::saved_bytes(LayerId, std::int64_t flat_rows, std::int64_t) const {
  std::size_t bytes = 0;
  saved(nullptr, flat_rows, &bytes);
  return bytes;
}

template <class T>
typename Layers<T>::ForwardMemory Layers<T>::forward_memory(Arena& arena, std::int64_t in, std::int64_t flat_rows,
                                                            std::int64_t n, bool training) const {
  ForwardMemory m{};
  const std::int64_t state = n * hp_;
  m.h[0] = arena.take<T>(state);
  m.h[1] = arena.take<T>(state);
  if (config_.cell == Cell::kLstm) m.c = arena.take<T>(state);
  if (order_.recurrent_gates != order_.gates) m.rh = arena.take<T>(state);
  if (!training) {
    m.gates = arena.take<T>(flat_rows * order_.input_columns * hp_);
    return m;
  }
  // Masks come with a tape only, and whether they do is known with the call.
  m.mask = arena.take<T>(order_.gates * state);
  m.h_masked[0] = arena.take<T>(order_.gates * state);
  m.h_masked[1] = arena.take<T>(order_.gates * state);
  m.x_masked = arena.take<T>(flat_rows * in);
  return m;
}

template <class T>
typename Layers<T>::BackwardMemory Layers<T>::backward_memory(Arena& arena, std::int64_t in, std::int64_t flat_rows,
                                                              std::int64_t n) const {
  BackwardMemory m{};
  const std::int64_t state = n * hp_;
  m.carry = arena.take<T>(state);
  m.dc = arena.take<T>(state);
  m.h0 = arena.take<T>(state);
  m.c0 = arena.take<T>(state);
  m.dh0 = arena.take<T>(state);
  m.mask = arena.take<T>(order_.gates * state);
  m.h_in = arena.take<T>(flat_rows * h_);
  m.x_masked = arena.take<T>(flat_rows * in);
  return m;
}

template <class T>
std::size_t Layers<T>::workspace_bytes(LayerId id, std::int64_t flat_rows, std::int64_t n) const {
  const std::int64_t in = layer_input_size(config_, id.layer);
  std::size_t most = 0;
  const auto at_least = [&](const Arena& arena) { most = std::max(most, arena.used()); };
  Arena inference(nullptr);
  forward_memory(inference, in, flat_rows, n, false);
  at_least(inference);
  if (phase_ == Phase::kTraining) {
    Arena training(nullptr), backward(nullptr);
    forward_memory(training, in, flat_rows, n, true);
    at_least(training);
    backward_memory(backward, in, flat_rows, n);
    at_least(backward);
  }
  return most;
}

template <class T>
std::unique_ptr<Packed> Layers<T>::pack(const void* parameters) const {
  return std::make_unique<Weights<T>>(config_, phase_, parameters, kernels_);
}

template <class T>
const typename Kernels<T>::Cell& Layers<T>::cell() const {
  switch (config_.cell) {
    case Cell::kLstm: return kernels_.lstm;
    case Cell::kGru: return config_.gru_reset == GruReset::kAfter ? kernels_.gru_after : kernels_.gru_before;
    case Cell::kSimpleRnn: break;
  }
  return config_.activation == Activation::kTanh ? kernels_.simple_tanh : kernels_.simple_relu;
}

// Rows are independent, so they are what threads divide; few rows of a wide layer are divided by units,
// and the threads then meet after every step.
template <class T>
typename Layers<T>::Split Layers<T>::split_work(const Sequence& sequence) const {
  Split split;
  const std::int64_t row_flops = 2 * order_.gates * h_ * h_;
  // A hand-over to the team costs some microseconds, a meeting after a step about 0.2.
  constexpr std::int64_t kWorthATeam = 400'000, kWorthAMeeting = 60'000;
  if (sequence.total() * row_flops < kWorthATeam) return split;
  if (sequence.n >= 8) {
    split.threads = static_cast<int>(std::min<std::int64_t>(num_threads(), sequence.n / 4));
    split.by_rows = true;
  } else if (sequence.n * row_flops >= kWorthAMeeting) {
    split.threads = static_cast<int>(std::min<std::int64_t>(together_threads(), hp_ / kernels_.lanes));
  }
  return split;
}

template <class T>
std::string Layers<T>::path() const {
  return "own kernels (" + isa_name() + ") with fused cells, CBLAS for weight gradients, up to " +
         std::to_string(num_threads()) + (num_threads() == 1 ? " thread" : " threads");
}

template <class T>
std::int64_t Layers<T>::parameter_offset(LayerId id) const {
  const int directions = num_directions(config_);
  const std::int64_t biases = config_.bias == Bias::kNone ? 0 : (config_.bias == Bias::kSingle ? 1 : 2);
  const auto block = [&](std::int64_t layer) {
    return order_.gates * h_ * (layer_input_size(config_, layer) + h_ + biases);
  };
  std::int64_t offset = 0;
  for (std::int64_t l = 0; l < id.layer; ++l) offset += directions * block(l);
  return offset + (id.reverse && directions == 2 ? block(id.layer) : 0);
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
