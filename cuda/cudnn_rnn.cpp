// Networks by cuDNN: their weight space, and passes.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cuda/cudnn_descriptors.h"
#include "cuda/cudnn_handle.h"
#include "rondo/device.h"

namespace rondo::cuda {
namespace {

// Uniform sequences whose descriptors and sizes are kept: enough for a plan that is called with a few batch
// sizes and lengths in turn.
constexpr std::size_t kPrepared = 16;

class RnnByCudnn final : public CudnnRnn {
 public:
  RnnByCudnn(CudnnHandle& handle, const CudnnNetwork& network)
      : handle_(handle), cudnn_{handle.library, handle.device, handle.stream}, network_(network) {
    const std::lock_guard lock(handle_.in_use);
    const CurrentDevice current(handle_.device);
    set_rnn_descriptor(cudnn_, rnn_.get(), network_);
    cudnn_.plan([&] { return describe(network_); }, "cudnnGetRNNWeightSpaceSize",
                cudnn_.library.cudnnGetRNNWeightSpaceSize, handle_.handle, rnn_.get(), &weight_bytes_);
    find_places();
    // The lengths of ragged rows differ from call to call, so one place serves them all, set each time.
    const std::size_t places = network_.ragged ? 1 : kPrepared;
    prepared_.reserve(places);
    while (prepared_.size() < places) prepared_.push_back({.data = create_sequence_descriptors(cudnn_)});
  }

  std::size_t weight_bytes() const override { return weight_bytes_; }

  Place place(std::int64_t layer, int direction, int gate, bool recurrent) const override {
    const std::int64_t set = (layer * network_.directions + direction) * 2 + (recurrent ? 1 : 0);
    return places_.at(static_cast<std::size_t>(set * num_gates(network_.cell) + gate));
  }

  CudnnSizes sizes(const Sequence& sequence, bool training) override {
    if (sequence.total() == 0) return {};
    const std::lock_guard lock(handle_.in_use);
    const CurrentDevice current(handle_.device);
    return *prepare(sequence, training).sizes[training ? 1 : 0];
  }

  void forward(const CudnnForward& pass) override {
    const bool training = pass.reserve != nullptr;
    run("cudnnRNNForward", pass, training, [&](const Prepared& p, const CudnnSizes& room) {
      cudnn_.call_supported([&] { return describe(network_, p.shape); }, "cudnnRNNForward",
                            cudnn_.library.cudnnRNNForward, handle_.handle, rnn_.get(),
                            training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, nullptr,
                            p.data.x.get(), pass.x, p.data.y.get(), pass.y, p.data.state.get(), pass.h0,
                            pass.h_n, p.data.state.get(), pass.c0, pass.c_n, weight_bytes_, pass.weights,
                            room.workspace, pass.workspace, room.reserve, pass.reserve);
    });
  }

  // In this order: the first call leaves in the reserve what the second one reads.
  void backward(const CudnnBackward& pass) override {
    run("cudnnRNNBackwardData_v8", pass, true, [&](const Prepared& p, const CudnnSizes& room) {
      cudnn_.call("cudnnRNNBackwardData_v8", cudnn_.library.cudnnRNNBackwardData_v8, handle_.handle,
                  rnn_.get(), nullptr, p.data.y.get(), pass.y, pass.dy, p.data.x.get(), pass.dx,
                  p.data.state.get(), pass.h0, pass.dh_n, pass.dh0, p.data.state.get(), pass.c0, pass.dc_n,
                  pass.dc0, weight_bytes_, pass.weights, room.workspace, pass.workspace, room.reserve,
                  pass.reserve);
      if (pass.dweights == nullptr) return;
      cudnn_.call("cudnnRNNBackwardWeights_v8", cudnn_.library.cudnnRNNBackwardWeights_v8, handle_.handle,
                  rnn_.get(), CUDNN_WGRAD_MODE_ADD, nullptr, p.data.x.get(), pass.x, p.data.state.get(),
                  pass.h0, p.data.y.get(), pass.y, weight_bytes_, pass.dweights, room.workspace,
                  pass.workspace, room.reserve, pass.reserve);
    });
  }

 private:
  // Descriptors, and what cuDNN answered for them.
  struct Prepared {
    SequenceShape shape;  // t = 0: none
    SequenceDescriptors data;
    std::array<std::optional<CudnnSizes>, 2> sizes;  // inference, training
    std::uint64_t last_use = 0;
  };

  // The descriptors for a sequence, and the sizes of one kind of pass.
  const Prepared& prepare(const Sequence& sequence, bool training) {
    const SequenceShape shape = shape_of(network_, sequence);
    auto found =
        std::find_if(prepared_.begin(), prepared_.end(), [&](const Prepared& p) { return p.shape == shape; });
    if (network_.ragged || found == prepared_.end()) found = set_oldest(shape, sequence);
    found->last_use = ++uses_;
    std::optional<CudnnSizes>& sizes = found->sizes[training ? 1 : 0];
    if (!sizes) {
      CudnnSizes asked;
      cudnn_.plan([&] { return describe(network_, shape); }, "cudnnGetRNNTempSpaceSizes",
                  cudnn_.library.cudnnGetRNNTempSpaceSizes, handle_.handle, rnn_.get(),
                  training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, found->data.x.get(),
                  &asked.workspace, &asked.reserve);
      sizes = asked;
    }
    return *found;
  }

  // Sets the place that was used longest ago, if ever.
  std::vector<Prepared>::iterator set_oldest(const SequenceShape& shape, const Sequence& sequence) {
    const auto p =
        std::min_element(prepared_.begin(), prepared_.end(),
                         [](const Prepared& a, const Prepared& b) { return a.last_use < b.last_use; });
    p->shape.t = 0;  // until all of it is set
    p->sizes = {};
    fill_lengths(lengths_, sequence);
    set_sequence_descriptors(cudnn_, p->data, network_, shape, lengths_);
    p->shape = shape;
    return p;
  }

