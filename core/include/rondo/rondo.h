// Rondo: recurrent networks (SimpleRNN, LSTM, GRU), forward and backward, on the CPU or a GPU.
//
//   T  time steps        I  input size       L  layers
//   N  batch rows        H  hidden size      D  directions, 1 or 2
//   G  gates: LSTM 4 (i f g o), GRU 3 (r z n), SimpleRNN 1
//   O  output size: D*H when directions are concatenated, else H
//   P  size of h where an LSTM projects it; shapes of h, of y and of R's columns then have P for H
//
// One training step, complete:
//
//   rondo::Rnn rnn({.cell = rondo::Cell::kLstm, .input_size = 8, .hidden_size = 32});
//   rondo::Tensor x(rondo::DType::kF32, {20, 4, 8});            // T = 20, N = 4, I = 8
//   rondo::Tape tape;
//   rondo::ForwardResult out = rnn.forward(x, {.tape = &tape});  // out.y [20, 4, 32]
//   rondo::Tensor dy(rondo::DType::kF32, {20, 4, 32});           // d loss / d y, from the caller
//   rondo::BackwardResult in = rnn.backward(tape, {.dy = dy});   // in.dx [20, 4, 8]
//   std::span<float> dW = rnn.gradients().span<float>();         // accumulated
#pragma once

#include "rondo/rnn.h"  // and all the others with it
