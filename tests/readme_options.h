// What the rows of the README's table of options stand for.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "rondo/rondo.h"

namespace rondo::testing {

using Option = std::function<void(RnnConfig&)>;

inline Option merged(Merge merge) {
  return [merge](RnnConfig& c) {
    c.direction = Direction::kBidirectional;
    c.merge = merge;
  };
}
inline Option between_layers(LayerMasks masks) {
  return [masks](RnnConfig& c) {
    c.num_layers = 2;
    c.layer_dropout = 0.5;
    c.layer_masks = masks;
  };
}

// What each row of the table stands for.
inline const std::map<std::string, Option>& options() {
  static const std::map<std::string, Option> all = {
      {"SimpleRNN, tanh", [](RnnConfig& c) { c.cell = Cell::kSimpleRnn; }},
      {"SimpleRNN, relu",
       [](RnnConfig& c) {
         c.cell = Cell::kSimpleRnn;
         c.activation = Activation::kRelu;
       }},
      {"LSTM", [](RnnConfig& c) { c.cell = Cell::kLstm; }},
      {"GRU, reset_after", [](RnnConfig& c) { c.cell = Cell::kGru; }},
      {"GRU, reset_before",
       [](RnnConfig& c) {
         c.cell = Cell::kGru;
         c.gru_reset = GruReset::kBefore;
       }},
      {"no bias", [](RnnConfig& c) { c.bias = Bias::kNone; }},
      {"one bias", [](RnnConfig& c) { c.bias = Bias::kSingle; }},
      {"two biases", [](RnnConfig& c) { c.bias = Bias::kDouble; }},
      {"several layers", [](RnnConfig& c) { c.num_layers = 3; }},
      {"reverse", [](RnnConfig& c) { c.direction = Direction::kReverse; }},
      {"bidirectional, concat", merged(Merge::kConcat)},
      {"bidirectional, sum", merged(Merge::kSum)},
      {"bidirectional, mul", merged(Merge::kMul)},
      {"bidirectional, ave", merged(Merge::kAve)},
      {"bidirectional, none", merged(Merge::kNone)},
      {"batch-major", [](RnnConfig& c) { c.layout = Layout::kBatchMajor; }},
      {"last output only", [](RnnConfig& c) { c.outputs = Outputs::kLast; }},
      {"dropout on inputs", [](RnnConfig& c) { c.dropout = 0.5; }},
      {"recurrent dropout", [](RnnConfig& c) { c.recurrent_dropout = 0.5; }},
      {"dropout with a mask per gate",
       [](RnnConfig& c) {
         c.dropout = c.recurrent_dropout = 0.5;
         c.gate_masks = GateMasks::kPerGate;
       }},
      {"dropout between layers, per step", between_layers(LayerMasks::kPerStep)},
      {"dropout between layers, per sequence", between_layers(LayerMasks::kPerSequence)},
      {"other activations (ONNX's list)",
       [](RnnConfig& c) {
         c.gate_activation = Activation::kHardSigmoid;
         c.activation = Activation::kSoftsign;
       }},
      {"peepholes", [](RnnConfig& c) { c.peephole = true; }},
      {"input_forget", [](RnnConfig& c) { c.input_forget = true; }},
      {"projection of h", [](RnnConfig& c) { c.projection_size = 2; }},
      {"clipped pre-activations", [](RnnConfig& c) { c.preactivation_clip = 1; }},
      {"clipped cell state", [](RnnConfig& c) { c.cell_clip = 1; }},
      {"every c_t as an output", [](RnnConfig& c) { c.cell_sequence = true; }},
      {"zoneout of h and c", [](RnnConfig& c) { c.zoneout_h = c.zoneout_c = 0.1; }},
      {"DropConnect on R", [](RnnConfig& c) { c.dropconnect = 0.5; }},
      {"layer normalisation", [](RnnConfig& c) { c.layer_norm = true; }},
      {"masked outputs repeated", [](RnnConfig& c) { c.masked_outputs = MaskedOutputs::kRepeat; }},
      {"checkpoints", [](RnnConfig& c) { c.checkpoint_every = 2; }},
      {"f64", [](RnnConfig& c) { c.dtype = DType::kF64; }},
      {"f16", [](RnnConfig& c) { c.dtype = DType::kF16; }},
      {"bf16", [](RnnConfig& c) { c.dtype = DType::kBf16; }},
      {"TF32 products", [](RnnConfig& c) { c.math_mode = MathMode::kTf32; }},
  };
  return all;
}

}  // namespace rondo::testing
