// Passes timed by the devices and numbers of threads between which the cost model chooses.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rondo/calibration.h"
#include "rondo/rondo.h"

namespace tuning {

struct Side {
  std::string name;  // "cpu/1", "cpu" (all threads), "cuda:0"
  rondo::Device device;
  int threads = 0;           // of the CPU; 0 on a GPU
  bool all_threads = false;  // take part whatever the model in use says
};
// One thread; and all of them, where there are more, all the time.
std::vector<Side> cpu_sides();
// All threads of the CPU, as many as the model in use says.
Side cpu_by_model();
// The GPU that RONDO_DEVICE names, else the first one, if it runs a small network; what is wrong with one that
// does not is a line on stderr.
std::optional<Side> gpu_side();

// The library's settings while a side is planned and run: its number of threads, whatever the model says.
class SideSettings {
 public:
  SideSettings(int threads, bool all_threads);
  ~SideSettings();
  SideSettings(const SideSettings&) = delete;

 private:
  std::optional<rondo::Calibration> before_;
};

// Adds `samples` times of passes of level one on arrays of the host to those of each side, the sides taking
// turns. A sample is of as many passes as take sample_us together. Training is forward and backward.
struct Effort {
  int samples = 5;
  double sample_us = 1000;
};
void add_samples(const rondo::Work& work, std::span<const Side> sides, const Effort& effort,
                 std::vector<std::vector<double>>& samples);
// Of each side's samples, which must not be empty.
std::vector<double> quantiles(const std::vector<std::vector<double>>& samples, double q);

}  // namespace tuning
