// What the CUDA backend says when something is missing or fails, by its own functions: no test needs a GPU.
// Compiled with parts of the module, and only where that is built.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "cuda/blas.h"
#include "cuda/cuda_error.h"
#include "cuda/devices.h"

namespace rondo::cuda {
namespace {

constexpr int kDriver12 = 12040, kRuntime13 = 13000;  // as CUDA writes 12.4 and 13.0

std::string called(cudaError_t status) {
  return std::string(" (cudaGetDeviceCount: ") + cudaGetErrorString(status) + ")";
}

TEST(MissingDevice, WithoutADriver) {
  EXPECT_EQ(missing_device(cudaErrorInsufficientDriver, 0, kRuntime13),
            "there is no NVIDIA driver" + called(cudaErrorInsufficientDriver) +
                ": install it, or give the container the host's (docker run --gpus all)");
}

TEST(MissingDevice, WithADriverThatIsTooOld) {
  EXPECT_EQ(missing_device(cudaErrorInsufficientDriver, kDriver12, kRuntime13),
            "the NVIDIA driver is for CUDA 12.4, too old for runtime 13.0" +
                called(cudaErrorInsufficientDriver) +
                ": install a newer one, or a build of rondo with an older toolkit");
}

TEST(MissingDevice, WithTheToolkitsStub) {
  EXPECT_EQ(missing_device(cudaErrorStubLibrary, 0, kRuntime13),
            "the libcuda.so that was loaded is the toolkit's stub, not a driver" +
                called(cudaErrorStubLibrary) + ": take the toolkit's folder of stubs out of LD_LIBRARY_PATH");
}

TEST(MissingDevice, WithADriverThatSeesNone) {
  for (const cudaError_t status : {cudaErrorNoDevice, cudaSuccess}) {
    EXPECT_EQ(missing_device(status, kDriver12, kRuntime13),
              "the NVIDIA driver sees no GPU" + called(status) +
                  ": check nvidia-smi, CUDA_VISIBLE_DEVICES and which devices the container was given");
  }
}

TEST(MissingDevice, InAForkedProcess) {
  EXPECT_EQ(missing_device(cudaErrorInitializationError, kDriver12, kRuntime13),
            "CUDA does not start" + called(cudaErrorInitializationError) +
                "; a process that was forked after its parent had used CUDA cannot use it");
}

TEST(MissingDevice, IsWhatTheListOfDevicesSays) {
  int count = 0, driver = 0, runtime = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (count > 0) GTEST_SKIP() << "this machine has " << find_devices().at(0).name;
  const std::vector<DeviceInfo> devices = find_devices();
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_FALSE(devices[0].usable);
  EXPECT_EQ(devices[0].reason, missing_device(status, driver, runtime));
}

std::string thrown(cudaError_t status) {
  try {
    throw_cuda_error(1, "cudaSomething of 7 bytes", status);
  } catch (const DeviceError& error) {
    return error.what();
  }
}

TEST(FailedCall, NamesTheDeviceTheCallAndCudasText) {
  EXPECT_EQ(thrown(cudaErrorInvalidValue), std::string("cuda:1: cudaSomething of 7 bytes failed: ") +
                                               cudaGetErrorString(cudaErrorInvalidValue));
}

TEST(FailedCall, OnAFullDeviceSaysHowToNeedLess) {
  EXPECT_EQ(
      thrown(cudaErrorMemoryAllocation),
      std::string("cuda:1: cudaSomething of 7 bytes failed: ") +
          cudaGetErrorString(cudaErrorMemoryAllocation) +
          "; plan for a smaller max_t or max_n, end what else fills the device, or set RONDO_DEVICE=cpu");
}

TEST(FailedCall, AfterWhichCudaIsLostSaysToRestart) {
  for (const cudaError_t status : {cudaErrorIllegalAddress, cudaErrorLaunchFailure, cudaErrorECCUncorrectable,
                                   cudaErrorLaunchTimeout, cudaErrorAssert}) {
    EXPECT_TRUE(thrown(status).ends_with(": restart the process")) << thrown(status);
  }
  EXPECT_EQ(thrown(cudaErrorNotSupported).find("restart"), std::string::npos);
}

TEST(FailedCall, AForkedChildIsRefusedAndItsParentIsNot) {
  note_forks();
  refuse_after_fork(0);
  const pid_t child = fork();
  if (child == 0) {
    try {
      const CurrentDevice current(1);
    } catch (const DeviceError& error) {
      const std::string said = error.what();
      std::_Exit(said.starts_with("cuda:1: this process was forked after its parent had used CUDA") ? 0 : 1);
    } catch (...) {
    }
    std::_Exit(2);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  refuse_after_fork(0);
}

std::string blas_error(const char* library) {
  try {
    Blas blas(0, nullptr, nullptr, library);
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

TEST(Cublas, ThatIsMissingIsNamedWithWhatToDo) {
  const std::string error = blas_error("libcublas.so.0");
  EXPECT_EQ(error.find("cuda:0: cuBLAS cannot be opened (libcublas.so.0: cannot open shared object file"), 0U)
      << error;
  EXPECT_NE(
      error.find("): install that of CUDA " RONDO_CUDA_MAJOR " or add its directory to LD_LIBRARY_PATH"),
      std::string::npos)
      << error;
}

TEST(Cublas, ThatIsAnotherLibraryIsRefused) {
  EXPECT_EQ(blas_error("libm.so.6"),
            "cuda:0: the cuBLAS that was opened has no cublasCreate_v2: install that of "
            "CUDA " RONDO_CUDA_MAJOR);
}

// Opened from where the build found it, it asks for a device itself.
TEST(Cublas, ThatIsThereFailsForWantOfADevice) {
  int count = 0;
  cudaGetDeviceCount(&count);
  if (count > 0) GTEST_SKIP() << "this machine has " << find_devices().at(0).name;
  EXPECT_EQ(blas_error(kBlasLibrary).find("cuda:0: cublasCreate failed: "), 0U) << blas_error(kBlasLibrary);
}

}  // namespace
}  // namespace rondo::cuda
