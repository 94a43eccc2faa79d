// Single questions about cuDNN on a GPU.
#include <algorithm>
#include <cstring>
#include <memory>

#include "bench/cudnn_jobs.h"
#include "cuda/cudnn_descriptors.h"

namespace bench {
namespace {

using rondo::Cell;
using rondo::DType;
using rondo::MathMode;
using rondo::cuda::CudnnAlgorithm;
using rondo::cuda::CudnnNetwork;
using rondo::cuda::CudnnSizes;

// By cuDNN's own calls, for what CudnnRnn does not ask: a training pass over time-major rows of any lengths.
class DirectPass {
 public:
  DirectPass(CudnnProbe& probe, const CudnnNetwork& network, const ProbeSequence& sequence,
             const std::vector<int>& lengths)
      : probe_(probe),
        cudnn_{probe.handle().library, probe.handle().device},
        rnn_(create_rnn_descriptor(cudnn_)),
        data_(create_sequence_descriptors(cudnn_)) {
    const auto subject = [&] { return describe(network); };
    set_rnn_descriptor(cudnn_, rnn_.get(), network);
    set_sequence_descriptors(cudnn_, data_, network, shape_of(network, sequence.rows()), lengths);
    cudnn_.plan(subject, "cudnnGetRNNWeightSpaceSize", cudnn_.library.cudnnGetRNNWeightSpaceSize, handle(),
                rnn_.get(), &weight_bytes_);
    cudnn_.plan(subject, "cudnnGetRNNTempSpaceSizes", cudnn_.library.cudnnGetRNNTempSpaceSizes, handle(),
                rnn_.get(), CUDNN_FWD_MODE_TRAINING, data_.x.get(), &sizes_.workspace, &sizes_.reserve);
    const auto element = rondo::element_bytes(network.dtype), rows = sequence.t * sequence.n;
    const auto bytes = static_cast<std::size_t>(
        rows * std::max(network.input_size, network.directions * network.hidden_size) * element);
    weights_ = probe.values(network.dtype, std::max(bytes, weight_bytes_));
    y_ = probe.room("y", bytes);
    dx_ = probe.room("dx", bytes);
    workspace_ = probe.room("workspace", sizes_.workspace + 1);
    reserve_ = probe.room("reserve", sizes_.reserve + 1);
  }
  void forward() {
    cudnn_.call("cudnnRNNForward", cudnn_.library.cudnnRNNForward, handle(), rnn_.get(),
                CUDNN_FWD_MODE_TRAINING, nullptr, data_.x.get(), weights_, data_.y.get(), y_,
                data_.state.get(), nullptr, nullptr, data_.state.get(), nullptr, nullptr, weight_bytes_,
                weights_, sizes_.workspace, workspace_, sizes_.reserve, reserve_);
  }
  // The weight gradients: `start` in every byte before, written as the mode says.
  std::vector<std::byte> backward(cudnnWgradMode_t mode, int start) {
    cudnn_.call("cudnnRNNBackwardData_v8", cudnn_.library.cudnnRNNBackwardData_v8, handle(), rnn_.get(),
                nullptr, data_.y.get(), y_, weights_, data_.x.get(), dx_, data_.state.get(), nullptr, nullptr,
                nullptr, data_.state.get(), nullptr, nullptr, nullptr, weight_bytes_, weights_,
                sizes_.workspace, workspace_, sizes_.reserve, reserve_);
    std::vector<std::byte> gradients(weight_bytes_, static_cast<std::byte>(start));
    std::byte* const dweights = probe_.room("dweights", weight_bytes_);
    probe_.arrays().copy(dweights, gradients.data(), weight_bytes_);
    cudnn_.call("cudnnRNNBackwardWeights_v8", cudnn_.library.cudnnRNNBackwardWeights_v8, handle(), rnn_.get(),
                mode, nullptr, data_.x.get(), weights_, data_.state.get(), nullptr, data_.y.get(), y_,
                weight_bytes_, dweights, sizes_.workspace, workspace_, sizes_.reserve, reserve_);
    probe_.arrays().copy(gradients.data(), dweights, weight_bytes_);
    probe_.arrays().synchronize();
    return gradients;
  }

 private:
  cudnnHandle_t handle() const { return probe_.handle().handle; }

