// The CUDA backend on a GPU: streams, graphs, memory, threads and what befalls a process. Linked to the
// shared library, as a user's program is, and to a CUDA runtime of its own; built only where the module is.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "device_error.h"
#include "random_fill.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

using Values = std::vector<float>;
constexpr Device kGpu{Device::Kind::kCuda, 0};
constexpr std::int64_t kSteps = 12, kRows = 5, kInputs = 7, kUnits = 24;

void ok(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

class OnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const DeviceInfo& info : list_devices()) {
      if (info.device == kGpu && !info.usable) GTEST_SKIP() << "cuda:0: " << info.reason;
    }
  }
};
using CudaStreams = OnGpu;
using CudaGraphs = OnGpu;
using CudaProcesses = OnGpu;

Values random_values(std::int64_t count, std::uint64_t seed) {
  const std::vector<double> values = RandomFill(seed).values(count, 0.5, DType::kF32);
  return {values.begin(), values.end()};
}
Tensor random_tensor(const Shape& shape, std::uint64_t seed) {
  Tensor tensor(DType::kF32, shape);
  const Values values = random_values(shape.count(), seed);
  std::copy(values.begin(), values.end(), tensor.span<float>().begin());
  return tensor;
}
Values values_of(const Tensor& tensor) {
  const auto span = tensor.span<float>();
  return {span.begin(), span.end()};
}

// Memory of the device that is full of these values and complete.
class GpuArray {
 public:
  explicit GpuArray(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
    ok(cudaMalloc(&data_, bytes_));
    ok(cudaMemset(data_, 0, bytes_));
    ok(cudaDeviceSynchronize());
  }
  explicit GpuArray(const Values& values) : GpuArray(values.size() * sizeof(float)) {
    ok(cudaMemcpy(data_, values.data(), bytes_, cudaMemcpyHostToDevice));
    ok(cudaDeviceSynchronize());
  }
  ~GpuArray() { cudaFree(data_); }
  GpuArray(const GpuArray&) = delete;
  GpuArray& operator=(const GpuArray&) = delete;

