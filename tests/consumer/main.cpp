// A program outside the tree: trains a GRU to output 1, and fails if the loss does not fall.
#include <cstdio>

#include "rondo/rondo.h"

int main() {
  rondo::Rnn rnn({.cell = rondo::Cell::kGru, .input_size = 3, .hidden_size = 5});
  rondo::Tensor x(rondo::DType::kF32, {7, 2, 3}), dy(rondo::DType::kF32, {7, 2, 5});
  for (int i = 0; float& v : x.span<float>()) v = 0.1f * static_cast<float>(i++ % 11 - 5);
  float first = 0, loss = 0;
  for (int pass = 0; pass < 20; ++pass) {
    rondo::Tape tape;
    const rondo::ForwardResult out = rnn.forward(x, {.tape = &tape});
    loss = 0;
    for (std::size_t i = 0; i < dy.span<float>().size(); ++i) {
      const float error = dy.span<float>()[i] = out.y.span<float>()[i] - 1;  // d loss / d y
      loss += error * error / 2;
    }
    if (pass == 0) first = loss;
    rnn.zero_gradients();
    rnn.backward(tape, {.dy = dy});
    const std::span<float> weights = rnn.parameters().span<float>();
    for (std::size_t i = 0; float g : rnn.gradients().span<float>()) weights[i++] -= g / 50;
  }
  std::printf("rondo %s: loss %.4f, then %.4f\n", rondo::version(), first, loss);
  return loss < 0.9f * first ? 0 : 1;
}
