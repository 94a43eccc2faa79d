// Which path of the CUDA backend runs a request, and why: a pure function of the request and the device.
#pragma once

#include <optional>
#include <vector>

#include "cuda/cudnn_rnn.h"

namespace rondo::cuda {

struct DeviceTraits {
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  // of a multiprocessor
};

// The step path, or cuDNN by one of its algorithms.
struct Path {
  std::optional<CudnnAlgorithm> cudnn;
  Joins joins = Joins::kNothing;
  std::string reason;
};

// What the environment variable RONDO_CUDA_PATH asks for.
struct AskedPath {
  bool step = false, any_cudnn = false;
  std::optional<CudnnAlgorithm> algorithm;
};
// "" or "auto", "step", "cudnn", or cuDNN by "standard", "persist-static" or "small-h". Else:
// InvalidArgument.
AskedPath parse_path(const std::string& text);

// In the order in which to try them: cuDNN refuses some only when it sees them. `left_out` says why there is
// no cuDNN or no step path among them, or is empty.
struct PathChoice {
  std::vector<Path> candidates;
  std::string left_out;
};
PathChoice choose_path(const Request& request, const DeviceTraits& device, const AskedPath& asked = {});

// Whether a pass over equally long rows is one for this algorithm, by the table in choose_path.cpp; the
// standard algorithm runs those that are not, and rows of different lengths.
bool suits(const CudnnNetwork& network, const DeviceTraits& device, bool training, std::int64_t n);

// The network of one call that starts with a layer.
CudnnNetwork cudnn_network(const RnnConfig& config, Joins joins, CudnnAlgorithm algorithm,
                           std::int64_t layer);

}  // namespace rondo::cuda
