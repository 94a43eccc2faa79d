// Which path of the CUDA backend runs a request, and why.
#include "cuda/choose_path.h"

#include <algorithm>
#include <cstdint>

#include "rondo/error.h"

namespace rondo::cuda {
namespace {

using Algorithm = CudnnAlgorithm;

// cuDNN counts steps and rows in 16 bits of a launch and elements in 32.
constexpr std::int64_t kMostSteps = 65535, kMostElements = INT32_MAX;

bool reduces(const RnnConfig& c) {
  return c.direction == Direction::kBidirectional && c.merge != Merge::kConcat && c.merge != Merge::kNone;
}

// What of a cell's options cuDNN does not have, or is not asked for here, in a sentence; else "".
std::string missing_cell_option(const RnnConfig& c) {
  const bool lstm = c.cell == Cell::kLstm, simple = c.cell == Cell::kSimpleRnn;
  if (simple && c.activation != Activation::kTanh && c.activation != Activation::kRelu) {
    return "cuDNN has no RNN with " + to_string(c.activation);
  }
  const bool usual =
      simple || (c.gate_activation == Activation::kSigmoid && c.activation == Activation::kTanh);
  if (!usual || (lstm && c.output_activation != Activation::kTanh)) {
    return "cuDNN has LSTM and GRU with sigmoid and tanh alone";
  }
  if (c.peephole) return "cuDNN has no peephole connections";
  if (c.input_forget) return "cuDNN has no forget gate that follows from the input gate";
  if (c.projection_size > 0) return "projections by cuDNN are not mapped here";
  if (c.cell_sequence) return "cuDNN hands out the last c alone, not that of every step";
  if (c.preactivation_clip > 0) return "cuDNN has no clip of pre-activations";
  if (c.cell_clip > 0) return "the cell clip of cuDNN is not mapped here";
  if (c.zoneout_h > 0 || c.zoneout_c > 0) return "cuDNN has no zoneout";
  if (c.layer_norm) return "cuDNN has no layer normalisation within a recurrent network";
  return "";
}

// Likewise, of all that a request asks for.
std::string missing_option(const Request& r) {
  const RnnConfig& c = r.config;
  const bool training = r.phase == Phase::kTraining;
  if (c.dtype > DType::kBf16) return "cuDNN computes in f32, f64, f16 and bf16, not in " + to_string(c.dtype);
  if (c.cell == Cell::kGru && c.gru_reset == GruReset::kBefore) return "cuDNN has no GRU with reset_before";
  if (c.direction == Direction::kReverse) return "cuDNN has no network that runs in reverse only";
  if (training && c.dropout > 0) return "cuDNN has no dropout with one mask for all steps";
  if (training && c.recurrent_dropout > 0) return "cuDNN has no recurrent dropout";
  if (training && c.dropconnect > 0) return "cuDNN has no DropConnect";
  if (r.resets) return "cuDNN has no resets within a row";
  return missing_cell_option(c);
}

// Saturates instead of overflowing.
std::int64_t product(std::initializer_list<std::int64_t> factors) {
  std::int64_t value = 1;
  for (const std::int64_t factor : factors) {
    if (__builtin_mul_overflow(value, factor, &value)) return INT64_MAX;
  }
  return value;
}

std::string too_large(const Request& r) {
  const RnnConfig& c = r.config;
  const auto above = [](const char* name, std::int64_t value, std::int64_t most) {
    return std::string(name) + " = " + std::to_string(value) + " is above " + std::to_string(most) +
           ", the most that cuDNN takes";
  };
  if (r.max_t > kMostSteps) return above("T", r.max_t, kMostSteps);
  if (r.max_n > kMostSteps) return above("N", r.max_n, kMostSteps);
  const std::int64_t gates = product({r.max_t, r.max_n, num_directions(c), num_gates(c.cell), c.hidden_size});
  if (gates > kMostElements) return above("T * N * D * G * H", gates, kMostElements);
  const std::int64_t inputs = product({r.max_t, r.max_n, std::max(c.input_size, layer_input_size(c, 1))});
  if (inputs > kMostElements) return above("the elements of x, T * N * I", inputs, kMostElements);
  return "";
}

// What one call of cuDNN can compute at most.
Joins widest(const Request& r) {
  const RnnConfig& c = r.config;
  if (c.num_layers == 1) return Joins::kStack;
  const bool masks = r.phase == Phase::kTraining && c.layer_dropout > 0;
  return masks || reduces(c) ? Joins::kDirections : Joins::kStack;
}

std::string call_text(const RnnConfig& c, Joins joins) {
  if (c.num_layers == 1) return "";
  if (joins == Joins::kStack) return ", all layers in one call";
  return reduces(c) ? ", layer by layer for the merges" : ", layer by layer";
}

// A recurrent matrix that the multiprocessors can keep in their shared memory, a seventh of which is left for
// h and partial sums: how the persistent kernels avoid reading it again at every step.
bool stays_on_chip(const CudnnNetwork& n, const DeviceTraits& device) {
  const std::int64_t bytes =
      product({num_gates(n.cell), n.hidden_size, n.hidden_size, element_bytes(n.dtype)});
  return bytes <= device.multiprocessors * (device.shared_bytes / 7 * 6);
}

bool suits_small_h(const CudnnNetwork& n, bool training, std::int64_t rows) {
  // One multiprocessor keeps the weights of a layer and direction. Beyond what it can keep for a backward
  // pass, cuDNN takes the forward pass alone, and 8 rows or more cost several times the standard algorithm
  // (LSTM, H = 152 to 168, N = 44 to 62: 2.9 to 5.2 times, as published for PyTorch's choice of it).
  const std::int64_t both = n.cell == Cell::kSimpleRnn ? 256 : 128;
  const std::int64_t forward = n.cell == Cell::kSimpleRnn ? 384 : 192;
  return n.hidden_size <= (!training && rows < 8 ? forward : both);
}

bool suits_persist_static(const CudnnNetwork& n, const DeviceTraits& device, bool training,
                          std::int64_t rows) {
  // cuDNN's guide: H and I multiples of 32, rows of 8; beyond 96 rows forward and 32 backward powers of two.
  // How GRUs fare with it on GPUs with 98 multiprocessors or more nobody has published: they stay out.
  const bool power_of_two = (rows & (rows - 1)) == 0;
  return n.cell != Cell::kGru && n.num_layers == 1 && n.input_size % 32 == 0 && n.hidden_size % 32 == 0 &&
         rows > 0 && rows % 8 == 0 && rows <= 128 && (rows <= (training ? 32 : 96) || power_of_two) &&
         stays_on_chip(n, device);
}

}  // namespace

std::string to_string(CudnnAlgorithm algorithm) {
  constexpr const char* kNames[] = {"standard", "persist-static", "persist-dynamic", "small-h"};
  return kNames[static_cast<std::size_t>(algorithm)];
}

AskedPath parse_path(const std::string& text) {
  if (text.empty() || text == "auto") return {};
  if (text == "step") return {.step = true};
  if (text == "cudnn") return {.any_cudnn = true};
  for (const Algorithm a : {Algorithm::kStandard, Algorithm::kPersistStatic, Algorithm::kPersistSmallH}) {
    if (text == to_string(a)) return {.any_cudnn = true, .algorithm = a};
  }
  throw InvalidArgument("RONDO_CUDA_PATH is \"" + text +
                        "\", expected auto, step, cudnn, standard, persist-static or small-h");
}

bool suits(const CudnnNetwork& network, const DeviceTraits& device, bool training, std::int64_t n) {
  switch (network.algorithm) {
    case Algorithm::kStandard:
      return true;
    case Algorithm::kPersistSmallH:
      return network.dtype != DType::kF64 && suits_small_h(network, training, n);
    case Algorithm::kPersistStatic:
      return network.dtype != DType::kF64 && suits_persist_static(network, device, training, n);
    case Algorithm::kPersistDynamic:
      break;  // compiles a kernel for each batch size while it runs, and is slow for all but one row
  }
  return false;
}

CudnnNetwork cudnn_network(const RnnConfig& c, Joins joins, Algorithm algorithm, std::int64_t layer) {
  return {.cell = c.cell,
          .activation = c.activation.kind,
          .dtype = c.dtype,
          .math_mode = c.math_mode,
          .input_size = layer_input_size(c, layer),
          .hidden_size = c.hidden_size,
          .num_layers = joins == Joins::kStack ? c.num_layers : 1,
          .directions = num_directions(c),
          .algorithm = algorithm};
}

PathChoice choose_path(const Request& request, const DeviceTraits& device, const AskedPath& asked) {
  const RnnConfig& c = request.config;
  const bool training = request.phase == Phase::kTraining;
  const bool has_step = c.dtype == DType::kF32 || c.dtype == DType::kF64;
  PathChoice choice;
  std::string refusal = missing_option(request);
  if (refusal.empty()) refusal = too_large(request);
  if (asked.step) refusal = "RONDO_CUDA_PATH asks for the step path";
  const auto offer = [&](Algorithm algorithm, Joins joins, const std::string& why) {
    if (!refusal.empty() || (asked.algorithm && asked.algorithm != algorithm)) return;
    for (std::int64_t layer = 0; layer < (joins == Joins::kStack ? 1 : c.num_layers); ++layer) {
      const CudnnNetwork network = cudnn_network(c, joins, algorithm, layer);
      if (!suits(network, device, training, request.max_n)) return;
    }
    choice.candidates.push_back({algorithm, joins, why + call_text(c, joins)});
  };
  const Joins joins = widest(request);
  const std::string h = "H = " + std::to_string(c.hidden_size);
  offer(Algorithm::kPersistSmallH, joins, "weights of " + h + " stay in one multiprocessor");
  offer(Algorithm::kPersistStatic, c.num_layers == 1 ? joins : Joins::kDirections,
        "weights of " + h + " stay on the chip");
  const std::string sizes = h + " and N = " + std::to_string(request.max_n) + " of " + to_string(c.dtype);
  std::string why = "the next in the table";
  if (choice.candidates.empty()) why = "the table has no persistent algorithm for " + sizes;
  if (asked.algorithm) why = "RONDO_CUDA_PATH asks for it";
  offer(Algorithm::kStandard, joins, why);
  if (asked.any_cudnn) {
    choice.left_out = !refusal.empty() ? refusal : "RONDO_CUDA_PATH leaves out the step path";
    return choice;
  }
  if (has_step) {
    why = refusal.empty() ? "the last in the table" : refusal;
    choice.candidates.push_back({std::nullopt, Joins::kNothing, why});
  }
  choice.left_out = has_step ? refusal
                             : "the step path computes in f32 and f64, not in " + to_string(c.dtype) +
                                   (refusal.empty() ? "" : ", and " + refusal);
  return choice;
}

}  // namespace rondo::cuda
