// A step of a stream, all layers on one thread: little more than its kernels.
#include "cpu/layer.h"

namespace rondo::cpu {

// Where threads would share the step, forward serves.
template <class T>
bool Layers<T>::step(const Packed& weights, const StepCall& call) {
  divider_.begin({1, call.n, call.n}, Phase::kInference, false, false);
  if (threads() > 1) return false;
  if (ready_.workspace != call.workspace || ready_.n != call.n) ready_ = make_ready(weights, call);
  const FlushDenormals flush;
  const T* x = static_cast<const T*>(call.x);
  T *h = static_cast<T*>(call.h), *c = static_cast<T*>(call.c);
  for (std::int64_t l = 0; l < config_.num_layers; ++l) {
    step_layer(static_cast<const Weights<T>&>(weights).layer(l, false), x, h, c);
    x = h;
    h += call.n * s_;
    if (c != nullptr) c += call.n * h_;
  }
  divider_.end(config_.num_layers);
  return true;
}

// What depends on where the workspace lies and on the number of rows only.
template <class T>
typename Layers<T>::ReadyStep Layers<T>::make_ready(const Packed& weights, const StepCall& call) const {
  const LayerForward layer{
      {.weights = weights, .sequence = {1, call.n, call.n}, .y = {nullptr, s_}, .h0 = call.h, .c0 = call.c}};
  Arena arena(call.workspace);
  Memory m = memory(arena, config_.input_size, call.n, call.n, false);
  m.w = this->weights(layer);
  const std::int64_t ld = order_.gates * hp_, blocks = hp_ / kernels_.lanes;
  ReadyStep ready{call.workspace, call.n, &cell(), {}, forward_step(layer, m, {}, ld)};
  ready.product.out = m.gates;
  ready.product.ld_out = ready.product.width = ld;
  ready.step.gates = m.gates;
  ready.step.h_in = ready.step.h_prev = m.h[0];
  ready.step.h_next = m.h[1];
  ready.gate_columns = {0, call.n, 0, order_.gates * blocks};
  ready.units = {0, call.n, 0, blocks};
  ready.second = {0, call.n, 0, (projected() ? sp_ : hp_) / kernels_.lanes};
  ready.h = m.h[0];
  ready.c = m.c;
  return ready;
}

// h [n, S] and c [n, H] are the state, x what the layer reads. States without padding are the kernels' own.
template <class T>
void Layers<T>::step_layer(const LayerWeights<T>& w, const T* x, T* h, T* c) {
  Product<T>& product = ready_.product;
  product.in = x;
  product.ld_in = product.k = product.packed_k = w.at.in;
  product.packed = w.input;
  kernels_.product(product, ready_.gate_columns);
  ForwardStep<T>& step = ready_.step;
  step.recurrent = w.recurrent;
  step.recurrent_n = w.recurrent_n;
  step.bias = w.bias;
  step.peephole = w.peephole;
  step.projection = w.projection;
  if (config_.layer_norm) {
    step.norms.h.factor = w.norm_h;
    step.norms.c.factor = w.norm_c;
    step.norms.c.shift = w.norm_c_shift;
    kernels_.normalise({norm(w.norm_x, nullptr, order_.gates), step.gates, nullptr, nullptr, step.ld_gates},
                       0, ready_.n);
  }
  const States<T> h_states{s_, sp_, ready_.n}, c_states{h_, hp_, ready_.n};
  const bool h_padded = s_ != sp_, c_padded = c != nullptr && h_ != hp_;
  h_states.load(ready_.h, h);
  (h_padded ? step.y : step.h_next) = h;
  step.c = c_padded ? ready_.c : c;
  if (c_padded) c_states.load(ready_.c, c);
  ready_.cell->forward(step, ready_.units);
  if (ready_.cell->forward_second != nullptr) ready_.cell->forward_second(step, ready_.second);
  if (c_padded) c_states.store(ready_.c, c);
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
