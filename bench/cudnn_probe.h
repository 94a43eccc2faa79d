// What cuDNN answers when it is asked for a network: whether it runs it, with how much memory, and how fast.
// Asks cuDNN itself (cuda/cudnn_rnn.h), past the table by which the CUDA backend chooses.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/device_arrays.h"
#include "cuda/cudnn_handle.h"

namespace bench {

using Json = nlohmann::ordered_json;

// The device answers no more, and neither will it to this process.
class DeviceLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ProbeSequence {
  std::int64_t t = 1, n = 1;
  bool batch_major = false;
  rondo::Sequence rows() const {
    return batch_major ? rondo::Sequence{t, n, 1, t, nullptr} : rondo::Sequence{t, n, n, 1, nullptr};
  }
};

// cuda:0, on a stream and with a handle of its own.
class CudnnProbe {
 public:
  CudnnProbe();

  // {"accepted": true, "workspace":, "reserve":, "us_per_step":} or {"accepted": false, "refusal":}. Times
  // are of the whole pass over t: the products of the input, and in training all of backward, are part of it.
  Json pass(const rondo::cuda::CudnnNetwork& network, const ProbeSequence& sequence, bool training);
  // One training pass with dweights from zero: the bytes of y, dx and dweights.
  std::vector<std::byte> results(const rondo::cuda::CudnnNetwork& network, const ProbeSequence& sequence);
  // Microseconds of forward, and in training backward, as calls or as replays of a graph of them.
  double time(const rondo::cuda::CudnnNetwork& network, const ProbeSequence& sequence, bool training,
              bool graph);
  // Of a copy of so many bytes within the device.
  double copy_us(std::size_t bytes);

  // What answer() gives, or its refusal as {"accepted": false, "refusal":}. DeviceLost.
  template <class Answer>
  Json accepted_or_not(const Answer& answer) {
    std::string refusal;
    try {
      return answer();
    } catch (const rondo::cuda::CudnnRefusal& refused) {
      refusal = refused.what();
    } catch (const rondo::DeviceError& failed) {  // of a pass: some refusals come with it alone
      refusal = failed.what();
    }
    if (lost()) throw DeviceLost(refusal);
    return {{"accepted", false}, {"refusal", refusal}};
  }

  // Random values in +-0.05, as many as this or more, read by whoever wants some.
  const std::byte* values(rondo::DType dtype, std::size_t bytes);
  // Memory that is written, kept under a name until more of it is asked for.
  std::byte* room(const std::string& name, std::size_t bytes);
  // Whether the device still answers this process.
  bool lost();
  DeviceArrays& arrays() { return *arrays_; }
  rondo::cuda::CudnnHandle& handle() { return handle_; }

 private:
  struct Pass;

  std::unique_ptr<DeviceArrays> arrays_;
  rondo::cuda::CudnnHandle handle_;
  std::map<std::string, std::span<std::byte>> rooms_;
  std::map<rondo::DType, std::span<const std::byte>> values_;
};

// "lstm", "f32 tf32", H and what else tells a network from another.
Json json_of(const rondo::cuda::CudnnNetwork& network);

}  // namespace bench
