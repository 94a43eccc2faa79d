// librondo_cuda.so as it is opened at run time, with or without a GPU: its devices, and what is missing.
// Linked to the shared library, as a user's program is; built only where the module is.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "core/backend.h"
#include "device_error.h"
#include "readme_options.h"
#include "rondo/rondo.h"

namespace rondo {
namespace {

using testing::device_error;

Backend* open_backend() {
  void* module = dlopen(RONDO_CUDA_MODULE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (module == nullptr) {
    ADD_FAILURE() << dlerror();
    return nullptr;
  }
  return reinterpret_cast<Backend* (*)()>(dlsym(module, "rondo_make_backend"))();
}
// Never deleted, like those of the library.
Backend& backend() {
  static Backend* const opened = open_backend();
  if (opened == nullptr) throw std::runtime_error("the module does not open");
  return *opened;
}
DeviceInfo first_device() { return backend().devices().at(0); }

TEST(CudaModule, SaysWhatIsMissing) {
  for (const DeviceInfo& info : backend().devices()) {
    EXPECT_EQ(info.device.kind, Device::Kind::kCuda);
    EXPECT_EQ(info.usable, info.reason.empty()) << info.reason;
    EXPECT_EQ(info.usable, first_device().usable || !info.name.empty());
    std::cout << to_string(info.device) << ": " << (info.usable ? info.name : info.reason) << "\n";
  }
  const DeviceInfo first = first_device();
  if (!first.name.empty()) GTEST_SKIP() << "this machine has " << first.name;
  EXPECT_NE(first.reason.find(" (cudaGetDeviceCount: "), std::string::npos) << first.reason;
}

// In a process that does nothing else, whatever other tests have opened.
TEST(CudaModule, OpensCublasOnlyWithADevice) {
  const auto opened = [] {
    backend().devices();
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    const bool module = text.find("librondo_cuda.so") != std::string::npos;
    std::_Exit(module && text.find("libcublas") == std::string::npos ? 0 : 1);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(opened(), ::testing::ExitedWithCode(0), "");
}

TEST(CudaModule, IsWhatTheLibraryFinds) {
  for (const DeviceInfo& info : list_devices()) {
    if (info.device != Device{Device::Kind::kCuda, 0}) continue;
    EXPECT_EQ(info.name, first_device().name);
    EXPECT_EQ(info.reason, first_device().reason);
    return;
  }
  FAIL() << "no cuda:0 in the list";
}

TEST(CudaModule, RefusesWorkWithTheReason) {
  const DeviceInfo first = first_device();
  if (first.usable) GTEST_SKIP() << "this machine has " << first.name;
  const Request request{.config = {.input_size = 3, .hidden_size = 4}, .device = first.device};
  const std::string expected = "cuda:0 cannot be used: " + first.reason;
  EXPECT_EQ(device_error([&] { backend().make_plan(request); }), expected);
  EXPECT_EQ(device_error([&] { backend().allocate(first.device, 100); }), expected);
  EXPECT_EQ(device_error([&] { Rnn rnn(request.config, first.device); }), expected);
  const Device none{Device::Kind::kCuda, 99};
  EXPECT_EQ(device_error([&] { backend().allocate(none, 1); }), "cuda:99 does not exist");
}

TEST(CudaModule, SaysWhichSizesAreTooLarge) {
  RnnConfig config{.input_size = 3, .hidden_size = 4};
  EXPECT_TRUE(backend().supports({.config = config}).ok);
  config.input_size = std::int64_t{1} << 40;
  const Support support = backend().supports({.config = config});
  EXPECT_FALSE(support.ok);
  EXPECT_NE(support.reason.find("input_size"), std::string::npos) << support.reason;
  config = {.input_size = 3, .hidden_size = 4, .dtype = DType::kI32};
  EXPECT_NE(backend().supports({.config = config}).reason.find("i32"), std::string::npos);
}

// What the README's table says of the CUDA backend.
TEST(CudaModule, SupportsTheOptionsOfTheReadme) {
  for (const auto& [name, option] : testing::options()) {
    for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
      Request request{.config = {.cell = Cell::kLstm, .input_size = 3, .hidden_size = 4}, .phase = phase};
      option(request.config);
      const Support support = backend().supports(request);
      EXPECT_TRUE(support.ok)
          << name << ", " << to_string(phase) << ": " << support.reason;
    }
  }
}

TEST(CudaModule, CopiesThereAndBack) {
  const DeviceInfo first = first_device();
  if (!first.usable) GTEST_SKIP() << "cuda:0: " << first.reason;
  std::array<std::uint8_t, 1000> sent{}, back{};
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7);
  void* a = backend().allocate(first.device, sent.size());
  void* b = backend().allocate(first.device, sent.size());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 256, 0U);
  backend().copy(first.device, a, sent.data(), sent.size());
  backend().copy(first.device, b, a, sent.size());
  backend().copy(first.device, back.data(), b, back.size());
  EXPECT_EQ(sent, back);
  backend().release(first.device, a);
  backend().release(first.device, b);
  // Beyond any memory; the device is none the worse for it.
  const std::string full = device_error([&] { backend().allocate(first.device, std::size_t{1} << 60); });
  EXPECT_NE(full.find(to_string(first.device) + ": cudaMallocFromPoolAsync of"), std::string::npos) << full;
  backend().release(first.device, backend().allocate(first.device, 1));
}

}  // namespace
}  // namespace rondo
