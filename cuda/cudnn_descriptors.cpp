// What cuDNN is told of a network and of a sequence, and the limits of its numbers.
#include "cuda/cudnn_descriptors.h"

#include <algorithm>
#include <limits>

namespace rondo::cuda {
namespace {

// A data descriptor takes no more steps. It does take more rows and more elements than these, but that the
// passes count either in more than 16 and 32 bits is documented nowhere.
constexpr std::int64_t kMostStepsOrRows = 65535;
constexpr std::int64_t kMostElements = std::numeric_limits<std::int32_t>::max();

static_assert(static_cast<int>(CudnnAlgorithm::kStandard) == CUDNN_RNN_ALGO_STANDARD);
static_assert(static_cast<int>(CudnnAlgorithm::kPersistStatic) == CUDNN_RNN_ALGO_PERSIST_STATIC);
static_assert(static_cast<int>(CudnnAlgorithm::kPersistDynamic) == CUDNN_RNN_ALGO_PERSIST_DYNAMIC);
static_assert(static_cast<int>(CudnnAlgorithm::kPersistSmallH) == CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H);

// "hidden_size is 3000000000, cuDNN takes 1 to 2147483647"
int bounded(const char* name, std::int64_t value, std::int64_t most) {
  if (value < 1 || value > most) {
    throw CudnnRefusal(std::string(name) + " is " + std::to_string(value) + ", cuDNN takes 1 to " +
                       std::to_string(most));
  }
  return static_cast<int>(value);
}

// factor * width elements; both are positive, and width below 2^40.
void check_elements(const char* name, std::int64_t factor, std::int64_t width) {
  if (factor <= kMostElements / width) return;
  throw CudnnRefusal(std::string(name) + " are " + std::to_string(factor) + " * " + std::to_string(width) +
                     " elements, more than the " + std::to_string(kMostElements) + " that cuDNN counts");
}

cudnnRNNMode_t cell_mode_of(const CudnnNetwork& network) {
  switch (network.cell) {
    case Cell::kLstm:
      return CUDNN_LSTM;
    case Cell::kGru:
      return CUDNN_GRU;
    case Cell::kSimpleRnn:
      break;
  }
  return network.activation == Activation::kRelu ? CUDNN_RNN_RELU : CUDNN_RNN_TANH;
}

std::string starting() { return "to start"; }

// Steps that any row has.
std::int64_t longest(const Sequence& s) {
  std::int64_t t = s.t;
  while (t > 0 && s.rows(t - 1) == 0) --t;
  return t;
}

cudnnRNNDataLayout_t layout_of(const Sequence& s) {
  if (s.offsets != nullptr) return CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
  // A stride over a single step or row is never taken.
  const bool one_step = s.t == 1, one_row = s.n == 1;
  if ((one_step || s.step_stride == s.n) && (one_row || s.row_stride == 1)) {
    return CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
  }
  if ((one_step || s.step_stride == 1) && (one_row || s.row_stride == s.t)) {
    return CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED;
  }
  throw CudnnRefusal("T=" + std::to_string(s.t) + " steps lie " + std::to_string(s.step_stride) +
                     " rows apart and N=" + std::to_string(s.n) + " rows " + std::to_string(s.row_stride) +
                     ", cuDNN takes dense time-major or batch-major ones");
}

}  // namespace

std::string describe(const CudnnNetwork& n) {
  return to_string(n.cell) + " I=" + std::to_string(n.input_size) + " H=" + std::to_string(n.hidden_size) +
         " L=" + std::to_string(n.num_layers) + " D=" + std::to_string(n.directions) + " " +
         to_string(n.dtype) + (n.math_mode == MathMode::kTf32 ? " tf32" : "") + " by its algorithm " +
         to_string(n.algorithm);
}

std::string describe(const CudnnNetwork& n, const SequenceShape& shape) {
  return describe(n) + " with T=" + std::to_string(shape.t) + " N=" + std::to_string(shape.n);
}

RnnDescriptor create_rnn_descriptor(const Cudnn& cudnn) {
  cudnnRNNDescriptor_t made = nullptr;
  cudnn.plan(starting, "cudnnCreateRNNDescriptor", cudnn.library.cudnnCreateRNNDescriptor, &made);
  return {made, cudnn.library.cudnnDestroyRNNDescriptor};
}

DataDescriptor create_data_descriptor(const Cudnn& cudnn) {
  cudnnRNNDataDescriptor_t made = nullptr;
  cudnn.plan(starting, "cudnnCreateRNNDataDescriptor", cudnn.library.cudnnCreateRNNDataDescriptor, &made);
  return {made, cudnn.library.cudnnDestroyRNNDataDescriptor};
}

TensorDescriptor create_tensor_descriptor(const Cudnn& cudnn) {
  cudnnTensorDescriptor_t made = nullptr;
  cudnn.plan(starting, "cudnnCreateTensorDescriptor", cudnn.library.cudnnCreateTensorDescriptor, &made);
  return {made, cudnn.library.cudnnDestroyTensorDescriptor};
}

cudnnDataType_t data_type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return CUDNN_DATA_FLOAT;
    case DType::kF64:
      return CUDNN_DATA_DOUBLE;
    case DType::kF16:
      return CUDNN_DATA_HALF;
    case DType::kBf16:
      return CUDNN_DATA_BFLOAT16;
    default:
      throw CudnnRefusal("cuDNN's networks are of f32, f64, f16 or bf16, not of " + to_string(dtype));
  }
}

