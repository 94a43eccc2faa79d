// What failures and refusals of cuDNN become, while planning and in passes. Needs no GPU.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "noted_cudnn.h"

namespace rondo::cuda {
namespace {

using testing::error_of;
using testing::expect_parts;

using CudnnFailures = CudnnPasses;

TEST_F(CudnnFailures, TooLittleRoomIsAnError) {
  const auto rnn = make(lstm_);
  CudnnForward forward = forward_of(uniform_, true);
  forward.room = {4003, 40029};
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward); }),
            "cuda:0: cudnnRNNForward needs 4003 bytes of workspace and 40030 of reserve, got 4003 and 40029");
  CudnnBackward backward = backward_of(uniform_);
  backward.room = {4002, 40030};
  expect_parts(error_of<DeviceError>([&] { rnn->backward(backward); }),
               {"cuda:0: cudnnRNNBackwardData_v8 needs", "got 4002 and 40030"});
  forward.room = {4003, 40030};
  EXPECT_NO_THROW(rnn->forward(forward));
}

TEST_F(CudnnFailures, RefusalsAreForPlanning) {
  const auto rnn = make(lstm_);
  asked.answer = CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT;
  const std::string text =
      "cuDNN refuses lstm I=5 H=7 L=2 D=2 f32 by its algorithm standard with T=4 N=3: "
      "cudnnGetRNNTempSpaceSizes: CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT";
  EXPECT_EQ(error_of<CudnnRefusal>([&] { rnn->sizes(uniform_, true); }), text);
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(uniform_, true)); }), "cuda:0: " + text);
  const Sequence large{.t = 65536, .n = 1, .step_stride = 1};
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(large, true)); }),
            "cuda:0: T is 65536, cuDNN takes 1 to 65535");
  // What was refused is asked again, and not taken for known.
  asked.answer = CUDNN_STATUS_SUCCESS;
  EXPECT_EQ(rnn->sizes(uniform_, true).workspace, 4003U);
}

// Another path may run what this cuDNN fails at, whatever it says, as long as memory and the stream are
// sound.
TEST_F(CudnnFailures, FailuresOfPlanningAreRefusals) {
  const auto rnn = make(lstm_);
  const auto planned = [&] { rnn->sizes(uniform_, true); };
  for (const cudaError_t idle_or_busy : {cudaSuccess, cudaErrorNotReady}) {
    fake_cuda.stream = idle_or_busy;
    for (const auto answer :
         {CUDNN_STATUS_NOT_INITIALIZED, CUDNN_STATUS_BAD_PARAM, CUDNN_STATUS_INTERNAL_ERROR,
          CUDNN_STATUS_EXECUTION_FAILED, CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED}) {
      asked.answer = answer;
      expect_parts(error_of<CudnnRefusal>(planned),
                   {"cuDNN refuses lstm I=5", ": cudnnGetRNNTempSpaceSizes: CUDNN_STATUS_"});
    }
    for (const auto answer : {CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED,
                              CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED}) {
      asked.answer = answer;
      const std::string text = error_of<DeviceError>(planned);
      EXPECT_EQ(text, std::string("cuda:0: cudnnGetRNNTempSpaceSizes failed: ") +
                          cudnn().library.cudnnGetErrorString(answer));
    }
  }
  fake_cuda.stream = cudaErrorIllegalAddress;
  asked.answer = CUDNN_STATUS_INTERNAL_ERROR;
  expect_parts(error_of<DeviceError>(planned),
               {"cuda:0: cudnnGetRNNTempSpaceSizes failed: ", "the device is lost", "restart the process"});
}

TEST_F(CudnnFailures, ACudnnThatDoesNotStartIsRefused) {
  CudnnLibrary library = library_;
  library.cudnnCreate = [](cudnnHandle_t*) { return CUDNN_STATUS_NOT_INITIALIZED; };
  EXPECT_EQ(error_of<CudnnRefusal>([&] { const CudnnHandle handle(0, kStream, library); }),
            "cuDNN refuses to start on this machine: cudnnCreate: CUDNN_STATUS_NOT_INITIALIZED");
  fake_cuda.stream = cudaErrorLaunchFailure;
  EXPECT_EQ(error_of<DeviceError>([&] {
              const CudnnHandle handle(0, kStream, library);
            }).find("cuda:0: cudnnCreate failed: CUDNN_STATUS_NOT_INITIALIZED; the device is lost"),
            0U);
}

// Nothing was enqueued by then, so another path may run a forward pass; backward has to be by the same one.
TEST_F(CudnnFailures, WhatIsNotSupportedIsRefusedByForwardAlone) {
  const auto rnn = make(lstm_);
  for (const bool training : {false, true}) rnn->sizes(uniform_, training);
  fake_cuda.queries = 0;
  for (const auto answer : {CUDNN_STATUS_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH}) {
    asked.answer = answer;
    for (const bool training : {false, true}) {
      EXPECT_EQ(error_of<CudnnRefusal>([&] { rnn->forward(forward_of(uniform_, training)); }),
                std::string("cuDNN refuses lstm I=5 H=7 L=2 D=2 f32 by its algorithm standard with T=4 N=3: "
                            "cudnnRNNForward: ") +
                    cudnn().library.cudnnGetErrorString(answer));
    }
    EXPECT_EQ(fake_cuda.queries, 0);
    expect_parts(error_of<DeviceError>([&] { rnn->backward(backward_of(uniform_)); }),
                 {"cuda:0: cudnnRNNBackwardData_v8 failed: CUDNN_STATUS_NOT_SUPPORTED"});
    fake_cuda.queries = 0;
  }
  asked.answer = CUDNN_STATUS_BAD_PARAM;
  EXPECT_EQ(error_of<DeviceError>([&] { rnn->forward(forward_of(uniform_, true)); }),
            "cuda:0: cudnnRNNForward failed: CUDNN_STATUS_BAD_PARAM");
}

TEST_F(CudnnFailures, FailuresNameTheCallAndWhatTheStreamSays) {
  const auto rnn = make(lstm_);
  rnn->sizes(uniform_, true);
  asked.answer = CUDNN_STATUS_EXECUTION_FAILED;
  const auto forward = [&] {
    return error_of<DeviceError>([&] { rnn->forward(forward_of(uniform_, true)); });
  };
  const std::string failed = "cuda:0: cudnnRNNForward failed: CUDNN_STATUS_EXECUTION_FAILED";
  EXPECT_EQ(forward(), failed);
  fake_cuda.stream = cudaErrorNotReady;  // busy is no cause
  EXPECT_EQ(forward(), failed);
  fake_cuda.stream = cudaErrorIllegalAddress;
  expect_parts(error_of<DeviceError>([&] { rnn->backward(backward_of(uniform_)); }),
               {"cuda:0: cudnnRNNBackwardData_v8 failed: CUDNN_STATUS_EXECUTION_FAILED; the device is lost",
                "restart the process"});
  EXPECT_EQ(asked.passes, (std::vector<std::string>{"train", "train", "data"}));
  // A question would end a capture, and the answer would be about that.
  fake_cuda.capture = cudaStreamCaptureStatusActive;
  fake_cuda.queries = 0;
  EXPECT_EQ(forward(), failed);
  EXPECT_EQ(fake_cuda.queries, 0);
}

}  // namespace
}  // namespace rondo::cuda