  void* data() const { return data_; }
  TensorView view(const Shape& shape) const { return {data_, DType::kF32, shape, kGpu}; }
  std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }
  // Once all work of the device is done.
  Values fetch() const {
    ok(cudaDeviceSynchronize());
    Values values(bytes_ / sizeof(float));
    ok(cudaMemcpy(values.data(), data_, bytes_, cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

// One that nothing else waits for.
class Stream {
 public:
  Stream() { ok(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

RnnConfig lstm(std::int64_t layers = 2) {
  return {.cell = Cell::kLstm, .input_size = kInputs, .hidden_size = kUnits, .num_layers = layers};
}

// A network at level two with all its arrays, on a stream or, with null, on the backend's own.
class Network {
 public:
  Network(const RnnConfig& config, Phase phase, cudaStream_t stream)
      : plan(config, {phase, kSteps, kRows, kGpu, stream}),
        parameters(random_values(parameter_count(config), 1)),
        x(random_values(kSteps * kRows * kInputs, 2)),
        dy(random_values(kSteps * kRows * kUnits, 3)),
        y(Values(kSteps * kRows * kUnits)),
        dx(Values(kSteps * kRows * kInputs)),
        dparameters(Values(static_cast<std::size_t>(parameter_count(config)))),
        work(plan.workspace_bytes()),
        kept(plan.tape_bytes()),
        tape(kept.span()),
        weights(plan.pack(parameters.view({parameter_count(config)}))) {}

  ForwardArgs forward_args() {
    return {.x = x.view({kSteps, kRows, kInputs}),
            .y = y.view({kSteps, kRows, kUnits}),
            .workspace = work.span()};
  }
  void infer() { plan.forward(weights, forward_args()); }
  void train() {
    ForwardArgs args = forward_args();
    args.tape = &tape;
    plan.forward(weights, args);
    plan.backward(weights, tape,
                  {.dy = dy.view({kSteps, kRows, kUnits}),
                   .dx = dx.view({kSteps, kRows, kInputs}),
                   .dparameters = dparameters.view({parameter_count(plan.config())}),
                   .workspace = work.span()});
  }
  std::vector<Values> results() const { return {y.fetch(), dx.fetch(), dparameters.fetch()}; }

  Plan plan;
  GpuArray parameters, x, dy, y, dx, dparameters, work, kept;
  Tape tape;
  PackedWeights weights;
};

TEST_F(CudaStreams, ACallersStreamGivesTheBitsOfTheBackendsOwn) {
  const Stream stream;
  Network callers(lstm(), Phase::kTraining, stream), own(lstm(), Phase::kTraining, nullptr);
  callers.train();
  own.train();
  EXPECT_EQ(callers.results(), own.results());

  Rnn cpu(lstm(), Device{});
  const Values parameters = random_values(parameter_count(lstm()), 1);
  std::copy(parameters.begin(), parameters.end(), cpu.parameters().span<float>().begin());
  const Values y = values_of(cpu.forward(random_tensor({kSteps, kRows, kInputs}, 2)).y), got = own.y.fetch();
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(got[i], y[i], 1e-5) << "y[" << i << "]";
}

// Keeps a stream from going on until it is opened, or for 20 seconds.
class Gate {
 public:
  void close(cudaStream_t stream) { ok(cudaLaunchHostFunc(stream, wait, this)); }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool timed_out() const { return timed_out_; }

 private:
  static void wait(void* self) {
    auto& gate = *static_cast<Gate*>(self);
    std::unique_lock lock(gate.mutex_);
    gate.timed_out_ = !gate.changed_.wait_for(lock, std::chrono::seconds(20), [&] { return gate.open_; });
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false, timed_out_ = false;
};

// The device has not begun when the calls return. Of calls with lengths this holds for few in flight alone.
TEST_F(CudaStreams, CallsWithoutLengthsDoNotWaitForTheDevice) {
  const Stream stream;
  Network network(lstm(1), Phase::kTraining, stream);
  network.train();  // loads the kernels
  const Values y = network.y.fetch(), dx = network.dx.fetch();
  ok(cudaMemset(network.y.data(), 0, network.y.span().size()));
  ok(cudaMemset(network.dx.data(), 0, network.dx.span().size()));
  ok(cudaDeviceSynchronize());
  Gate gate;
  gate.close(stream);
  for (int i = 0; i < 5; ++i) network.train();
  const cudaError_t busy = cudaStreamQuery(stream);
  gate.open();
  EXPECT_EQ(network.y.fetch(), y);
  EXPECT_EQ(network.dx.fetch(), dx);
  EXPECT_FALSE(gate.timed_out()) << "a call waited for the stream";
  EXPECT_EQ(busy, cudaErrorNotReady);
}

// More than there are slots for what calls send.
TEST_F(CudaStreams, CallsWithLengthsInFlightKeepTheirOwn) {
  const Stream stream;
  Network network(lstm(), Phase::kInference, stream);
  std::int32_t lengths[2][kRows] = {{12, 3, 0, 7, 12}, {1, 12, 5, 0, 2}};
  std::deque<GpuArray> outputs;
  const auto run = [&](int which) {
    ForwardArgs args = network.forward_args();
    args.lengths = {lengths[which], Shape{kRows}};
    args.y = outputs.emplace_back(Values(kSteps * kRows * kUnits)).view({kSteps, kRows, kUnits});
    return [&, args] { network.plan.forward(network.weights, args); };
  };
  Values expected[2];
  for (const int which : {0, 1}) {
    run(which)();
    expected[which] = outputs.back().fetch();
  }
  ASSERT_NE(expected[0], expected[1]);
  outputs.clear();
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(run(i % 2));
  for (const auto& call : calls) call();
  for (std::size_t i = 0; i < outputs.size(); ++i)
    EXPECT_EQ(outputs[i].fetch(), expected[i % 2]) << "call " << i;
}

TEST_F(CudaStreams, PlansOnTwoStreamsDoNotDisturbOneAnother) {
  const Stream first, second;
  Network alone(lstm(), Phase::kTraining, nullptr);
  Network a(lstm(), Phase::kTraining, first), b(lstm(), Phase::kTraining, second);
  for (int i = 0; i < 20; ++i) {
    a.train();
    b.train();
    alone.train();
  }
  const std::vector<Values> expected = alone.results();
  EXPECT_EQ(a.results(), expected);
  EXPECT_EQ(b.results(), expected);
}

TEST_F(CudaStreams, WeightsServeAnotherStreamThatWaitsAndOutliveTheirPlan) {
  const Stream first, second;
  Network user(lstm(), Phase::kInference, second);
  user.infer();
  const Values expected = user.y.fetch();
  auto packer = std::make_unique<Network>(lstm(), Phase::kInference, first);
  cudaEvent_t packed = nullptr;
  ok(cudaEventCreate(&packed));
  ok(cudaEventRecord(packed, first));
  ok(cudaStreamWaitEvent(second, packed, 0));
  user.weights = std::move(packer->weights);
  packer.reset();
  ok(cudaMemset(user.y.data(), 0, expected.size() * sizeof(float)));
  ok(cudaDeviceSynchronize());
  user.infer();
  EXPECT_EQ(user.y.fetch(), expected);
  user.weights = {};  // before the streams
  ok(cudaEventDestroy(packed));
}

TEST_F(CudaStreams, RunsGiveEqualBits) {
  const auto run = [] {
    const Stream stream;
    Network network(lstm(), Phase::kTraining, stream);
    network.train();
    return network.results();
  };
  const std::vector<Values> first = run();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(run(), first);
}

// Captures what the calls ask of the stream, and can have it done again.
class Graph {
 public:
  template <class Calls>
  Graph(cudaStream_t stream, const Calls& calls) : stream_(stream) {
    cudaGraph_t graph = nullptr;
    ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    try {
      calls();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    ok(cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&exec_, graph, 0);
    cudaGraphDestroy(graph);
    ok(status);
  }
  ~Graph() { cudaGraphExecDestroy(exec_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void replay() const { ok(cudaGraphLaunch(exec_, stream_)); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t exec_ = nullptr;
};

// That the capture succeeds proves too that neither pass takes memory of the device: CudaRuntime::allocate
// refuses in one, and so does CUDA itself whatever a library would take.
TEST_F(CudaGraphs, ReplayGivesTheBitsOfTheCall) {
  const Stream stream;
  Network network(lstm(), Phase::kTraining, stream), plain(lstm(), Phase::kTraining, nullptr);
  network.train();
  ok(cudaDeviceSynchronize());
  ok(cudaMemset(network.dparameters.data(), 0, network.dparameters.span().size()));
  const Graph graph(stream, [&] { network.train(); });
  for (int times = 0; times < 2; ++times) {
    ok(cudaMemset(network.y.data(), 0xFF, network.y.span().size()));
    ok(cudaMemset(network.dx.data(), 0xFF, network.dx.span().size()));
    ok(cudaDeviceSynchronize());
    graph.replay();
    plain.train();
    EXPECT_EQ(network.results(), plain.results()) << "replay " << times;
  }
  // It reads what lies there when it is replayed.
  const Values other = random_values(kSteps * kRows * kInputs, 9);
  for (const Network* each : {&network, &plain}) {
    ok(cudaMemcpy(each->x.data(), other.data(), other.size() * sizeof(float), cudaMemcpyHostToDevice));
  }
  ok(cudaDeviceSynchronize());
  graph.replay();
  plain.train();
  EXPECT_EQ(network.results(), plain.results());
}

TEST_F(CudaGraphs, WhatCannotBeCapturedIsRefused) {
  const Stream stream;
  Network network(lstm(), Phase::kInference, stream);
  network.infer();
  const Values expected = network.y.fetch();
  const std::int32_t lengths[kRows] = {12, 3, 0, 7, 12};
  ForwardArgs ragged = network.forward_args();
  ragged.lengths = {lengths, Shape{kRows}};
  const auto refusal = [&](const auto& call) { return device_error([&] { Graph graph(stream, call); }); };
  EXPECT_NE(refusal([&] {
              network.plan.forward(network.weights, ragged);
            }).find("calls with lengths cannot be captured"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              (void)network.plan.pack(network.parameters.view({parameter_count(lstm())}));
            }).find("plan and pack before the capture"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              Plan plan(lstm(), {.device = kGpu, .stream = stream});
            }).find("make it before the capture"),
            std::string::npos);
  network.infer();  // the stream is none the worse for it
  EXPECT_EQ(network.y.fetch(), expected);
}

struct Trained {
  Values y, dx, gradients;
  bool operator==(const Trained&) const = default;
};
Trained train(std::uint64_t seed) {
  Rnn rnn(lstm(), kGpu);
  rnn.initialize(Initializer::kPyTorch, seed);
  const Tensor x = random_tensor({kSteps, kRows, kInputs}, seed),
               dy = random_tensor({kSteps, kRows, kUnits}, 3);
  const std::int64_t lengths[kRows] = {12, 3, 0, 7, 12};
  Trained trained;
  for (int i = 0; i < 10; ++i) {
    Tape tape;
    const ForwardResult out = rnn.forward(x, {.lengths = {lengths, Shape{kRows}}, .tape = &tape});
    trained.dx = values_of(rnn.backward(tape, {.dy = dy}).dx);
    trained.y = values_of(out.y);
  }
  const auto gradients = rnn.gradients().span<float>();
  trained.gradients = {gradients.begin(), gradients.end()};
  return trained;
}

TEST_F(CudaProcesses, TwoThreadsGiveTheBitsOfOne) {
  const Trained expected[] = {train(1), train(2)};
  Trained got[2];
  {
    std::thread other([&] { got[0] = train(1); });
    got[1] = train(2);
    other.join();
  }
  EXPECT_TRUE(got[0] == expected[0]);
  EXPECT_TRUE(got[1] == expected[1]);
  EXPECT_FALSE(got[0] == got[1]);
}

// Of several chunks, from and to pageable memory and memory that CUDA knows.
TEST_F(CudaProcesses, RegisteredArraysGiveTheBitsOfOthers) {
  const RnnConfig config{.cell = Cell::kGru, .input_size = 512, .hidden_size = 96};
  Rnn rnn(config, kGpu);
  Tensor x = random_tensor({40, 65, 512}, 4);  // 5.3 MB
  const Values expected = values_of(rnn.forward(x).y);
  const std::size_t bytes = static_cast<std::size_t>(x.shape().count()) * sizeof(float);
  ok(cudaHostRegister(x.view().data, bytes, cudaHostRegisterDefault));
  const Values got = values_of(rnn.forward(x).y);
  ok(cudaHostUnregister(x.view().data));
  EXPECT_EQ(got, expected);
  Rnn cpu(config, Device{});
  const Values y = values_of(cpu.forward(x).y);
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(got[i], y[i], 1e-4) << "y[" << i << "]";
}

// A network that goes to a GPU by prediction, when there is no room for it.
TEST_F(CudaProcesses, AutoTakesTheCpuWhenTheDeviceIsFull) {
  const RnnConfig config{.input_size = 1024, .hidden_size = 1024, .num_layers = 4};
  train(1);  // what the backend itself needs is there
  std::vector<void*> blocks;
  for (std::size_t bytes = std::size_t{64} << 30; bytes >= std::size_t{1} << 20;) {
    void* block = nullptr;
    if (cudaMalloc(&block, bytes) == cudaSuccess) {
      blocks.push_back(block);
    } else {
      cudaGetLastError();
      bytes /= 2;
    }
  }
  const Tensor x(DType::kF32, {2, 256, 1024});
  Rnn rnn(config, DeviceChoice());
  rnn.forward(x);
  const std::string explained = rnn.explain();
  Rnn asked(config, kGpu);
  const std::string error = device_error([&] { asked.forward(x); });
  for (void* block : blocks) ok(cudaFree(block));
  EXPECT_EQ(rnn.device(), Device{}) << explained;
  EXPECT_EQ(explained.find("cpu: cuda:0 was the fastest by prediction and failed (cuda:0: "), 0U)
      << explained;
  EXPECT_NE(error.find("plan for a smaller max_t or max_n"), std::string::npos) << error;
  EXPECT_EQ(asked.forward(x).y.shape(), (Shape{2, 256, 1024}));  // once there is room
}

// Arrays that lie nowhere: a kernel faults, and all that follows says what is left to do.
[[noreturn]] void fault() {
  std::string said = "no call failed";
  try {
    const Stream stream;
    Network network(lstm(1), Phase::kInference, stream);
    ForwardArgs args = network.forward_args();
    args.x.data = reinterpret_cast<const void*>(std::uintptr_t{1} << 46);
    network.plan.forward(network.weights, args);
    cudaStreamSynchronize(stream);
    network.infer();
  } catch (const DeviceError& error) {
    said = error.what();
  } catch (const std::exception& error) {
    said = error.what();
  }
  std::fprintf(stderr, "%s\n", said.c_str());
  std::_Exit(0);
}
TEST_F(CudaProcesses, AFaultSaysThatTheProcessHasToBeRestarted) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // in a process that has not used CUDA before
  EXPECT_EXIT(fault(), ::testing::ExitedWithCode(0), "cuda:0: .* failed: .*restart the process");
}

TEST_F(CudaProcesses, AForkedChildIsToldThatItCannotUseCuda) {
  train(1);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto say = [&](const std::string& text) { return write(ends[1], text.data(), text.size()) >= 0; };
    try {
      train(1);
      say("no error");
    } catch (const std::exception& error) {
      say(error.what());
    }
    std::_Exit(0);
  }
  close(ends[1]);
  std::string said(1000, '\0');
  const ssize_t bytes = read(ends[0], said.data(), said.size());
  said.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_NE(said.find("forked after its parent had used CUDA"), std::string::npos) << said << ", " << status;
  train(1);  // the parent goes on
}

}  // namespace
}  // namespace rondo::testing
