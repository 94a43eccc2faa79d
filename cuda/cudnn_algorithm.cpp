// Names of cuDNN's algorithms. Needs no cuDNN.
#include "cuda/cudnn_rnn.h"

namespace rondo::cuda {

std::string to_string(CudnnAlgorithm algorithm) {
  switch (algorithm) {
    case CudnnAlgorithm::kStandard:
      return "standard";
    case CudnnAlgorithm::kPersistStatic:
      return "persist static";
    case CudnnAlgorithm::kPersistDynamic:
      return "persist dynamic";
    case CudnnAlgorithm::kPersistSmallH:
      return "persist static small H";
  }
  return "unknown";
}

}  // namespace rondo::cuda
