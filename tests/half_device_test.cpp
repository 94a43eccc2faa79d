// Networks of 16-bit elements on a device, through both levels of the interface: a fake GPU that keeps f16 or
// bf16 in its memory and computes layers in float.
#include <gtest/gtest.h>

#include "cpu/layer.h"
#include "device_solve.h"
#include "fake_gpu.h"
#include "network_fixture.h"
#include "random_problems.h"

namespace rondo::testing {
namespace {

// Rows of T as dense rows of floats, for the life of a call; what the call writes is rounded back at its end.
template <class T>
class WideArrays {
 public:
  WideArrays() = default;
  WideArrays(const WideArrays&) = delete;
  ~WideArrays() {
    for (Array& a : arrays_) {
      for (std::int64_t i = 0; a.written && i < a.rows * a.width; ++i) a.narrow(i) = T(a.wide[i]);
    }
  }
  ConstRows read(ConstRows rows, std::int64_t count, std::int64_t width) {
    return {add({{const_cast<void*>(rows.data), rows.ld, rows.index}, count, width, false}), width};
  }
  Rows write(Rows rows, std::int64_t count, std::int64_t width) {
    return {add({rows, count, width, true}), width};
  }
  const void* read(const void* data, std::int64_t count) {
    return read(ConstRows{data, count}, 1, count).data;
  }
  void* write(void* data, std::int64_t count) { return write(Rows{data, count}, 1, count).data; }

 private:
  struct Array {
    Rows at;
    std::int64_t rows, width;
    bool written;
    std::vector<float> wide = {};
    T& narrow(std::int64_t i) const {
      const std::int64_t row = at.index == nullptr ? i / width : at.index[i / width];
      return static_cast<T*>(at.data)[row * at.ld + i % width];
    }
  };
  float* add(Array a) {
    if (a.at.data == nullptr) return nullptr;
    const std::int64_t count = a.rows * a.width;
    a.wide.resize(static_cast<std::size_t>(std::max<std::int64_t>(count, 1)));
    for (std::int64_t i = 0; i < count; ++i) a.wide[i] = static_cast<float>(a.narrow(i));
    return arrays_.emplace_back(std::move(a)).wide.data();
  }
  std::deque<Array> arrays_;
};

template <class T>
class HalfLayers final : public LayerBackend {
 public:
  HalfLayers(FakeMemory& memory, const Request& request)
      : memory_(memory), config_(request.config), wide_(in_f32(request)) {}
  std::size_t saved_bytes(std::int64_t flat) const override { return wide_.saved_bytes(flat); }
  std::size_t workspace_bytes(std::int64_t flat, std::int64_t n) const override {
    return wide_.workspace_bytes(flat, n);
  }
  std::string path() const override { return "fake gpu, " + to_string(config_.dtype); }
  bool on_host() const override { return false; }
  std::unique_ptr<Packed> pack(const void* parameters) const override {
    const auto open = memory_.open(parameters);
    WideArrays<T> wide;
    std::unique_ptr<Packed> packed = wide_.pack(wide.read(parameters, parameter_count(config_)));
    packed->config = config_;
    return packed;
  }
  void forward(const LayerForward& call) override {
    const auto open = memory_.open(call.x.data, call.y.data, call.h0, call.c0, call.h_n, call.c_n);
    WideArrays<T> wide;
    LayerForward f = call;
    widen(f, wide);
    f.y = wide.write(call.y, call.sequence.total(), config_.hidden_size);
    f.h_n = wide.write(call.h_n, state(call));
    f.c_n = wide.write(call.c_n, state(call));
    wide_.forward(f);
  }
  void backward(const LayerBackward& call) override {
    const auto open = memory_.open(call.x.data, call.y.data, call.dy.data, call.dx.data, call.dparameters);
    const std::int64_t rows = call.sequence.total(), in = layer_input_size(config_, call.id.layer);
    WideArrays<T> wide;
    LayerBackward b = call;
    widen(b, wide);
    b.y = wide.write(call.y, rows, config_.hidden_size);  // what was read is written back
    b.dy = wide.read(call.dy, rows, config_.hidden_size);
    b.dh_n = wide.read(call.dh_n, state(call));
    b.dc_n = wide.read(call.dc_n, state(call));
    b.dx = wide.write(call.dx, rows, in);
    b.dh0 = wide.write(call.dh0, state(call));
    b.dc0 = wide.write(call.dc0, state(call));
    b.dparameters = wide.write(call.dparameters, parameter_count(config_));
    wide_.backward(b);
  }
  void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) override {
    const auto open = memory_.open(to);
    std::copy_n(from, count, to);
  }
  void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, from.data, from.index);
    WideArrays<T> wide;
    const ConstRows wide_from = wide.read(from, count, width);
    wide_.copy_rows(wide.write(to, count, width), wide_from, count, width);
  }
  void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                  std::int64_t width) override {
    const auto open = memory_.open(to.data, to.index, a.data, a.index, b.data, b.index);
    WideArrays<T> wide;
    const ConstRows wide_a = wide.read(a, count, width), wide_b = wide.read(b, count, width);
    wide_.merge_rows(how, wide.write(to, count, width), wide_a, wide_b, count, width);
  }
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) override {
    const auto open = memory_.open(to.data, draw.index);
    WideArrays<T> wide;
    wide_.draw_mask(wide.write(to, count, width), draw, count, width);
  }

 private:
  static Request in_f32(Request request) {
    request.config.dtype = DType::kF32;
    return request;
  }
  std::int64_t state(const LayerCall& call) const { return call.sequence.n * config_.hidden_size; }
  void widen(LayerCall& call, WideArrays<T>& wide) const {
    const std::int64_t in = layer_input_size(config_, call.id.layer);
    const std::int64_t mask_rows = call.masks.groups * call.masks.group_rows;
    call.x = wide.read(call.x, call.sequence.total(), in);
    call.h0 = wide.read(call.h0, state(call));
    call.c0 = wide.read(call.c0, state(call));
    call.masks.input = wide.read(call.masks.input, mask_rows * in);
    call.masks.recurrent = wide.read(call.masks.recurrent, mask_rows * config_.hidden_size);
  }

  FakeMemory& memory_;
  RnnConfig config_;
  cpu::Layers<float> wide_;
};