cudnnDataType_t precision_of(DType dtype) {
  return dtype == DType::kF64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

cudnnMathType_t math_type_of(DType dtype, MathMode mode) {
  // Tensor cores for these multiply what they are given and add in f32.
  if (dtype == DType::kF16 || dtype == DType::kBf16) return CUDNN_TENSOR_OP_MATH;
  // No tensor core would narrow f64; those for f64 itself compute as IEEE has it.
  if (dtype == DType::kF64) return CUDNN_DEFAULT_MATH;
  // The default allows TF32. What is never used, ALLOW_CONVERSION, would allow f16.
  return mode == MathMode::kTf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

void set_rnn_descriptor(const Cudnn& cudnn, cudnnRNNDescriptor_t descriptor, const CudnnNetwork& n) {
  const int input_size = bounded("input_size", n.input_size, kMostElements);
  const int hidden_size = bounded("hidden_size", n.hidden_size, kMostElements);
  const int num_layers = bounded("num_layers", n.num_layers, kMostElements);
  const int directions = bounded("directions", n.directions, 2);
  if (n.ragged && n.algorithm != CudnnAlgorithm::kStandard) {
    throw CudnnRefusal("rows of different lengths run by cuDNN's algorithm standard alone, not by " +
                       to_string(n.algorithm));
  }
  // Two biases: with fewer, cuDNN has none of its persistent algorithms. Padded input and output is what it
  // calls every layout but the packed one.
  cudnn.plan([&] { return describe(n); }, "cudnnSetRNNDescriptor_v8", cudnn.library.cudnnSetRNNDescriptor_v8,
             descriptor, static_cast<cudnnRNNAlgo_t>(n.algorithm), cell_mode_of(n), CUDNN_RNN_DOUBLE_BIAS,
             directions == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT,
             data_type_of(n.dtype), precision_of(n.dtype), math_type_of(n.dtype, n.math_mode), input_size,
             hidden_size, /*projSize=*/hidden_size, num_layers, /*dropoutDesc=*/nullptr,
             n.ragged ? CUDNN_RNN_PADDED_IO_DISABLED : CUDNN_RNN_PADDED_IO_ENABLED);
}

SequenceShape shape_of(const CudnnNetwork& network, const Sequence& sequence) {
  if (network.ragged != (sequence.offsets != nullptr)) {
    throw std::logic_error(network.ragged ? "a uniform sequence for a network of ragged ones"
                                          : "a ragged sequence for a network of uniform ones");
  }
  const SequenceShape shape{bounded("T", longest(sequence), kMostStepsOrRows),
                            bounded("N", sequence.n, kMostStepsOrRows), layout_of(sequence)};
  const std::int64_t rows = sequence.total(), wide = network.directions * network.hidden_size;
  check_elements("x's rows times input_size", rows, network.input_size);
  check_elements("y's rows times D*H", rows, wide);
  check_elements("rows times the gates' G*D*H", rows, num_gates(network.cell) * wide);
  check_elements("states, L*N times D*H,", network.num_layers * sequence.n, wide);
  return shape;
}

void fill_lengths(std::vector<int>& lengths, const Sequence& sequence) {
  lengths.assign(static_cast<std::size_t>(sequence.n), static_cast<int>(sequence.t));
  if (sequence.offsets == nullptr) return;
  // Steps hold ever fewer rows: those of step s that step s + 1 lacks have s + 1 steps.
  std::int64_t longer = 0;
  for (std::int64_t s = sequence.t - 1; s >= 0; --s) {
    for (std::int64_t row = longer; row < sequence.rows(s); ++row) {
      lengths[static_cast<std::size_t>(row)] = static_cast<int>(s + 1);
    }
    longer = sequence.rows(s);
  }
}

SequenceDescriptors create_sequence_descriptors(const Cudnn& cudnn) {
  return {create_data_descriptor(cudnn), create_data_descriptor(cudnn), create_tensor_descriptor(cudnn)};
}

void set_sequence_descriptors(const Cudnn& cudnn, const SequenceDescriptors& descriptors,
                              const CudnnNetwork& network, const SequenceShape& shape,
                              const std::vector<int>& lengths) {
  const auto subject = [&] { return describe(network, shape); };
  const cudnnDataType_t dtype = data_type_of(network.dtype);
  const int hidden_size = static_cast<int>(network.hidden_size);
  const int widths[] = {static_cast<int>(network.input_size), network.directions * hidden_size};
  double zero = 0;  // in any type
  for (const int i : {0, 1}) {
    cudnn.plan(subject, "cudnnSetRNNDataDescriptor", cudnn.library.cudnnSetRNNDataDescriptor,
               (i == 0 ? descriptors.x : descriptors.y).get(), dtype, shape.layout, shape.t, shape.n,
               widths[i], lengths.data(), &zero);
  }
  const int layers = static_cast<int>(network.num_layers) * network.directions;
  const int sizes[] = {layers, shape.n, hidden_size}, strides[] = {shape.n * hidden_size, hidden_size, 1};
  cudnn.plan(subject, "cudnnSetTensorNdDescriptor", cudnn.library.cudnnSetTensorNdDescriptor,
             descriptors.state.get(), dtype, 3, sizes, strides);
}

void check_regions(std::vector<WeightRegion> regions, std::size_t weight_bytes) {
  std::sort(regions.begin(), regions.end(),
            [](const WeightRegion& a, const WeightRegion& b) { return a.begin < b.begin; });
  std::size_t free_from = 0;
  for (const WeightRegion& region : regions) {
    const bool inside = region.begin <= weight_bytes && region.bytes <= weight_bytes - region.begin;
    if (!inside || region.begin < free_from) {
      throw CudnnRefusal("cuDNN puts " + std::to_string(region.bytes) + " bytes of weights at " +
                         std::to_string(region.begin) + " of a weight space of " +
                         std::to_string(weight_bytes) + " bytes, of which the first " +
                         std::to_string(free_from) + " are taken");
    }
    free_from = region.begin + region.bytes;
  }
}

}  // namespace rondo::cuda
