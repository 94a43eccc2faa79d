// Networks and sequences as cuDNN's descriptors. Needs no handle, and so no GPU.
#pragma once

#include <memory>
#include <vector>

#include "cuda/cudnn_library.h"
#include "cuda/cudnn_rnn.h"

namespace rondo::cuda {

template <class T>
using CudnnOwned = std::unique_ptr<T, cudnnStatus_t (*)(T*)>;
using RnnDescriptor = CudnnOwned<cudnnRNNStruct>;
using DataDescriptor = CudnnOwned<cudnnRNNDataStruct>;
using TensorDescriptor = CudnnOwned<cudnnTensorStruct>;

RnnDescriptor create_rnn_descriptor(const Cudnn& cudnn);
DataDescriptor create_data_descriptor(const Cudnn& cudnn);
TensorDescriptor create_tensor_descriptor(const Cudnn& cudnn);

// CudnnRefusal for what cuDNN has no word for.
cudnnDataType_t data_type_of(DType dtype);
cudnnDataType_t precision_of(DType dtype);  // in which cuDNN computes
cudnnMathType_t math_type_of(DType dtype, MathMode mode);

// CudnnRefusal where cuDNN does not run this network with this algorithm.
void set_rnn_descriptor(const Cudnn& cudnn, cudnnRNNDescriptor_t descriptor, const CudnnNetwork& network);

// All that a uniform sequence's descriptors depend on; of a ragged one, all but the lengths.
struct SequenceShape {
  int t = 0, n = 0;
  cudnnRNNDataLayout_t layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
  bool operator==(const SequenceShape&) const = default;
};
// CudnnRefusal where the sequence is larger than what cuDNN can count, or its rows lie otherwise.
SequenceShape shape_of(const CudnnNetwork& network, const Sequence& sequence);

// "lstm I=3 H=4 L=1 D=1 f32 by its algorithm standard", and " with T=5 N=2"
std::string describe(const CudnnNetwork& network);
std::string describe(const CudnnNetwork& network, const SequenceShape& shape);

// lengths [n]: of each row, falling. Allocates only for more rows than ever before.
void fill_lengths(std::vector<int>& lengths, const Sequence& sequence);

// What a pass says of its arrays.
struct SequenceDescriptors {
  DataDescriptor x, y;
  TensorDescriptor state;  // h and c, [L*D, n, H]
};
SequenceDescriptors create_sequence_descriptors(const Cudnn& cudnn);
void set_sequence_descriptors(const Cudnn& cudnn, const SequenceDescriptors& descriptors,
                              const CudnnNetwork& network, const SequenceShape& shape,
                              const std::vector<int>& lengths);

// A matrix or a bias in the weight space.
struct WeightRegion {
  std::size_t begin, bytes;
};
// CudnnRefusal where one is not inside, or two share bytes.
void check_regions(std::vector<WeightRegion> regions, std::size_t weight_bytes);

}  // namespace rondo::cuda
