// `rondo run` and `rondo grad` against the library's own results.
#include "program_call.h"

namespace cli::testing {
namespace {

struct Case {
  const char* name;
  const char* cell;  // as --cell has it; given where the file does not say so
  rondo::RnnConfig config;
  bool lengths, states, npz;
  const char* prefix = "";
  bool flags = false;  // a mask and resets
};
std::vector<Case> cases() {
  std::vector<Case> all = {
      {"lstm", "", config_of(Cell::kLstm, 1, Direction::kForward), false, false, false},
      {"lstm_stack", "", config_of(Cell::kLstm, 2, Direction::kBidirectional), true, true, false, "rnn."},
      {"lstm_batch_first", "lstm", config_of(Cell::kLstm, 2, Direction::kForward, DType::kF64), true, true,
       true},
      {"gru", "", config_of(Cell::kGru, 1, Direction::kForward), false, true, true, "gru."},
      {"gru_one_bias", "gru", config_of(Cell::kGru, 3, Direction::kBidirectional, DType::kF64), true, false,
       false},
      {"gru_batch_first", "", config_of(Cell::kGru, 2, Direction::kBidirectional), true, true, false},
      {"tanh", "", config_of(Cell::kSimpleRnn, 2, Direction::kForward), true, true, false},
      {"relu", "rnn_relu", config_of(Cell::kSimpleRnn, 1, Direction::kBidirectional), false, true, true},
      {"no_bias", "rnn_tanh", config_of(Cell::kSimpleRnn, 2, Direction::kBidirectional), false, false, false},
      {"projected", "", config_of(Cell::kLstm, 2, Direction::kBidirectional), true, true, true, "p.", true},
      {"peephole_norm", "lstm", config_of(Cell::kLstm, 1, Direction::kForward), false, true, false, "", true},
      {"gru_norm", "", config_of(Cell::kGru, 2, Direction::kForward), true, true, false, "", true},
  };
  all[9].config.projection_size = 2;
  all[10].config.peephole = all[10].config.layer_norm = all[11].config.layer_norm = true;
  all[11].config.layout = rondo::Layout::kBatchMajor;
  all[2].config.layout = all[5].config.layout = rondo::Layout::kBatchMajor;
  all[4].config.bias = rondo::Bias::kSingle;
  all[7].config.activation = rondo::Activation::kRelu;
  all[8].config.bias = rondo::Bias::kNone;
  return all;
}

// The inputs of a case, their files, and the options that name them.
class Inputs {
 public:
  explicit Inputs(const Case& c) : c_(c), rnn_(c.config, rondo::Device{}) {
    rnn_.initialize(rondo::Initializer::kPyTorch, 7);
    const rondo::RnnConfig& config = c.config;
    const bool batch = config.layout == rondo::Layout::kBatchMajor;
    const std::int64_t t = 6, n = 4, stacked = config.num_layers * rondo::num_directions(config);
    const auto sequence = [&](std::int64_t w) {
      return batch ? rondo::Shape{n, t, w} : rondo::Shape{t, n, w};
    };
    const rondo::Shape state{stacked, n, rondo::state_size(config)}, cell{stacked, n, config.hidden_size};
    model_ = folder_.write("model", c.npz ? npz_of(parameters_of(rnn_, c.prefix))
                                          : safetensors_of(parameters_of(rnn_, c.prefix)));
    x_ = add("x", "", filled(config.dtype, sequence(config.input_size), 1));
    dy_ = add("dy", "", filled(config.dtype, sequence(rondo::output_size(config)), 2));
    if (batch) options_ += " --batch-first";
    if (*c.cell != '\0') options_ += std::string(" --cell ") + c.cell;
    if (c.lengths) {
      Tensor lengths(DType::kI32, {n});
      std::ranges::copy(std::initializer_list<int>{3, 6, 0, 1}, lengths.span<std::int32_t>().begin());
      lengths_ = add("lengths", " --lengths ", std::move(lengths));
    }
    if (c.flags) {
      mask_ = add("mask", " --mask ", flags(batch ? rondo::Shape{n, t} : rondo::Shape{t, n}, 3, 1));
      resets_ = add("resets", " --resets ", flags(batch ? rondo::Shape{n, t} : rondo::Shape{t, n}, 5, 0));
    }
    if (c.states) h0_ = add("h0", " --h0 ", filled(config.dtype, state, 3));
    if (c.states && lstm()) c0_ = add("c0", " --c0 ", filled(config.dtype, cell, 4));
    forward_options_ = options_;
    if (c.states) dh_n_ = add("dh_n", " --dh-n ", filled(config.dtype, state, 5));
    if (c.states && lstm()) dc_n_ = add("dc_n", " --dc-n ", filled(config.dtype, cell, 6));
  }

  void check_run() {
    const std::string out = folder_.at("out.npz");
    expect_ok("run " + model_ + " " + folder_.at("x") + forward_options_ + " -o " + out);
    const rondo::ForwardResult expected = rnn_.forward(x_, forward());
    const std::map<std::string, Array> got = results(out);
    EXPECT_EQ(got.size(), lstm() ? 3U : 2U);
    expect_same(got, "y", expected.y);
    expect_same(got, "h_n", expected.h_n);
    if (lstm()) expect_same(got, "c_n", expected.c_n);
  }
  void check_grad() {
    const std::string out = folder_.at("gradients.npz");
    expect_ok("grad " + model_ + " " + folder_.at("x") + " " + folder_.at("dy") + options_ + " -o " + out);
    rondo::Tape tape;
    rnn_.zero_gradients();
    rondo::ForwardOptions options = forward();
    options.tape = &tape;
    const rondo::ForwardResult y = rnn_.forward(x_, options);
    const rondo::BackwardResult expected = rnn_.backward(tape, {.dy = dy_, .dh_n = dh_n_, .dc_n = dc_n_});
    const std::map<std::string, Array> got = results(out);
    expect_same(got, "dx", expected.dx);
    expect_same(got, "dh0", expected.dh0);
    if (lstm()) expect_same(got, "dc0", expected.dc0);
    const auto layout = rondo::parameter_layout(c_.config);
    EXPECT_EQ(got.size(), layout.size() + (lstm() ? 3 : 2));
    for (const rondo::ParameterInfo& info : layout)
      expect_same(got, c_.prefix + info.name, rnn_.gradient(info.name));
  }

 private:
  bool lstm() const { return c_.config.cell == Cell::kLstm; }
  rondo::ForwardOptions forward() const {
    return {.h0 = h0_, .c0 = c0_, .lengths = lengths_, .mask = mask_, .resets = resets_};
  }
  // Every so many-th one is 1 - usual, the others are usual.
  static Tensor flags(rondo::Shape shape, std::size_t every, std::uint8_t usual) {
    Tensor tensor(DType::kU8, shape);
    const std::span<std::uint8_t> all = tensor.span<std::uint8_t>();
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i % every == 1 ? !usual : usual;
    return tensor;
  }
  Tensor add(const std::string& name, const std::string& option, Tensor tensor) {
    const std::string path = folder_.write(name, npy_of(tensor));
    if (!option.empty()) options_ += option + path;
    return tensor;
  }

  const Case& c_;
  Folder folder_;
  rondo::Rnn rnn_;
  Tensor x_, dy_, h0_, c0_, lengths_, mask_, resets_, dh_n_, dc_n_;
  std::string model_, options_, forward_options_;
};

TEST(Program, RunGivesWhatTheLibraryGives) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Inputs(c).check_run();
  }
}

TEST(Program, GradGivesTheLibrarysGradients) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Inputs(c).check_grad();
  }
}

}  // namespace
}  // namespace cli::testing
