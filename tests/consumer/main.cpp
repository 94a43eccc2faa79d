// A program outside the tree: trains a GRU to output 1, and catches the library's exceptions by their types.
#include <cstdio>
#include <cstring>

#include "rondo/rondo.h"

namespace {

// Whether the call throws an Error whose message names what was asked for. Of a shared library this
// holds only when the type's identity crosses its boundary.
template <class Error, class Call>
bool throws(Call&& call, const char* named) {
  try {
    call();
  } catch (const Error& error) {
    return std::strstr(error.what(), named) != nullptr;
  } catch (const std::exception& error) {
    std::printf("another exception than expected: %s\n", error.what());
  }
  return false;
}

}  // namespace

int main() {
  if (!throws<rondo::InvalidArgument>([] { rondo::Rnn({.input_size = 3, .hidden_size = 0}); },
                                      "hidden_size") ||
      !throws<rondo::DeviceError>(
          [] { rondo::Rnn({.input_size = 3, .hidden_size = 5}, rondo::parse_device("cuda:9999")); },
          "cuda")) {
    std::printf("an exception of the library did not reach the program as what it is\n");
    return 1;
  }
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
  const rondo::DeviceInfo last = rondo::list_devices().back();
  std::printf("%s: %s\n", rondo::to_string(last.device).c_str(), last.reason.c_str());
  return loss < 0.9f * first ? 0 : 1;
}
