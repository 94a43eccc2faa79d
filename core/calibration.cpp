// Coefficients of the cost model: built in, set by the program, or from the file of a measurement.
#include "rondo/calibration.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>

#include "core/cost_model.h"
#include "core/validate.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kFormat = "rondo-tuning 1";
constexpr std::uintmax_t kMostBytes = 64 << 10;

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw std::runtime_error(message(parts...));
}

// What the figures of a kind of device hang on beside Rondo's version; empty: there is no such device.
std::string identity_of(Device::Kind kind) {
  std::string text;
  for (Backend* backend : backends(kind)) {
    const std::string one = backend->identity();
    if (!one.empty()) text += (text.empty() ? "" : "; ") + one;
  }
  return text;
}

const Json& member(const Json& object, const char* name, const char* where) {
  if (!object.is_object()) fail(where, " is not an object");
  const auto at = object.find(name);
  if (at == object.end()) fail(where, " has no \"", name, "\"");
  return *at;
}
std::string text_of(const Json& object, const char* name, const char* where) {
  const Json& value = member(object, name, where);
  if (!value.is_string()) fail("\"", name, "\" of ", where, " is ", value.dump(), ", expected text");
  return value.get<std::string>();
}

template <class Cost, std::size_t count>
Cost read_costs(const Json& from, const Coefficient<Cost> (&names)[count], const char* where) {
  Cost cost{};
  for (const auto& [name, value] : names) {
    const Json& given = member(from, name, where);
    const double number = given.is_number() ? given.get<double>() : 0;
    if (!(number > 0) || !std::isfinite(number)) {
      fail("\"", name, "\" of ", where, " is ", given.dump(), ", expected a positive number");
    }
    cost.*value = number;
  }
  return cost;
}
template <class Cost, std::size_t count>
Json written(const Cost& cost, const Coefficient<Cost> (&names)[count], const std::string& key) {
  Json to{{"key", key}};
  for (const auto& [name, value] : names) to[name] = cost.*value;
  return to;
}

// A whole file, its keys not compared yet.
struct Tuning {
  std::string origin, cpu_key, cuda_key;
  CpuCost cpu{};
  std::optional<CudaCost> cuda;  // where the machine had a GPU
};
Json parsed(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    fail(error && error != std::errc::no_such_file_or_directory ? error.message()
         : fs::exists(file, error)                              ? "it is not a regular file"
                                                                : "there is no such file");
  }
  if (const auto bytes = fs::file_size(file, error); error || bytes > kMostBytes) {
    fail(error ? error.message() : message("it has ", bytes, " bytes, expected at most ", kMostBytes));
  }
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) fail("it cannot be read");
  try {
    return Json::parse(text);
  } catch (const Json::exception& problem) {
    fail("it is not JSON: ", std::string(problem.what()));
  }
}
Tuning read_tuning(const fs::path& file) try {
  const Json all = parsed(file);
  if (const std::string format = text_of(all, "format", "it"); format != kFormat) {
    fail("its format is \"", format, "\", expected \"", kFormat, "\"");
  }
  Tuning tuning{.origin = text_of(all, "origin", "it")};
  const Json& cpu = member(all, "cpu", "it");
  tuning.cpu_key = text_of(cpu, "key", "\"cpu\"");
  tuning.cpu = read_costs(cpu, kCpuCoefficients, "\"cpu\"");
  if (const auto cuda = all.find("cuda"); cuda != all.end()) {
    tuning.cuda_key = text_of(*cuda, "key", "\"cuda\"");
    tuning.cuda = read_costs(*cuda, kCudaCoefficients, "\"cuda\"");
  }
  return tuning;
} catch (const std::exception& problem) {
  fail(file.string(), " cannot be used: ", std::string(problem.what()));
}

std::optional<Tuning> whole_tuning(const fs::path& file) try {
  return read_tuning(file);
} catch (const std::exception&) {
  return {};  // there is none, or one that holds nothing worth keeping
}

// Why a part of a file is not for this machine; empty: it is.
std::string stale(const fs::path& file, const std::string& key, const std::string& here) {
  if (key == here) return "";
  return message(file.string(), " cannot be used: it is for \"", key, "\", this is \"", here, "\"");
}

// The file's part for GPUs in place of what `to` has.
void take_cuda(Calibration& to, const Tuning& tuning) {
  to.cuda = *tuning.cuda;
  to.origin = tuning.origin;
}
Calibration with_cpu(const Tuning& tuning) {
  Calibration all = published_calibration();
  all.cpu = tuning.cpu;
  all.origin = tuning.origin;
  return all;
}

// Never freed: plans may be made during static destruction.
struct InUse {
  std::mutex mutex;
  std::optional<Calibration> set;
  bool read = false, compared_cuda = false;
  std::optional<Tuning> file;  // of this processor
  bool cuda_is_ours = false;   // the file's part for GPUs is of these GPUs
};
InUse& in_use() {
  static auto* const the = new InUse;
  return *the;
}

// Reads the file once. What is wrong with it: a line for the log.
std::string read_once(InUse& s, const std::string& cpu_key) {
  if (std::exchange(s.read, true)) return "";
  const fs::path file = calibration_file();
  std::error_code ignored;
  if (file.empty() || fs::status(file, ignored).type() == fs::file_type::not_found) return "";
  try {
    Tuning tuning = read_tuning(file);
    const std::string problem = stale(file, tuning.cpu_key, cpu_key);
    if (problem.empty()) s.file = std::move(tuning);
    return problem;
  } catch (const std::exception& problem) {
    return problem.what();
  }
}
std::string compare_cuda_once(InUse& s, const std::string& cuda_key) {
  if (std::exchange(s.compared_cuda, true) || !s.file || !s.file->cuda) return "";
  const std::string problem = stale(calibration_file(), s.file->cuda_key, cuda_key);
  s.cuda_is_ours = problem.empty();
  return problem;
}

}  // namespace