  // A pass by calls(prepared, sizes), of which the first is named.
  template <class Calls>
  void run(const char* name, const CudnnPass& pass, bool training, const Calls& calls) {
    if (pass.sequence.total() == 0) return;
    const std::lock_guard lock(handle_.in_use);
    const CurrentDevice current(handle_.device);
    const Prepared& p = prepare_pass(pass.sequence, training);
    const CudnnSizes& needed = *p.sizes[training ? 1 : 0];
    if (needed.workspace > pass.room.workspace || needed.reserve > pass.room.reserve) {
      fail(std::string(name) + " needs " + std::to_string(needed.workspace) + " bytes of workspace and " +
           std::to_string(needed.reserve) + " of reserve, got " + std::to_string(pass.room.workspace) +
           " and " + std::to_string(pass.room.reserve));
    }
    calls(p, needed);
  }
  // What planning would have refused is an error by now: `sizes` was there to be asked.
  const Prepared& prepare_pass(const Sequence& sequence, bool training) {
    try {
      return prepare(sequence, training);
    } catch (const CudnnRefusal& refusal) {
      fail(refusal.what());
    }
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw DeviceError(to_string(Device{Device::Kind::kCuda, handle_.device}) + ": " + why);
  }

  // cuDNN answers with addresses in a weight space, of which it reads nothing: any base serves to count from.
  void find_places() {
    auto* const base = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40);
    const TensorDescriptor matrix = create_tensor_descriptor(cudnn_), bias = create_tensor_descriptor(cudnn_);
    const int gates = num_gates(network_.cell), layers = static_cast<int>(network_.num_layers);
    std::vector<WeightRegion> regions;
    for (int pseudo_layer = 0; pseudo_layer < layers * network_.directions; ++pseudo_layer) {
      for (int id = 0; id < 2 * gates; ++id) {
        void *matrix_at = nullptr, *bias_at = nullptr;
        cudnn_.plan([&] { return describe(network_); }, "cudnnGetRNNWeightParams",
                    cudnn_.library.cudnnGetRNNWeightParams, handle_.handle, rnn_.get(), pseudo_layer,
                    weight_bytes_, base, id, matrix.get(), &matrix_at, bias.get(), &bias_at);
        const std::int64_t layer = pseudo_layer / network_.directions;
        const std::int64_t in = id >= gates  ? network_.hidden_size
                                : layer == 0 ? network_.input_size
                                             : network_.directions * network_.hidden_size;
        regions.push_back(region(base, matrix_at, matrix.get(), network_.hidden_size * in));
        regions.push_back(region(base, bias_at, bias.get(), network_.hidden_size));
        places_.push_back({regions[regions.size() - 2].begin, regions.back().begin});
      }
    }
    check_regions(regions, weight_bytes_);
  }

  WeightRegion region(const std::byte* base, const void* at, cudnnTensorDescriptor_t descriptor,
                      std::int64_t expected) const {
    int rank = 0, shape[CUDNN_DIM_MAX] = {}, strides[CUDNN_DIM_MAX] = {};
    cudnnDataType_t dtype{};
    cudnn_.call("cudnnGetTensorNdDescriptor", cudnn_.library.cudnnGetTensorNdDescriptor, descriptor, 3,
                &dtype, &rank, shape, strides);
    std::int64_t count = 1;
    for (int i = 0; i < rank; ++i) count *= shape[i];
    if (at == nullptr || rank != 3 || count != expected || dtype != data_type_of(network_.dtype)) {
      throw CudnnRefusal("cuDNN has " + std::to_string(count) + " weights of a gate of " +
                         describe(network_) + ", expected " + std::to_string(expected));
    }
    const auto begin = static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(at) -
                                                reinterpret_cast<std::uintptr_t>(base));
    return {begin, static_cast<std::size_t>(expected * element_bytes(network_.dtype))};
  }

  CudnnHandle& handle_;
  const Cudnn cudnn_;
  const CudnnNetwork network_;
  const RnnDescriptor rnn_ = create_rnn_descriptor(cudnn_);
  std::size_t weight_bytes_ = 0;
  std::vector<Place> places_;  // [layer, direction, W or R, gate]
  std::vector<Prepared> prepared_;
  std::vector<int> lengths_;  // of the sequence being set
  std::uint64_t uses_ = 0;
};

}  // namespace

CudnnHandle::CudnnHandle(int of_device, cudaStream_t on_stream)
    : CudnnHandle(of_device, on_stream, CudnnLibrary::opened()) {}

CudnnHandle::CudnnHandle(int of_device, cudaStream_t on_stream, const CudnnLibrary& of_library)
    : library(of_library), device(of_device), stream(on_stream) {
  const CurrentDevice current(device);
  const Cudnn cudnn{library, device, stream};
  const auto starting = [] { return std::string("to start on this machine"); };
  cudnn.plan(starting, "cudnnCreate", library.cudnnCreate, &handle);
  try {
    cudnn.plan(starting, "cudnnSetStream", library.cudnnSetStream, handle, stream);
  } catch (...) {
    library.cudnnDestroy(handle);
    throw;
  }
}

CudnnHandle::~CudnnHandle() {
  try {
    const CurrentDevice current(device);
    library.cudnnDestroy(handle);
  } catch (...) {
    // The device is lost, and what the handle held with it.
  }
}

std::unique_ptr<CudnnRnn> make_cudnn_rnn(CudnnHandle& handle, const CudnnNetwork& network) {
  return std::make_unique<RnnByCudnn>(handle, network);
}

}  // namespace rondo::cuda