// The one of this process, registered at the first use.
FakeMemory& half_gpu() {
  static FakeMemory* const memory = [] {
    auto* made = new FakeMemory;
    backends();
    register_backend(
        std::make_unique<FakeGpu>(*made, [made](const Request& request) -> std::unique_ptr<LayerBackend> {
          if (request.config.dtype == DType::kF16) {
            return std::make_unique<HalfLayers<Float16>>(*made, request);
          }
          return std::make_unique<HalfLayers<BFloat16>>(*made, request);
        }));
    return made;
  }();
  return *memory;
}

template <class T>
void check(Problem p, Measured& measured) {
  p.device = kFakeGpu;
  const Data data = draw_clear_of_kinks<T>(p);
  const Truth<T> truth(p, data);
  Data unmasked = data;
  unmasked.call.input_masks = unmasked.call.recurrent_masks = unmasked.call.layer_masks = {};
  Truth<T>(p, unmasked)
      .compare_forward("inference", OnDevice<T>(p, data, Phase::kInference).infer(), measured);
  const Solution<T> plan = OnDevice<T>(p, data, Phase::kTraining).train(data.upstream);
  truth.compare_forward("training", plan.results, measured);
  truth.compare_backward("training", plan.gradients, data.upstream, measured);
  const Solution<T> rnn = train_by_rnn<T>(p, data, data.upstream);
  truth.compare_forward("Rnn", rnn.results, measured);
  truth.compare_backward("Rnn", rnn.gradients, data.upstream, measured);
}
void check(const Problem& p, Measured& measured) {
  if (p.config.dtype == DType::kF16) check<Float16>(p, measured);
  if (p.config.dtype == DType::kBf16) check<BFloat16>(p, measured);
}

class HalfDevice : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override { before_ = half_gpu().allocated(); }
  void TearDown() override { EXPECT_EQ(half_gpu().allocated(), before_) << "device memory was kept"; }

 private:
  std::size_t before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Each, HalfDevice, ::testing::Values(DType::kF16, DType::kBf16),
                         [](const auto& instance) { return rondo::to_string(instance.param); });

TEST_P(HalfDevice, EveryCaseMatchesTheReference) {
  Measured measured;
  for (const CellChoice& cell : cell_choices()) {
    for (const Case& c : cases()) {
      if (!selected(c.name)) continue;
      SCOPED_TRACE(std::string(cell.name) + ", " + c.name + " (" + c.reason + ")");
      check(problem_of(c, cell, GetParam()), measured);
      if (HasFailure()) return;
    }
  }
  measured.print(rondo::to_string(GetParam()));
}

TEST_P(HalfDevice, RandomProblemsMatchTheReference) {
  Measured measured;
  for (std::uint64_t seed = 100; seed < 150; ++seed) {
    for (const Problem& p : random_problems(seed, GetParam(), 2)) {
      SCOPED_TRACE(to_string(p.config) + ", seed " + std::to_string(p.seed));
      check(p, measured);
      if (HasFailure()) return;
    }
  }
  measured.print(rondo::to_string(GetParam()));
}

TEST_P(HalfDevice, StepsMakeTheSequence) {
  RnnConfig config{.cell = Cell::kLstm, .input_size = 5, .hidden_size = 19, .num_layers = 2};
  config.dtype = GetParam();
  Rnn rnn(config, kFakeGpu);
  rnn.initialize(Initializer::kKeras, 3);
  const Tensor x = random_tensor(config.dtype, {7, 3, 5}, 70);
  const ForwardResult whole = rnn.forward(x);
  State state = rnn.make_state(3);
  for (std::int64_t t = 0; t < 7; ++t) {
    ConstTensorView x_t = steps_of(x, t, 1), y_t = steps_of(whole.y, t, 1);
    x_t = {x_t.data, x_t.dtype, Shape{3, 5}};
    y_t = {y_t.data, y_t.dtype, Shape{3, 19}};
    expect_near(rnn.step(x_t, state), y_t, config, "step " + std::to_string(t));
  }
  EXPECT_GT(largest_magnitude(values_of(state.h())), 0);
}

}  // namespace
}  // namespace rondo::testing
