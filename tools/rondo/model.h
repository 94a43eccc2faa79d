// A network out of a file: PyTorch's state_dict as safetensors, or an NPZ of the same names.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "array.h"

namespace cli {

struct ModelOptions {
  std::string path;
  std::string cell;                   // lstm, gru, rnn_tanh, rnn_relu; empty: from the file
  std::string dtype;                  // f32, f64; empty: the file's
  std::optional<std::string> prefix;  // of the tensors' names; none: the only one that is there
  bool batch_first = false;
};

struct Model {
  std::string path, kind, prefix;  // kind: "safetensors" or "NPZ"
  rondo::RnnConfig config;
  std::map<std::string, Array> tensors;  // by names without the prefix; exactly those of the configuration
  std::vector<std::string> notes;        // what was assumed, a sentence each
};

// Sizes, layers, directions and biases follow from the shapes. FileError for what is no such network.
Model load_model(const ModelOptions& options);

// A network with the file's parameters. device: as RONDO_DEVICE; empty: from the environment.
rondo::Rnn make_network(const Model& model, const std::string& device);

}  // namespace cli
