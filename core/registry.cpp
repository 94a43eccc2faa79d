// The backends of this process; the only place in core where they have names.
#include <cstdlib>
#include <mutex>

#include "core/dispatch.h"
#include "core/plugin.h"
#include "core/settings.h"
#include "core/validate.h"

namespace rondo {
namespace {

constexpr ModuleName kCudaModule{"librondo_cuda.so", "CUDA", Device::Kind::kCuda};

// Never freed: plans may outlive static destruction.
struct Registry {
  std::mutex mutex;
  std::vector<Backend*> backends;
  std::string no_cuda;  // why, in a sentence
};
Registry& registered() {
  static auto* const all = new Registry;
  return *all;
}

void open_cuda() {
  OpenedModule cuda = open_module(kCudaModule);
  registered().no_cuda = std::move(cuda.reason);
  if (cuda.backend) register_backend(std::move(cuda.backend));
}

// Every device and the backend that has it, which is null for a device that only stands for a reason.
struct Known {
  DeviceInfo info;
  Backend* backend;
};
std::vector<Known> known_devices(std::optional<Device::Kind> kind = {}) {
  std::vector<Known> all;
  bool has_cuda = kind == Device::Kind::kCpu;
  for (Backend* backend : backends(kind)) {
    for (DeviceInfo& info : backend->devices()) {
      has_cuda = has_cuda || info.device.kind == Device::Kind::kCuda;
      all.push_back({std::move(info), backend});
    }
  }
  if (has_cuda) return all;
  std::string reason = registered().no_cuda;
  if (reason.empty()) reason = message(kCudaModule.file, " lists no device and does not say why");
  all.push_back({{{Device::Kind::kCuda, 0}, false, "", std::move(reason)}, nullptr});
  return all;
}

}  // namespace

void register_backend(std::unique_ptr<Backend> backend) {
  const std::lock_guard lock(registered().mutex);
  registered().backends.push_back(backend.release());
}

std::vector<Backend*> backends(std::optional<Device::Kind> kind) {
  static std::once_flag built_in, cuda;
  std::call_once(built_in, register_builtin_backends);
  if (kind != Device::Kind::kCpu) std::call_once(cuda, open_cuda);
  const std::lock_guard lock(registered().mutex);
  std::vector<Backend*> all;
  for (Backend* backend : registered().backends) {
    if (!kind || backend->kind() == *kind) all.push_back(backend);
  }
  return all;
}

Backend& backend_of(Device device) {
  std::string reason, names;
  for (const auto& [info, backend] : known_devices(device.kind)) {
    if (info.device == device && info.usable) return *backend;
    // Without its backend, all devices of a kind are missing for the same reason.
    if (info.device == device || backend == nullptr) reason = info.reason;
  }
  if (reason.empty()) {
    for (const Known& known : known_devices())
      names += (names.empty() ? "" : ", ") + to_string(known.info.device);
    reason = "there is no such device, only " + names;
  }
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

Advice advise(const RnnConfig& config, Phase phase, std::int64_t t, std::int64_t n, DeviceChoice device) {
  validate_plan(config, {.phase = phase, .max_t = t, .max_n = n});
  const Request request{.config = config, .phase = phase, .max_t = t, .max_n = n, .parameters_on_host = true};
  Choice choice = plan_device(request, device ? device : device_from_environment());
  Advice advice{choice.device, std::move(choice.reason), {}};
  for (Candidate& c : choice.candidates) {
    advice.devices.push_back(
        {std::move(c.info), std::move(c.support), c.predicted_us, c.copies_us, c.threads});
  }
  return advice;
}

Choice plan_device(const Request& request, DeviceChoice forced) {
  std::vector<Candidate> candidates;
  const auto kind = forced ? std::optional(forced->kind) : std::nullopt;
  bool gpus = false;
  for (const auto& [info, backend] : known_devices(kind)) {
    gpus = gpus || (info.usable && info.device.kind == Device::Kind::kCuda);
    Candidate& candidate = candidates.emplace_back(Candidate{info, {info.usable, info.reason}});
    Request there = request;
    there.device = info.device;
    there.data_on_host = info.device.kind != Device::Kind::kCpu;
    if (info.usable) candidate.support = backend->supports(there);
  }
  return choose_device(request, candidates, forced,
                       calibration_for(gpus ? std::nullopt : std::optional(Device::Kind::kCpu)),
                       {num_threads(), executor() == nullptr && available_cpus() > 1});
}

}  // namespace rondo
