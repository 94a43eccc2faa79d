// Networks from the names and shapes of their tensors.
#include "model.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "file_error.h"
#include "npy.h"
#include "npz.h"
#include "safetensors.h"

namespace cli {
namespace {

// The parts of "rnn.weight_ih_l12_reverse".
struct Name {
  std::string prefix, kind;
  std::int64_t layer = 0;
  bool reverse = false;
};

bool is_prefix(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

std::optional<Name> split_name(std::string_view text) {
  constexpr std::string_view kReverse = "_reverse";
  constexpr std::size_t kMostDigits = 6;
  Name name;
  name.reverse = text.ends_with(kReverse);
  if (name.reverse) text.remove_suffix(kReverse.size());
  const std::size_t digits = text.size() - (text.find_last_not_of("0123456789") + 1);
  if (digits == 0 || digits > kMostDigits) return {};
  const std::string number(text.substr(text.size() - digits));
  name.layer = std::stol(number);
  if (std::to_string(name.layer) != number) return {};  // l00
  text.remove_suffix(digits);
  for (const char* kind : {"weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ch", "norm_ih", "norm_hh",
                           "norm_c", "norm_c_bias", "weight_hr"}) {
    if (!text.ends_with(std::string(kind) + "_l")) continue;
    name.kind = kind;
    name.prefix = text.substr(0, text.size() - name.kind.size() - 2);
    if (is_prefix(name.prefix)) return name;
  }
  return {};
}

bool is_parameter(const std::string& name) { return split_name(name).has_value(); }

// The tensors of one network, by their names without the prefix.
void take_prefix(Model& model, const std::map<std::string, Array>& all, const ModelOptions& options) {
  std::set<std::string> prefixes;
  for (const auto& [name, array] : all) prefixes.insert(split_name(name)->prefix);
  if (prefixes.empty()) {
    throw FileError(model.path, "",
                    "holds no weight_ih_l0 (where torch.save made it: save the state_dict as safetensors, or "
                    "by numpy.savez)");
  }
  std::string names;
  for (const std::string& prefix : prefixes) names += (names.empty() ? "" : ", ") + in_quotes(prefix);
  if (options.prefix && !prefixes.contains(*options.prefix)) {
    throw FileError(model.path, "",
                    "has no tensors under --prefix " + in_quotes(*options.prefix) + ", only " + names);
  }
  if (!options.prefix && prefixes.size() > 1) {
    throw FileError(
        model.path, "",
        "holds " + std::to_string(prefixes.size()) + " networks; choose one by --prefix: " + names);
  }
  model.prefix = options.prefix.value_or(*prefixes.begin());
}

// The sizes of a weight, which has two of at least 1.
std::pair<std::int64_t, std::int64_t> weight_sizes(const Model& model, const std::string& name) {
  const auto found = model.tensors.find(name);
  if (found == model.tensors.end()) throw FileError(model.path, "", "lacks " + model.prefix + name);
  const Array& array = found->second;
  if (array.sizes.size() != 2 || array.sizes[0] < 1 || array.sizes[1] < 1) {
    throw FileError(array.path, array.place,
                    "has shape " + to_string(array.sizes) + ", expected two sizes of at least 1");
  }
  return {array.sizes[0], array.sizes[1]};
}

// From the number of gates, and --cell where it is given.
void find_cell(Model& model, const std::string& asked, const std::string& weight, std::int64_t h) {
  struct Known {
    const char* name;
    rondo::Cell cell;
    rondo::Activation activation;
  };
  using rondo::Activation, rondo::Cell;
  constexpr Known kKnown[] = {{"lstm", Cell::kLstm, Activation::kTanh},
                              {"gru", Cell::kGru, Activation::kTanh},
                              {"rnn_tanh", Cell::kSimpleRnn, Activation::kTanh},
                              {"rnn_relu", Cell::kSimpleRnn, Activation::kRelu}};
  const std::int64_t rows = weight_sizes(model, weight).first;
  for (const Known& known : kKnown) {
    const bool fits = rows % h == 0 && rows / h == rondo::num_gates(known.cell);
    if (!fits || (!asked.empty() && asked != known.name)) continue;
    model.config.cell = known.cell;
    model.config.activation = known.activation;
    if (asked.empty() && known.cell == Cell::kSimpleRnn) {
      model.notes.push_back("one gate: taken for rnn_tanh; --cell rnn_relu says otherwise");
    }
    return;
  }
  const Array& array = model.tensors.at(weight);
  std::string expected = "4*H rows for an LSTM, 3*H for a GRU or H for an RNN";
  for (const Known& known : kKnown) {
    if (asked == known.name) {
      expected = std::to_string(rondo::num_gates(known.cell)) + "*H rows for --cell " + asked;
    }
  }
  throw FileError(array.path, array.place, "has shape " + to_string(array.sizes) + ", expected " + expected);
}

// Some tensors only an LSTM has, and with a projection only a smaller state.
void expect_lstm(const Model& model, const std::set<std::string>& kinds) {
  for (const char* kind : {"weight_hr", "weight_ch", "norm_c", "norm_c_bias"}) {
    if (!kinds.contains(kind) || model.config.cell == rondo::Cell::kLstm) continue;
    throw FileError(model.path, "",
                    "holds " + std::string(kind) + " tensors, which only an LSTM has, and " +
                        rondo::to_string(model.config.cell) + " gates");
  }
  const std::int64_t state = weight_sizes(model, "weight_hh_l0").second, h = model.config.hidden_size;
  if (!kinds.contains("weight_hr") || state < h) return;
  throw FileError(
      model.path, "",
      "projects " + std::to_string(h) + " units to " + std::to_string(state) + ", expected fewer");
}

// What all tensors together say, from the names; the shapes of all but the first two are not looked at yet.
void find_config(Model& model, const ModelOptions& options) {
  rondo::RnnConfig& config = model.config;
  bool reverse = false, wide = false;
  std::int64_t layers = 0;
  std::set<std::string> kinds;
  for (const auto& [text, array] : model.tensors) {
    const Name name = split_name(text).value();
    kinds.insert(name.kind);
    reverse = reverse || name.reverse;
    wide = wide || array.dtype == rondo::DType::kF64;
    layers = std::max(layers, name.layer + 1);
  }
  const bool bias_ih = kinds.contains("bias_ih"), bias_hh = kinds.contains("bias_hh");
  const std::int64_t state = weight_sizes(model, "weight_hh_l0").second;
  const bool projected = kinds.contains("weight_hr");
  config.hidden_size = projected ? weight_sizes(model, "weight_hr_l0").second : state;
  find_cell(model, options.cell, "weight_hh_l0", config.hidden_size);
  expect_lstm(model, kinds);
  if (projected) config.projection_size = state;
  config.peephole = kinds.contains("weight_ch");
  config.layer_norm = kinds.contains("norm_ih") || kinds.contains("norm_hh");
  config.input_size = weight_sizes(model, "weight_ih_l0").second;
  config.num_layers = layers;
  config.direction = reverse ? rondo::Direction::kBidirectional : rondo::Direction::kForward;
  config.bias = bias_hh ? rondo::Bias::kDouble : bias_ih ? rondo::Bias::kSingle : rondo::Bias::kNone;
  config.layout = options.batch_first ? rondo::Layout::kBatchMajor : rondo::Layout::kTimeMajor;
  const bool f64 = options.dtype.empty() ? wide : options.dtype == "f64";
  config.dtype = f64 ? rondo::DType::kF64 : rondo::DType::kF32;
}

Sizes sizes_of(const rondo::Shape& shape) {
  Sizes sizes;
  for (int i = 0; i < shape.rank(); ++i) sizes.push_back(shape[i]);
  return sizes;
}

// Every tensor of the configuration is there in its shape, and no other.
void check_tensors(const Model& model) {
  // By number first: a layer 999,999 would make a layout of a million of them.
  const rondo::RnnConfig& config = model.config;
  rondo::RnnConfig one = config;
  one.num_layers = 1;
  one.direction = rondo::Direction::kForward;
  std::int64_t each = 0;
  try {
    each = static_cast<std::int64_t>(rondo::parameter_layout(one).size());
  } catch (const rondo::InvalidArgument& error) {
    throw FileError(model.path, "", std::string("holds no network that Rondo has: ") + error.what());
  }
  const std::int64_t expected = config.num_layers * rondo::num_directions(config) * each;
  const auto have = static_cast<std::int64_t>(model.tensors.size());
  if (have != expected) {
    throw FileError(model.path, "",
                    "holds " + std::to_string(have) + " tensors of a network, expected " +
                        std::to_string(expected) + " for " + std::to_string(config.num_layers) + " layers, " +
                        std::to_string(rondo::num_directions(config)) + " directions with " +
                        std::to_string(each) + " each");
  }
  for (const rondo::ParameterInfo& info : rondo::parameter_layout(config)) {
    const auto found = model.tensors.find(info.name);
    if (found == model.tensors.end()) throw FileError(model.path, "", "lacks " + model.prefix + info.name);
    const Array& array = found->second;
    check_float(array);
    if (array.sizes == sizes_of(info.shape)) continue;
    throw FileError(array.path, array.place,
                    "has shape " + to_string(array.sizes) + ", expected " + rondo::to_string(info.shape) +
                        " in " + rondo::to_string(config));
  }
}

}  // namespace

Model load_model(const ModelOptions& options) {
  check_regular(options.path);
  Model model{.path = options.path};
  const bool zip = starts_with(options.path, "PK");
  model.kind = zip ? "NPZ" : "safetensors";
  std::map<std::string, Array> all =
      zip ? read_npz(options.path, is_parameter) : read_safetensors(options.path, is_parameter);
  take_prefix(model, all, options);
  for (auto& [name, array] : all) {
    if (split_name(name)->prefix != model.prefix) continue;
    model.tensors.emplace(name.substr(model.prefix.size()), std::move(array));
  }
  find_config(model, options);
  check_tensors(model);
  return model;
}

rondo::Rnn make_network(const Model& model, const std::string& device) {
  rondo::Rnn rnn(model.config,
                 device.empty() ? rondo::device_from_environment() : rondo::parse_device(device));
  for (const rondo::ParameterInfo& info : rondo::parameter_layout(model.config)) {
    const rondo::TensorView to = rnn.parameter(info.name);
    const rondo::Tensor from = float_tensor(model.tensors.at(info.name), model.config.dtype,
                                            sizes_of(info.shape), rondo::to_string(info.shape));
    std::memcpy(to.data, from.view().data,
                static_cast<std::size_t>(info.shape.count() * rondo::element_bytes(to.dtype)));
  }
  rnn.parameters_changed();
  return rnn;
}

}  // namespace cli
