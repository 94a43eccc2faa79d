// The backends of this process; the only place in core where they have names.
#include <cstdlib>
#include <mutex>

#include "core/dispatch.h"
#include "core/validate.h"

namespace rondo {
namespace {

constexpr const char* kNoCuda = "this build of rondo has no CUDA backend";

// Never freed: plans may outlive static destruction.
std::vector<Backend*>& registered() {
  static auto* const all = new std::vector<Backend*>;
  return *all;
}

}  // namespace

void register_backend(std::unique_ptr<Backend> backend) { registered().push_back(backend.release()); }

std::vector<Backend*> backends() {
  static std::once_flag once;
  std::call_once(once, register_builtin_backends);
  return registered();
}

Backend& backend_of(Device device) {
  std::string reason = device.kind == Device::Kind::kCuda ? kNoCuda : "there is no such device";
  for (Backend* backend : backends()) {
    for (const DeviceInfo& info : backend->devices()) {
      if (info.device != device) continue;
      if (info.usable) return *backend;
      reason = info.reason;
    }
  }
  throw DeviceError(to_string(device) + " cannot be used: " + reason);
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> all;
  bool has_cuda = false;
  for (const Backend* backend : backends()) {
    for (DeviceInfo& info : backend->devices()) all.push_back(std::move(info));
    has_cuda = has_cuda || backend->kind() == Device::Kind::kCuda;
  }
  if (!has_cuda) all.push_back({{Device::Kind::kCuda, 0}, false, "", kNoCuda});
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