Calibration published_calibration() {
  // CPU: a core of a server of the day, f32. GPU: 40 to 100 us a cuDNN call, 3 to 12 us a step of its
  // standard algorithm, 5 to 10 us and 50 GB/s (PCIe 5, pinned) a copy, and half of the f32 rate of an H100's
  // data sheet (67 TFLOP/s). Midpoints.
  return {.cpu = {.call_us = 0.35,
                  .step_us = 0.03,
                  .flops_per_us = 1.1e5,
                  .l1_bytes_per_us = 4e5,
                  .l2_bytes_per_us = 1.2e5,
                  .far_bytes_per_us = 9e4,
                  .elements_per_us = 2e3,
                  .training_factor = 3,
                  .handover_us = 3,
                  .training_handover_us = 4,
                  .meeting_us = 0.3},
          .cuda = {.call_us = 70,
                   .step_us = 7,
                   .flops_per_us = 3.3e7,
                   .weight_bytes_per_us = 3e6,
                   .training_factor = 3,
                   .copy_us = 7.5,
                   .copy_bytes_per_us = 5e4},
          .origin = "published figures"};
}

Calibration calibration_for(std::optional<Device::Kind> kind) {
  InUse& s = in_use();
  const bool gpus = kind != Device::Kind::kCpu;
  bool read, compared;
  {
    const std::lock_guard lock(s.mutex);
    if (s.set) return *s.set;
    read = s.read;
    compared = !gpus || s.compared_cuda;
  }
  // Outside the lock: the log and the backends are others' code.
  const std::string cpu_key = read ? "" : calibration_key(Device::Kind::kCpu);
  const std::string cuda_key = compared ? "" : calibration_key(Device::Kind::kCuda);
  std::string problems[2];
  Calibration all;
  {
    const std::lock_guard lock(s.mutex);
    problems[0] = read_once(s, cpu_key);
    if (!compared) problems[1] = compare_cuda_once(s, cuda_key);
    all = s.file ? with_cpu(*s.file) : published_calibration();
    if (gpus && s.cuda_is_ours) {
      take_cuda(all, *s.file);
    } else if (gpus && s.file) {
      all.origin += " for the CPU, published figures for GPUs";
    }
  }
  for (const std::string& problem : problems) {
    if (!problem.empty() && log_enabled()) log_line(problem);
  }
  return all;
}

Calibration calibration() {
  const DeviceChoice asked = device_from_environment();
  const bool no_gpus = (asked && *asked == Device{}) || calibration_key(Device::Kind::kCuda).empty();
  return calibration_for(no_gpus ? std::optional(Device::Kind::kCpu) : std::nullopt);
}

void set_calibration(const std::optional<Calibration>& calibration) {
  if (calibration) validate_calibration("set_calibration", *calibration);
  InUse& s = in_use();
  const std::lock_guard lock(s.mutex);
  s.set = calibration;
}

fs::path calibration_file() {
  const auto directory = [](const char* variable) -> fs::path {
    const char* text = secure_getenv(variable);
    return text != nullptr && fs::path(text).is_absolute() ? text : "";
  };
  fs::path cache = directory("XDG_CACHE_HOME");
  if (cache.empty()) {
    if (cache = directory("HOME"); cache.empty()) return {};
    cache /= ".cache";
  }
  return cache / "rondo" / "tuning.json";
}

std::string calibration_key(Device::Kind kind) {
  const std::string identity = identity_of(kind);
  return identity.empty() ? "" : message("rondo ", version(), "; ", identity);
}

void save_calibration(const Calibration& calibration, const fs::path& file) {
  validate_calibration("save_calibration", calibration);
  const DeviceChoice asked = device_from_environment();
  const bool gpus = !asked || asked->kind != Device::Kind::kCpu;
  const std::string cuda_key = gpus ? calibration_key(Device::Kind::kCuda) : "";
  Json all{{"format", kFormat},
           {"origin", calibration.origin},
           {"cpu", written(calibration.cpu, kCpuCoefficients, calibration_key(Device::Kind::kCpu))}};
  if (!cuda_key.empty()) {
    all["cuda"] = written(calibration.cuda, kCudaCoefficients, cuda_key);
  } else if (const std::optional<Tuning> before = whole_tuning(file); !gpus && before && before->cuda) {
    all["cuda"] = written(*before->cuda, kCudaCoefficients, before->cuda_key);
  }
  fs::path beside = file;
  beside += message(".", getpid(), ".new");
  std::error_code error, ignored;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
  if (error) fail(file.parent_path().string(), " cannot be made: ", error.message());
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  out << all.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  out.close();
  if (out.fail()) {
    fs::remove(beside, ignored);
    fail(file.string(), " cannot be written: no room or no permission beside it");
  }
  fs::rename(beside, file, error);
  if (!error) return;
  fs::remove(beside, ignored);
  fail(file.string(), " cannot be written: ", error.message());
}

Calibration load_calibration(const fs::path& file) {
  const Tuning tuning = read_tuning(file);
  const auto expect = [&](const std::string& key, Device::Kind kind) {
    const std::string problem = stale(file, key, calibration_key(kind));
    if (!problem.empty()) throw std::runtime_error(problem);
  };
  expect(tuning.cpu_key, Device::Kind::kCpu);
  Calibration all = with_cpu(tuning);
  const DeviceChoice asked = device_from_environment();
  if (!tuning.cuda || (asked && asked->kind == Device::Kind::kCpu)) return all;
  expect(tuning.cuda_key, Device::Kind::kCuda);
  take_cuda(all, tuning);
  return all;
}

}  // namespace rondo
