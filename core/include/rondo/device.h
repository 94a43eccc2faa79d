// Devices: which there are, which one a network runs on, and the process-wide settings.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "rondo/error.h"

namespace rondo {

struct Device {
  enum class Kind : std::uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;  // among those of its kind
  bool operator==(const Device&) const = default;
};
RONDO_API std::string to_string(Device device);  // "cpu", "cuda:0"

struct DeviceInfo {
  Device device;
  bool usable = false;
  std::string name;    // "AMD EPYC, 2 threads, AVX2"
  std::string reason;  // when not usable: what is missing, in a sentence
};
// Every device that this build knows of, the unusable ones too (with their reason). Never empty.
RONDO_API std::vector<DeviceInfo> list_devices();

// What is asked for: "auto" (std::nullopt), "cpu", "cuda", "cuda:N".
using DeviceChoice = std::optional<Device>;
// Anything else: InvalidArgument that lists the legal values.
RONDO_API DeviceChoice parse_device(const std::string& text);
// The value of RONDO_DEVICE, read at every call; "auto" when it is unset or empty.
RONDO_API DeviceChoice device_from_environment();

// Whether a device runs a configuration in a phase, and if not, why, in a sentence.
struct Support {
  bool ok = true;
  std::string reason;
};
RONDO_API Support supports(const RnnConfig& config, Phase phase, Device device = {});

// What the cost model says of passes over n rows of t steps whose arrays lie on the host, and in training of
// parameters that an optimizer there updates, as an Rnn has them. No network is made, and nothing runs.
struct Advice {
  struct Prediction {
    DeviceInfo info;
    Support support;  // whether this network can run there now; predicted also where it cannot
    double us = 0;    // microseconds a pass, copies included
    double copies_us = 0;
    int threads = 0;  // of the CPU, 1 or all: as predicted; 0 on a GPU
  };
  Device device;       // the choice
  std::string reason;  // a sentence with the times and where their coefficients come from
  std::vector<Prediction> devices;
};
// The choice of an Rnn that is first planned for these sizes: the device asked for, else RONDO_DEVICE, else
// the fastest by prediction. DeviceError when the one asked for cannot run it, or none can.
RONDO_API Advice advise(const RnnConfig& config, Phase phase, std::int64_t t, std::int64_t n,
                        DeviceChoice device = {});

// Threads that the calls of plans made from now on may use, the caller's included; 255 at most. Default:
// the CPUs of the affinity mask, and of the quota that the cgroup namespace shows (cgroup v2, cpu.max).
// n < 1 restores the default. Results do not depend on it, to the bit.
RONDO_API void set_num_threads(int n);
RONDO_API int num_threads();

// On the CPU the first passes of some sizes are divided among the threads as predicted to be the fastest;
// later ones try other divisions now and then, and keep to what took the least time. A plan remembers the
// latest four sizes of inference and of training. Results are the same bits. false: all are divided as
// predicted, as they are with an executor. For plans made from now on.
RONDO_API void set_division_trials(bool on);

// A host program's own pool. run(n, task) calls task(0) ... task(n - 1), each once, on any threads
// and in any order, and returns when all have ended. It must outlive every call of the library.
class RONDO_API Executor {
 public:
  virtual ~Executor() = default;
  virtual int concurrency() const = 0;
  virtual void run(int n, void (*task)(void* context, int index), void* context) = 0;
};
// Use it in place of the library's own threads; nullptr goes back to those.
RONDO_API void set_executor(Executor* executor);

// OpenBLAS's own threads are set to one at the first call, since Rondo's threads share its work
// (a process-wide setting of OpenBLAS). Call with false before the first pass to leave it alone.
RONDO_API void set_blas_single_threaded(bool on);

// Receives a line at a time; none by default. RONDO_LOG=info in the environment logs to stderr.
RONDO_API void set_log(std::function<void(const std::string&)> callback);

RONDO_API const char* version();  // "0.1.0"

}  // namespace rondo
