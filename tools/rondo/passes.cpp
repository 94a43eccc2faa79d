// Passes of networks from files, in PyTorch's shapes.
#include "passes.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "file_error.h"
#include "npy.h"
#include "npz.h"

namespace cli {
namespace {

using rondo::Tensor;

// The sizes of a call, and the arrays of the files as tensors of these sizes.
class Call {
 public:
  explicit Call(const PassOptions& options)
      : options_(options), model_(load_model(options.model)), config_(model_.config) {
    const Array x = read_npy(options.x);
    const std::string letters = config_.layout == rondo::Layout::kBatchMajor ? "[N, T, I=" : "[T, N, I=";
    x_ = float_tensor(x, config_.dtype, {-1, -1, config_.input_size},
                      letters + std::to_string(config_.input_size) + "]");
    check_steps(x);
    h0_ = state(options.h0);
    c0_ = cell_state(options.c0);
    mask_ = flags(options.mask);
    resets_ = flags(options.resets);
    if (!options.lengths.empty()) lengths_ = lengths_tensor(read_npy(options.lengths), n(), t());
  }

  const Model& model() const { return model_; }
  const Tensor& x() const { return x_; }
  bool lstm() const { return config_.cell == rondo::Cell::kLstm; }
  rondo::ForwardOptions forward_options() const {
    return {.h0 = h0_, .c0 = c0_, .lengths = lengths_, .mask = mask_, .resets = resets_};
  }

  // [L*D, N, H or P], absent when no path is given.
  Tensor state(const std::string& path) const { return state(path, "H", rondo::state_size(config_)); }
  // [L*D, N, H] of an LSTM.
  Tensor cell_state(const std::string& path) const {
    if (!path.empty() && !lstm())
      throw FileError(path, "",
                      "is a cell state, which " + rondo::to_string(config_.cell) + " does not have");
    return state(path, "H", config_.hidden_size);
  }
  Tensor output_gradient(const std::string& path) const {
    const std::int64_t first = x_.shape()[0], second = x_.shape()[1], o = rondo::output_size(config_);
    const bool batch = config_.layout == rondo::Layout::kBatchMajor;
    return float_tensor(read_npy(path), config_.dtype, {first, second, o},
                        std::string(batch ? "[N=" : "[T=") + std::to_string(first) +
                            (batch ? ", T=" : ", N=") + std::to_string(second) +
                            (rondo::state_size(config_) == config_.hidden_size ? ", D*H=" : ", D*P=") +
                            std::to_string(o) + "]");
  }

  // No file that is read is written over.
  void check_out() const {
    for (const std::string& in :
         {options_.model.path, options_.x, options_.dy, options_.h0, options_.c0, options_.lengths,
          options_.mask, options_.resets, options_.dh_n, options_.dc_n}) {
      std::error_code failed;
      if (!in.empty() && std::filesystem::equivalent(in, options_.out, failed)) {
        throw FileError(options_.out, "", "is read by this call, expected another name for the results");
      }
    }
  }
  void write(const rondo::Rnn& rnn, const Results& results) const {
    write_npz(options_.out, results);
    constexpr std::size_t kMostListed = 3;
    std::string text;
    for (std::size_t i = 0; i < std::min(kMostListed, results.size()); ++i) {
      text += (i > 0 ? ", " : "") + results[i].first + " " + rondo::to_string(results[i].second.shape);
    }
    if (results.size() > kMostListed)
      text += " and " + std::to_string(results.size() - kMostListed) + " more";
    std::printf("%s on %s: %s in %s\n", rondo::to_string(config_).c_str(),
                rondo::to_string(rnn.device()).c_str(), text.c_str(), options_.out.c_str());
  }

 private:
  void check_steps(const Array& x) const {
    // Steps without rows have no bytes in the file that would bound their number.
    constexpr std::int64_t kMostEmpty = 1 << 16;
    if (t() >= 1 && (n() > 0 || t() <= kMostEmpty)) return;
    throw FileError(x.path, x.place,
                    "has shape " + to_string(x.sizes) + ", expected " +
                        (t() < 1 ? "T of at least 1" : "T of at most 65536 where N is 0"));
  }
  std::int64_t t() const { return x_.shape()[config_.layout == rondo::Layout::kBatchMajor ? 1 : 0]; }
  std::int64_t n() const { return x_.shape()[config_.layout == rondo::Layout::kBatchMajor ? 0 : 1]; }

  Tensor state(const std::string& path, const char* letter, std::int64_t width) const {
    if (path.empty()) return {};
    const std::int64_t stacked = config_.num_layers * rondo::num_directions(config_);
    if (width != config_.hidden_size) letter = "P";
    return float_tensor(read_npy(path), config_.dtype, {stacked, n(), width},
                        "[L*D=" + std::to_string(stacked) + ", N=" + std::to_string(n()) + ", " + letter +
                            "=" + std::to_string(width) + "]");
  }
  // [T, N] or [N, T], absent when no path is given.
  Tensor flags(const std::string& path) const {
    if (path.empty()) return {};
    const bool batch = config_.layout == rondo::Layout::kBatchMajor;
    const std::string t_text = "T=" + std::to_string(t()), n_text = "N=" + std::to_string(n());
    return flags_tensor(read_npy(path), {x_.shape()[0], x_.shape()[1]},
                        "[" + (batch ? n_text + ", " + t_text : t_text + ", " + n_text) + "]");
  }

  const PassOptions& options_;
  Model model_;
  const rondo::RnnConfig& config_;
  Tensor x_, h0_, c0_, lengths_, mask_, resets_;
};

}  // namespace

void run_forward(const PassOptions& options) {
  const Call call(options);
  call.check_out();
  rondo::Rnn rnn = make_network(call.model(), options.device);
  const rondo::ForwardResult out = rnn.forward(call.x(), call.forward_options());
  Results results = {{"y", out.y}, {"h_n", out.h_n}};
  if (call.lstm()) results.emplace_back("c_n", out.c_n);
  call.write(rnn, results);
}

void run_backward(const PassOptions& options) {
  const Call call(options);
  call.check_out();
  const Tensor dy = call.output_gradient(options.dy), dh_n = call.state(options.dh_n),
               dc_n = call.cell_state(options.dc_n);
  rondo::Rnn rnn = make_network(call.model(), options.device);
  rondo::Tape tape;
  rondo::ForwardOptions forward = call.forward_options();
  forward.tape = &tape;
  const rondo::ForwardResult out = rnn.forward(call.x(), forward);
  const rondo::BackwardResult back = rnn.backward(tape, {.dy = dy, .dh_n = dh_n, .dc_n = dc_n});
  Results results = {{"dx", back.dx}, {"dh0", back.dh0}};
  if (call.lstm()) results.emplace_back("dc0", back.dc0);
  for (const rondo::ParameterInfo& info : rondo::parameter_layout(rnn.config())) {
    results.emplace_back(call.model().prefix + info.name, rnn.gradient(info.name));
  }
  call.write(rnn, results);
}

}  // namespace cli
