// cuDNN 9 as it is opened at run time: its functions by name, and what its failing calls become. The only
// file that includes cuDNN's headers.
#pragma once

#include <cudnn.h>

#include <string>

namespace rondo::cuda {

// Those that are used.
#define RONDO_CUDNN_FUNCTIONS(function)    \
  function(cudnnGetErrorString);           \
  function(cudnnGetLastErrorString);       \
  function(cudnnCreate);                   \
  function(cudnnDestroy);                  \
  function(cudnnSetStream);                \
  function(cudnnCreateTensorDescriptor);   \
  function(cudnnDestroyTensorDescriptor);  \
  function(cudnnSetTensorNdDescriptor);    \
  function(cudnnGetTensorNdDescriptor);    \
  function(cudnnCreateRNNDescriptor);      \
  function(cudnnDestroyRNNDescriptor);     \
  function(cudnnSetRNNDescriptor_v8);      \
  function(cudnnCreateRNNDataDescriptor);  \
  function(cudnnDestroyRNNDataDescriptor); \
  function(cudnnSetRNNDataDescriptor);     \
  function(cudnnGetRNNWeightSpaceSize);    \
  function(cudnnGetRNNWeightParams);       \
  function(cudnnGetRNNTempSpaceSizes);     \
  function(cudnnRNNForward);               \
  function(cudnnRNNBackwardData_v8);       \
  function(cudnnRNNBackwardWeights_v8);

class CudnnLibrary {
 public:
  // Opened at the first use; never closed. CudnnRefusal as below, at every use.
  static const CudnnLibrary& opened();
  // CudnnRefusal when the library is missing, too old or incomplete: what it is, and what to do.
  explicit CudnnLibrary(const std::string& file);

#define RONDO_CUDNN_MEMBER(name) decltype(&::name) name = nullptr
  RONDO_CUDNN_FUNCTIONS(RONDO_CUDNN_MEMBER)
#undef RONDO_CUDNN_MEMBER
  std::size_t version = 0;  // as cudnnGetVersion has it
};

// cuDNN's calls for one device.
struct Cudnn {
  const CudnnLibrary& library;
  int device;
  cudaStream_t stream = nullptr;  // which says what a failure was; null: descriptors alone, without a device

  // While planning, a failure is a CudnnRefusal, so that another path is taken: whatever cuDNN has against
  // this network, these sizes or this machine. But where memory is full, or the stream itself has failed, no
  // path would do better: as below. subject(): the text of what is planned.
  template <class Subject, class... Parameters, class... Arguments>
  void plan(const Subject& subject, const char* name, cudnnStatus_t (*function)(Parameters...),
            Arguments... arguments) const {
    forget_last_error();
    const cudnnStatus_t status = function(arguments...);
    if (status != CUDNN_STATUS_SUCCESS) fail_planning(subject(), name, status);
  }
  // A DeviceError: "cuda:0: cudnnRNNForward failed: CUDNN_STATUS_EXECUTION_FAILED (...)".
  template <class... Parameters, class... Arguments>
  void call(const char* name, cudnnStatus_t (*function)(Parameters...), Arguments... arguments) const {
    forget_last_error();
    const cudnnStatus_t status = function(arguments...);
    if (status != CUDNN_STATUS_SUCCESS) fail(name, status);
  }
  // As call, but what cuDNN does not support is a CudnnRefusal: it says so before it enqueues anything. The
  // stream is not asked then, since the pass may be part of a capture.
  template <class Subject, class... Parameters, class... Arguments>
  void call_supported(const Subject& subject, const char* name, cudnnStatus_t (*function)(Parameters...),
                      Arguments... arguments) const {
    forget_last_error();
    const cudnnStatus_t status = function(arguments...);
    if (CUDNN_STATUS_CATEGORY(static_cast<int>(status)) == CUDNN_STATUS_NOT_SUPPORTED) {
      refuse(subject(), name, status);
    }
    if (status != CUDNN_STATUS_SUCCESS) fail(name, status);
  }

 private:
  // Its text stays until it is read, so that of an earlier call would be taken for that of the next.
  void forget_last_error() const;
  std::string text(cudnnStatus_t status) const;
  [[noreturn]] void refuse(const std::string& subject, const char* name, cudnnStatus_t status) const;
  [[noreturn]] void fail_planning(const std::string& subject, const char* name, cudnnStatus_t status) const;
  [[noreturn]] void fail(const char* name, cudnnStatus_t status) const;
};

}  // namespace rondo::cuda
