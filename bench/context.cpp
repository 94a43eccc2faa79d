// Facts of the machine, from the system and from the libraries that this process has opened.
#include "bench/context.h"

#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <cstdlib>
#include <ctime>

#include "bench/device_arrays.h"
#include "bench/workload.h"
#include "rondo/calibration.h"

namespace bench {
namespace {

#ifdef NDEBUG
constexpr const char* kBuildType = "release";
#else
constexpr const char* kBuildType = "debug";
#endif

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[40];
  std::strftime(text, sizeof text, "%FT%T%z", &local);
  return text;
}

// OpenBLAS says what it is; other libraries have no such function.
std::string blas_name() {
  auto* const config = reinterpret_cast<char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  auto* const core = reinterpret_cast<char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (config == nullptr) return "a CBLAS other than OpenBLAS";
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": its name and version.
  const std::string text = config();
  const std::string name = text.substr(0, text.find(' ', text.find(' ') + 1));
  return name + (core == nullptr ? "" : std::string(", kernels of ") + core());
}

// 91900 is 9.19.0.
std::string cudnn_version() {
  void* const library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return "";
  auto* const version = reinterpret_cast<std::size_t (*)()>(dlsym(library, "cudnnGetVersion"));
  const std::size_t number = version == nullptr ? 0 : version();
  dlclose(library);
  if (number == 0) return "";
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

}  // namespace

Gpu find_gpu() {
  Gpu gpu;
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (info.device.kind != rondo::Device::Kind::kCuda) continue;
    if (info.usable) return {info, ""};
    if (gpu.reason.empty()) gpu.reason = rondo::to_string(info.device) + ": " + info.reason;
  }
  return gpu;
}

Json run_context(const Gpu& gpu) {
  const Runner cpu = describe_runner(rondo::Device{});
  const GpuVersions versions = gpu.info ? gpu_versions() : GpuVersions{};
  const char* commit = std::getenv("RONDO_COMMIT");
  const benchmark::CPUInfo& machine = benchmark::CPUInfo::Get();
  Json caches = Json::array();
  for (const auto& cache : machine.caches) {
    caches.push_back({{"type", cache.type},
                      {"level", cache.level},
                      {"size", cache.size},
                      {"num_sharing", cache.num_sharing}});
  }
  return {{"date", now()},
          {"num_cpus", machine.num_cpus},
          {"mhz_per_cpu", static_cast<int>(machine.cycles_per_second / 1e6)},
          {"caches", std::move(caches)},
          {"library_build_type", kBuildType},
          {"format", "rondo-bench 1"},
          {"engine", cpu.engine},
          {"cpu", cpu.device_name},
          {"isa", cpu.isa},
          {"threads", cpu.threads},
          {"blas", blas_name()},
          {"gpu", gpu.info ? Json(gpu.info->name) : Json()},
          {"no_gpu", gpu.info ? Json() : Json(gpu.reason)},
          {"driver", or_null(versions.driver)},
          {"cuda", or_null(versions.runtime)},
          {"cudnn", gpu.info ? or_null(cudnn_version()) : Json()},
          {"commit", commit == nullptr ? "" : commit},
          {"calibration", rondo::calibration().origin}};
}

Json json_of(const Limits& l) {
  return {{"flops_per_us", l.flops_per_us},
          {"l1_bytes_per_us", l.l1_bytes_per_us},
          {"l2_bytes_per_us", l.l2_bytes_per_us},
          {"far_bytes_per_us", l.far_bytes_per_us},
          {"l1_bytes", l.l1_bytes},
          {"l2_bytes", l.l2_bytes},
          {"activations_per_us", l.activations_per_us}};
}

}  // namespace bench
