// Opens cuDNN, and says what is wrong with it or with a call.
#include "cuda/cudnn_library.h"

#include <dlfcn.h>

#include "cuda/cuda_error.h"
#include "cuda/cudnn_handle.h"
#include "cuda/cudnn_rnn.h"
#include "rondo/device.h"

namespace rondo::cuda {
namespace {

const std::string kMajor = std::to_string(CUDNN_MAJOR);

std::string what_to_do() {
  return ": install cuDNN " + kMajor +
         ", or add the folder that has it (that of a Python wheel, say) to "
         "LD_LIBRARY_PATH";
}

// 91900: "9.19.0"; up to version 8 the major number counts thousands.
std::string version_text(std::size_t version) {
  const std::size_t major = version < 10000 ? 1000 : 10000;
  return std::to_string(version / major) + "." + std::to_string(version % major / 100) + "." +
         std::to_string(version % 100);
}

template <class Function>
void load(void* library, const std::string& file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw CudnnRefusal(file + " has no " + name + what_to_do());
}

}  // namespace

const CudnnLibrary& CudnnLibrary::opened() {
  static const CudnnLibrary library("libcudnn.so." + kMajor);
  return library;
}

CudnnLibrary::CudnnLibrary(const std::string& file) {
  // By name alone: the loader looks at LD_LIBRARY_PATH, then where this module's build found it, then at
  // the system's folders. Never unloaded, since the calls of others who use it may be under way at exit.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* text = dlerror();
    throw CudnnRefusal("cuDNN cannot be loaded (" + std::string(text != nullptr ? text : file) + ")" +
                       what_to_do());
  }
  decltype(&::cudnnGetVersion) get_version = nullptr;
  load(library, file, "cudnnGetVersion", get_version);
  version = get_version();
  if (version / 10000 != CUDNN_MAJOR) {
    throw CudnnRefusal(file + " is cuDNN " + version_text(version) + ", expected " + kMajor + ".x" +
                       what_to_do());
  }
#define RONDO_CUDNN_LOAD(name) load(library, file, #name, name)
  RONDO_CUDNN_FUNCTIONS(RONDO_CUDNN_LOAD)
#undef RONDO_CUDNN_LOAD
}

std::string cudnn_version() { return version_text(CudnnLibrary::opened().version); }

void Cudnn::forget_last_error() const {
  char ignored[2];
  library.cudnnGetLastErrorString(ignored, sizeof ignored);
}

// "CUDNN_STATUS_BAD_PARAM (projSize <= 0)"
std::string Cudnn::text(cudnnStatus_t status) const {
  char condition[1024] = "";
  library.cudnnGetLastErrorString(condition, sizeof condition);
  const std::string name = library.cudnnGetErrorString(status);
  return condition[0] == 0 ? name : name + " (" + condition + ")";
}

void Cudnn::refuse(const std::string& subject, const char* name, cudnnStatus_t status) const {
  // Parts of cuDNN are libraries of their own, which it opens when they are needed.
  const bool incomplete =
      status == CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED || status == CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH;
  throw CudnnRefusal("cuDNN refuses " + subject + ": " + name + ": " + text(status) +
                     (incomplete ? what_to_do() : ""));
}

void Cudnn::fail_planning(const std::string& subject, const char* name, cudnnStatus_t status) const {
  const bool full = status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                    status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
  const bool lost = stream != nullptr && stream_error(stream) != cudaSuccess;
  if (full || lost) fail(name, status);
  refuse(subject, name, status);
}

void Cudnn::fail(const char* name, cudnnStatus_t status) const {
  std::string why = text(status);
  if (const cudaError_t cause = stream == nullptr ? cudaSuccess : stream_error(stream);
      cause != cudaSuccess) {
    why += std::string("; ") + cudaGetErrorString(cause) + restart_notice(cause);
  }
  throw DeviceError(to_string(Device{Device::Kind::kCuda, device}) + ": " + name + " failed: " + why);
}

}  // namespace rondo::cuda