  CudnnProbe& probe_;
  rondo::cuda::Cudnn cudnn_;
  rondo::cuda::RnnDescriptor rnn_;
  rondo::cuda::SequenceDescriptors data_;
  CudnnSizes sizes_;
  std::size_t weight_bytes_ = 0;
  const std::byte* weights_ = nullptr;
  std::byte *y_ = nullptr, *dx_ = nullptr, *workspace_ = nullptr, *reserve_ = nullptr;
};

// Equal where the gradients lie; between them a weight space may have room that nobody writes.
bool same_gradients(const rondo::cuda::CudnnRnn& rnn, const CudnnNetwork& network,
                    const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  const auto element = static_cast<std::size_t>(rondo::element_bytes(network.dtype));
  const auto h = static_cast<std::size_t>(network.hidden_size);
  const auto same = [&](std::size_t at, std::size_t count) {
    return std::memcmp(a.data() + at, b.data() + at, count * element) == 0;
  };
  bool all = true;
  for (int gate = 0; gate < num_gates(network.cell); ++gate) {
    for (const bool recurrent : {false, true}) {
      const rondo::cuda::CudnnRnn::Place place = rnn.place(0, 0, gate, recurrent);
      const std::size_t in = recurrent ? h : static_cast<std::size_t>(network.input_size);
      all = all && same(place.matrix, h * in) && same(place.bias, h);
    }
  }
  return all;
}

// Does a persistent algorithm take rows of different lengths, unsorted, and of length 0?
Json different_lengths(CudnnProbe& probe, const CudnnNetwork& network, int shortest) {
  const ProbeSequence sequence{16, 8};
  std::vector<int> lengths = {16, 3, shortest, 16, 9, 1, 12, 5};
  return probe.accepted_or_not([&]() -> Json {
    DirectPass pass(probe, network, sequence, lengths);
    pass.forward();
    probe.arrays().synchronize();
    Json answer{{"accepted", true}};
    answer["backward"] = probe.accepted_or_not([&]() -> Json {
      pass.backward(CUDNN_WGRAD_MODE_ADD, 0);
      return {{"accepted", true}};
    });
    return answer;
  });
}

// Are the bits of a training pass the same from run to run, on one stream and on another?
Json equal_bits(CudnnProbe& probe, const CudnnNetwork& network) {
  return probe.accepted_or_not([&]() -> Json {
    const ProbeSequence sequence{32, 16};
    CudnnProbe other;
    const std::vector<std::byte> first = probe.results(network, sequence);
    bool same = true, other_stream = true;
    for (int run = 0; run < 5; ++run) {
      same = same && probe.results(network, sequence) == first;
      other_stream = other_stream && other.results(network, sequence) == first;
    }
    return {{"accepted", true}, {"equal_on_one_stream", same}, {"equal_on_another_stream", other_stream}};
  });
}

// A step in a graph and as calls, from the difference of two lengths, so that what a call takes
// once drops out.
Json step_times(CudnnProbe& probe, const CudnnNetwork& network, std::int64_t rows) {
  return probe.accepted_or_not([&]() -> Json {
    constexpr std::int64_t kShort = 16, kLong = 64;
    Json answer{{"accepted", true}};
    for (const bool training : {false, true}) {
      for (const bool graph : {false, true}) {
        const double less = probe.time(network, {kShort, rows}, training, graph);
        const double more = probe.time(network, {kLong, rows}, training, graph);
        const std::string name =
            std::string(training ? "training" : "inference") + (graph ? "_graph" : "_calls");
        answer[name] = {
            {"t16_us", less}, {"t64_us", more}, {"us_per_step", (more - less) / (kLong - kShort)}};
      }
    }
    return answer;
  });
}

// Does the mode that sets weight gradients write what adding to zeros gives, whatever was there?
Json set_gradients(CudnnProbe& probe, const CudnnNetwork& network) {
  return probe.accepted_or_not([&]() -> Json {
    DirectPass pass(probe, network, {16, 8}, std::vector<int>(8, 16));
    const auto gradients = [&](cudnnWgradMode_t mode, int start) {
      pass.forward();
      return pass.backward(mode, start);
    };
    const auto rnn = make_cudnn_rnn(probe.handle(), network);
    const std::vector<std::byte> added = gradients(CUDNN_WGRAD_MODE_ADD, 0);
    const std::vector<std::byte> set = gradients(CUDNN_WGRAD_MODE_SET, 0);
    const std::vector<std::byte> set_over = gradients(CUDNN_WGRAD_MODE_SET, 0x3C);
    return {{"accepted", true},
            {"set_equals_added_to_zeros", same_gradients(*rnn, network, set, added)},
            {"set_ignores_what_was_there", same_gradients(*rnn, network, set_over, added)}};
  });
}

// Batch-major rows against time-major ones, and the least that turning x and y oneself costs: a
// copy of both.
Json batch_major(CudnnProbe& probe, const CudnnNetwork& network, std::int64_t rows) {
  return probe.accepted_or_not([&]() -> Json {
    constexpr std::int64_t kLength = 100;
    const std::int64_t wide = network.input_size + network.directions * network.hidden_size;
    Json answer{{"accepted", true}};
    for (const bool training : {false, true}) {
      const std::string phase = training ? "training" : "inference";
      answer[phase + "_time_major_us"] = probe.time(network, {kLength, rows, false}, training, false);
      answer[phase + "_batch_major_us"] = probe.time(network, {kLength, rows, true}, training, false);
    }
    answer["copy_of_x_and_y_us"] =
        probe.copy_us(static_cast<std::size_t>(kLength * rows * wide * rondo::element_bytes(network.dtype)));
    return answer;
  });
}

CudnnNetwork network_of(Cell cell, DType dtype, MathMode math, std::int64_t h, CudnnAlgorithm algorithm) {
  return {.cell = cell,
          .dtype = dtype,
          .math_mode = math,
          .input_size = h,
          .hidden_size = h,
          .algorithm = algorithm};
}

template <class Answer>
CudnnJob job(const char* question, const CudnnNetwork& network, const Json& sizes, const Answer& answer) {
  Json subject{{"question", question}};
  subject.update(json_of(network));
  subject.update(sizes);
  return {subject, [=](CudnnProbe& probe) { return answer(probe, network); }};
}

}  // namespace

std::vector<CudnnJob> cudnn_questions() {
  using enum CudnnAlgorithm;
  std::vector<CudnnJob> jobs;
  const auto bf16 = [](Cell cell, std::int64_t h, CudnnAlgorithm algorithm) {
    return network_of(cell, DType::kBf16, MathMode::kStrict, h, algorithm);
  };
  for (const CudnnAlgorithm algorithm : {kStandard, kPersistStatic, kPersistSmallH}) {
    for (const DType dtype : {DType::kF32, DType::kF16}) {
      const CudnnNetwork lstm = network_of(Cell::kLstm, dtype, MathMode::kStrict, 128, algorithm);
      for (const int shortest : {2, 0}) {
        jobs.push_back(
            job("rows of different lengths", lstm, {{"shortest", shortest}},
                [shortest](auto& probe, auto& n) { return different_lengths(probe, n, shortest); }));
      }
      jobs.push_back(job("equal bits from run to run and on two streams", lstm, {{"n", 16}}, equal_bits));
      jobs.push_back(job("weight gradients that are set", lstm, Json::object(), set_gradients));
    }
  }
  for (const Cell cell : {Cell::kLstm, Cell::kGru}) {
    for (const std::int64_t h : {256, 1024, 2048}) {
      for (const MathMode math : {MathMode::kStrict, MathMode::kTf32}) {
        jobs.push_back(job("the standard algorithm in a graph",
                           network_of(cell, DType::kF32, math, h, kStandard), {{"n", 32}},
                           [](auto& probe, auto& n) { return step_times(probe, n, 32); }));
      }
      jobs.push_back(job("the standard algorithm in a graph", bf16(cell, h, kStandard), {{"n", 32}},
                         [](auto& probe, auto& n) { return step_times(probe, n, 32); }));
    }
    for (const std::int64_t h : {128, 1024}) {
      jobs.push_back(job("batch-major rows", bf16(cell, h, kStandard), {{"n", 32}, {"t", 100}},
                         [](auto& probe, auto& n) { return batch_major(probe, n, 32); }));
    }
  }
  return jobs;
}

}  // namespace bench
