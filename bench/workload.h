// One shape made ready to be run again and again by Rondo.
#pragma once

#include <memory>
#include <string>

#include "bench/result.h"
#include "bench/shape_config.h"

namespace bench {

class Workload {
 public:
  virtual ~Workload() = default;
  virtual void run() = 0;
  // Waits for what the runs have asked of the device.
  virtual void finish() {}
  virtual std::string path() const { return ""; }
  // What one run is, for the result.
  virtual std::string what() const = 0;
};

// Level two on arrays of the device. inference: Plan::forward with weights packed beforehand. training: pack,
// forward with a tape, backward with every gradient. With options.graph: replays of a CUDA graph of the same,
// but for packing, which takes memory and so cannot be captured. step: T calls of Rnn::step.
std::unique_ptr<Workload> make_workload(const ShapeOptions& options, rondo::Device device);

// Takes its time.
Timing measure(Workload& workload, const ShapeOptions& options, rondo::Device device);

// A network of level one on arrays of the host, as most programs have them: the copies to a GPU and back are
// part of a run. inference: Rnn::forward. training: forward with a tape, backward, the gradients read, and
// parameters said to have changed.
class RnnWorkload : public Workload {
 public:
  RnnWorkload(const ShapeOptions& options, rondo::DeviceChoice device);
  void run() override;
  std::string what() const override;
  const rondo::Rnn& rnn() const { return rnn_; }

 private:
  rondo::Rnn rnn_;
  rondo::Tensor x_, dy_;
  bool training_;
};

// The device that is asked for; for "auto", the one that the library itself picks for this shape.
rondo::Device resolve_device(const ShapeOptions& options);
Runner describe_runner(rondo::Device device);
// With what the workload says of itself.
Runner describe_runner(rondo::Device device, const Workload& workload);

}  // namespace bench
