// The cost model by which a device and a number of CPU threads are chosen, the latter at first, and its
// coefficients: built in, or measured on this machine by the program `rondo tune` and kept in a file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "rondo/device.h"
#include "rondo/types.h"

namespace rondo {

// Passes of one network over n rows of t steps.
struct Work {
  RnnConfig config;
  Phase phase = Phase::kInference;
  std::int64_t t = 1;
  std::int64_t n = 1;
  bool data_on_host = true;          // x and y cross to a GPU and back
  bool parameters_on_host = false;   // in training: gradients come back, new parameters go there
  bool from_zeros = false;           // no state is given: on a CPU the first step does without R
};

// Of a CPU, in f32; "a thread" where it scales with their number. All positive.
struct CpuCost {
  double call_us;             // one pass of one layer and direction, whatever its size
  double step_us;             // one step of it, beside what is below
  double flops_per_us;        // products, a thread
  double l1_bytes_per_us;     // recurrent weights re-read at each step, a thread: where a thread's share fits
  double l2_bytes_per_us;     // the first-level cache, the second, or neither
  double far_bytes_per_us;
  double elements_per_us;     // gates through the cell's pointwise part, a thread
  double training_factor;     // forward and backward together over forward alone
  double handover_us;         // giving work to the team of threads and waiting for its end
  double training_handover_us;  // in training, whose phases read what other threads wrote in the last
  double meeting_us;          // threads that divide units wait for one another after each step
};
// Of a GPU, in f32. All positive.
struct CudaCost {
  double call_us;              // one pass, launches included
  double step_us;              // the least time of one step of one layer and direction
  double flops_per_us;
  double weight_bytes_per_us;  // recurrent weights re-read at each step
  double training_factor;
  double copy_us;              // one transfer between host and device
  double copy_bytes_per_us;
};
// By name, for files, tables and fits.
template <class Cost>
struct Coefficient {
  const char* name;
  double Cost::*value;
};
inline constexpr Coefficient<CpuCost> kCpuCoefficients[] = {
    {"call_us", &CpuCost::call_us},
    {"step_us", &CpuCost::step_us},
    {"flops_per_us", &CpuCost::flops_per_us},
    {"l1_bytes_per_us", &CpuCost::l1_bytes_per_us},
    {"l2_bytes_per_us", &CpuCost::l2_bytes_per_us},
    {"far_bytes_per_us", &CpuCost::far_bytes_per_us},
    {"elements_per_us", &CpuCost::elements_per_us},
    {"training_factor", &CpuCost::training_factor},
    {"handover_us", &CpuCost::handover_us},
    {"training_handover_us", &CpuCost::training_handover_us},
    {"meeting_us", &CpuCost::meeting_us},
};
inline constexpr Coefficient<CudaCost> kCudaCoefficients[] = {
    {"call_us", &CudaCost::call_us},
    {"step_us", &CudaCost::step_us},
    {"flops_per_us", &CudaCost::flops_per_us},
    {"weight_bytes_per_us", &CudaCost::weight_bytes_per_us},
    {"training_factor", &CudaCost::training_factor},
    {"copy_us", &CudaCost::copy_us},
    {"copy_bytes_per_us", &CudaCost::copy_bytes_per_us},
};

struct Calibration {
  CpuCost cpu;
  CudaCost cuda;
  std::string origin;  // ends the sentences of explain(): "published figures", "tuned 2026-11-20"
};

// Microseconds of a pass (in training: forward and backward) by the model, a pure function of its arguments.
// threads: how many take part; 1 is the caller alone.
RONDO_API double predict_us(const Work& work, const CpuCost& cost, int threads);
RONDO_API double predict_us(const Work& work, const CudaCost& cost);  // copies included
// 1 or most, whichever is predicted to be faster.
RONDO_API int choose_threads(const Work& work, const CpuCost& cost, int most);

RONDO_API Calibration published_calibration();
// The one in use: what set_calibration gave; else, read once, the file's if it is there, whole and of this
// machine; else the published one. What is wrong with a file is a line of the log. RONDO_DEVICE=cpu leaves
// GPUs at the published one.
RONDO_API Calibration calibration();
// For plans made from now on, in this process; std::nullopt goes back to the file's. InvalidArgument for a
// coefficient that is not positive or not finite.
RONDO_API void set_calibration(const std::optional<Calibration>& calibration);

// $XDG_CACHE_HOME/rondo/tuning.json, else ~/.cache/rondo/tuning.json; empty where neither variable is set.
RONDO_API std::filesystem::path calibration_file();
// What a file's part for a kind of device has to be of: Rondo's version and the processor, its instruction set
// and threads, or the GPUs, the driver and CUDA. A line of text; empty where there is no such device. Asking
// for GPUs starts their driver.
RONDO_API std::string calibration_key(Device::Kind kind);
// For this machine, with its keys: the part for GPUs where there are any and RONDO_DEVICE is not "cpu", under
// which the file keeps the part that it has. Whole or not at all; std::runtime_error when the file cannot be written.
RONDO_API void save_calibration(const Calibration& calibration, const std::filesystem::path& file);
// std::runtime_error that names the file and says what is wrong with it, also for one of another machine.
RONDO_API Calibration load_calibration(const std::filesystem::path& file);

}  // namespace rondo
