// The backends of this process; the only place in core where they have names.
#include <cstdlib>
#include <mutex>

#include "core/dispatch.h"
#include "core/plugin.h"
#include "core/validate.h"

namespace rondo {
namespace {

constexpr ModuleName kCudaModule{"librondo_cuda.so", "CUDA", Device::Kind::kCuda};

// Never freed: plans may outlive static destruction.
struct Registry {
  std::vector<Backend*> backends;
  std::string no_cuda;  // why, in a sentence
};
Registry& registered() {
  static auto* const all = new Registry;
  return *all;
}

void register_all() {
  register_builtin_backends();
  OpenedModule cuda = open_module(kCudaModule);
  registered().no_cuda = std::move(cuda.reason);
  if (cuda.backend) register_backend(std::move(cuda.backend));
}

// Every device and the backend that has it, which is null for a device that only stands for a reason.
struct Known {
  DeviceInfo info;
  Backend* backend;
};
std::vector<Known> known_devices() {
  std::vector<Known> all;
  bool has_cuda = false;
  for (Backend* backend : backends()) {
    for (DeviceInfo& info : backend->devices()) {
      has_cuda = has_cuda || info.device.kind == Device::Kind::kCuda;
      all.push_back({std::move(info), backend});
    }
  }
  std::string reason = registered().no_cuda;
  if (reason.empty()) reason = message(kCudaModule.file, " lists no device and does not say why");
  if (!has_cuda) all.push_back({{{Device::Kind::kCuda, 0}, false, "", std::move(reason)}, nullptr});
  return all;
}

}  // namespace

void register_backend(std::unique_ptr<Backend> backend) {
  registered().backends.push_back(backend.release());
}

std::vector<Backend*> backends() {
  static std::once_flag once;
  std::call_once(once, register_all);
  return registered().backends;
}

Backend& backend_of(Device device) {
  std::string names, reason;
  for (const auto& [info, backend] : known_devices()) {
    const bool same_kind = info.device.kind == device.kind;
    if (info.device == device && info.usable) return *backend;
    // Without its backend, all devices of a kind are missing for the same reason.
    if (info.device == device || (same_kind && backend == nullptr)) reason = info.reason;
    names += (names.empty() ? "" : ", ") + to_string(info.device);
  }
  if (reason.empty()) reason = "there is no such device, only " + names;
  throw DeviceError(to_string(device) + " cannot be used: " + reason);
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> all;
  for (Known& known : known_devices()) all.push_back(std::move(known.info));
  return all;
}

std::string to_string(Device device) {
  return device.kind == Device::Kind::kCpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

DeviceChoice parse_device(const std::string& text) { return parse_device_text("parse_device", text); }

DeviceChoice device_from_environment() {
  const char* text = std::getenv("RONDO_DEVICE");
  return text == nullptr || *text == '\0' ? std::nullopt : parse_device_text("RONDO_DEVICE", text);
}

Support supports(const RnnConfig& config, Phase phase, Device device) try {
  validate_config(config);
  return backend_of(device).supports({config, phase, 1, 1, device, true});
} catch (const DeviceError& error) {
  return {false, error.what()};
}

Choice plan_device(const Request& request, DeviceChoice forced) {
  std::vector<Candidate> candidates;
  for (const DeviceInfo& info : list_devices()) {
    Candidate& candidate = candidates.emplace_back(Candidate{info, {info.usable, info.reason}});
    Request there = request;
    there.device = info.device;
    there.data_on_host = info.device.kind != Device::Kind::kCpu;
    if (info.usable) candidate.support = backend_of(info.device).supports(there);
  }
  return choose_device(request, candidates, forced, published_calibration(), num_threads());
}

}  // namespace rondo
