// The contract that a backend fulfils: devices, support, and plans of whole passes.
//
// Data flows one way: the public classes validate (validate_*.cpp), the registry and dispatch.cpp choose
// a backend, its BackendPlan runs. A backend may write whole-stack plans itself (cuDNN does) or one-layer
// code only, which core/stack.h composes.
#pragma once

#include <algorithm>

#include "rondo/plan.h"

namespace rondo {

// One network on one device, for all sizes up to max_t and max_n.
struct Request {
  RnnConfig config;
  Phase phase = Phase::kInference;
  std::int64_t max_t = 1;
  std::int64_t max_n = 1;
  Device device{};
  bool data_on_host = true;         // x and y have to be brought to a device that is not the host
  bool parameters_on_host = false;  // in training: an optimizer there reads gradients and writes parameters
  void* stream = nullptr;           // PlanOptions::stream
  bool resets = false;              // PlanOptions::resets
  bool ragged = true;               // PlanOptions::ragged

  // The rows with a step that one layer may see at once: resets cut those of a batch.
  std::int64_t max_rows() const { return resets ? max_window() * max_n : max_n; }
  // The steps that it may see at once: under checkpoints a training plan runs window by window.
  std::int64_t max_window() const {
    const bool windows = phase == Phase::kTraining && config.checkpoint_every > 0;
    return windows ? std::min(config.checkpoint_every, max_t) : max_t;
  }
};

// Parameters in a backend's own order, immutable.
class Packed {
 public:
  virtual ~Packed() = default;
  RnnConfig config;
  Device device{};
  Phase phase = Phase::kInference;  // kTraining: has what backward reads
};

// A validated call. Views are dense; t and n are the sizes of this call. tape is null in inference.
// host_tape is the tape's host memory, of host_tape_bytes.
struct ForwardCall {
  const ForwardArgs& args;
  std::int64_t t;
  std::int64_t n;
  std::byte* tape;
  std::byte* host_tape;
};
// forward holds the x, y and y_reverse of the pass that wrote the tape; its other views may be gone.
struct BackwardCall {
  const BackwardArgs& args;
  const ForwardArgs& forward;
  std::int64_t t;
  std::int64_t n;
  std::byte* tape;
  std::byte* host_tape;
};

// Validated steps of a stream: inference of n rows by a network of the forward direction, t = 1. x [n, I] is
// dense and overlaps none of the states [L, n, H or P], which change in place; c: LSTM.
class Steps {
 public:
  // As forward, to the bit, with less on the way to the kernels. False: nothing was done, forward serves.
  virtual bool step(const void* x, void* h, void* c) = 0;

 protected:
  ~Steps() = default;
};

// Forward and backward of the whole stack over the whole sequence. Never allocates in a pass, and on the CPU
// never locks; on a GPU it takes locks for moments: the libraries' handles are for one thread at a time.
class BackendPlan {
 public:
  virtual ~BackendPlan() = default;
  virtual std::size_t workspace_bytes() const = 0;
  virtual std::size_t tape_bytes() const = 0;
  // What a tape keeps on the host beside that, for a plan on another device.
  virtual std::size_t host_tape_bytes() const { return 0; }
  virtual std::unique_ptr<Packed> pack(const void* parameters) const = 0;
  virtual void forward(const Packed& weights, const ForwardCall& call) = 0;
  virtual void backward(const Packed& weights, const BackwardCall& call) = 0;
  // Those of n rows, n > 0, valid while these weights and this workspace are: the plan's own, until it is
  // asked for others. Null: it has none.
  virtual Steps* steps(const Packed&, std::int64_t /*n*/, std::byte* /*workspace*/) { return nullptr; }
  virtual std::string path() const = 0;  // for explain(): "cpu kernels, avx2, up to 2 threads"
};

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device::Kind kind() const = 0;
  virtual std::vector<DeviceInfo> devices() const = 0;
  // What measurements of its devices hang on, a line; empty: it has none that is usable.
  virtual std::string identity() const {
    std::string text;
    for (const DeviceInfo& info : devices()) {
      if (info.usable) text += (text.empty() ? "" : "; ") + info.name;
    }
    return text;
  }
  virtual Support supports(const Request& request) const = 0;
  virtual std::unique_ptr<BackendPlan> make_plan(const Request& request) = 0;

  // Memory of one of its devices, at least 64-byte aligned, not initialised; DeviceError when it is full.
  virtual void* allocate(Device device, std::size_t bytes) = 0;
  virtual void release(Device device, void* memory) noexcept = 0;
  // Zero bytes, ordered as a copy is.
  virtual void zero(Device device, void* memory, std::size_t bytes) = 0;
  // One side at least lies on the device. After all earlier work of its own there, and before all later work.
  // From the host it returns once the source was read, to the host it is complete on return.
  virtual void copy(Device device, void* to, const void* from, std::size_t bytes) = 0;
  // Several, in any order: a backend that has to wait for its device does so once.
  virtual void copy_all(Device device, std::span<const Copy> copies) {
    for (const Copy& c : copies) copy(device, c.to, c.from, c.bytes);
  }
};

// registry.cpp. Backends in order of registration, of one kind or all. The built-in ones are there from the
// first use; a module is opened when its kind or all are first asked for, since opening one takes time and
// memory that a program on the CPU need not spend.
std::vector<Backend*> backends(std::optional<Device::Kind> kind = {});
Backend& backend_of(Device device);  // DeviceError when the device is missing or not usable
void register_builtin_backends();    // defined by the CPU backend, the one that is linked in
void register_backend(std::unique_ptr<Backend> backend);

// A line to the log callback, and to stderr under RONDO_LOG=info; log_enabled() says whether anybody reads
// it. Not for passes.
bool log_enabled();
void log_line(const std::string& line);

}  // namespace rondo

// What a backend that is opened at run time exports, a line at the end of one of its sources:
//   RONDO_BACKEND_MODULE(std::make_unique<rondo::cuda::CudaBackend>())
// The library compares the stamp before it calls anything. The factory runs once, inside the first use of
// the backends: it must not ask for devices. What it throws is told to the user as the reason for which
// the backend is not there. Machines without a device are no reason to throw: devices() says so better.
#define RONDO_TEXT_OF(name) RONDO_TEXT(name)
#define RONDO_TEXT(name) #name
#define RONDO_STAMP_SYMBOL rondo_build_stamp
#define RONDO_FACTORY_SYMBOL rondo_make_backend
#define RONDO_BUILD_STAMP                             \
  "rondo " RONDO_VERSION ", contract " RONDO_CONTRACT \
  ", C++ ABI " RONDO_TEXT_OF(__GXX_ABI_VERSION) "/" RONDO_TEXT_OF(_GLIBCXX_USE_CXX11_ABI)
extern "C" RONDO_API const char RONDO_STAMP_SYMBOL[];
extern "C" RONDO_API rondo::Backend* RONDO_FACTORY_SYMBOL();  // the caller's to delete
#define RONDO_BACKEND_MODULE(...)                      \
  const char RONDO_STAMP_SYMBOL[] = RONDO_BUILD_STAMP; \
  rondo::Backend* RONDO_FACTORY_SYMBOL() { return std::unique_ptr<rondo::Backend>(__VA_ARGS__).release(); }
