// What a process pays once.
#include "bench/once.h"

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench/workload.h"
#include "rondo/rondo.h"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

rondo::Phase phase_of(const ShapeOptions& options) {
  return options.phase == "training" ? rondo::Phase::kTraining : rondo::Phase::kInference;
}

double plan_us(const ShapeOptions& options) {
  const rondo::RnnConfig config = config_of(options);
  const Clock::time_point start = Clock::now();
  const rondo::Plan plan(config, {.phase = phase_of(options), .max_t = options.t, .max_n = options.n});
  return microseconds_since(start);
}

double first_call_us(const ShapeOptions& options) {
  const rondo::RnnConfig config = config_of(options);
  const rondo::Tensor x(config.dtype, {options.t, options.n, options.i});
  const rondo::Tensor dy(config.dtype, {options.t, options.n, rondo::output_size(config)});
  const Clock::time_point start = Clock::now();
  rondo::Rnn rnn(config, rondo::Device{});
  if (phase_of(options) == rondo::Phase::kInference) {
    rnn.forward(x);
  } else {
    rondo::Tape tape;
    const rondo::ForwardResult kept = rnn.forward(x, {.tape = &tape});
    rnn.backward(tape, {.dy = dy});
  }
  return microseconds_since(start);
}

// "VmRSS", or "VmHWM", the most of it so far.
double resident_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == name + ":" && status >> kib) return kib * 1024;
  }
  throw std::runtime_error("/proc/self/status has no " + name);
}

double grown_bytes(const ShapeOptions& options) {
  ShapeOptions tiny = options;
  tiny.t = tiny.n = 2;
  tiny.h = tiny.i = 8;
  make_workload(tiny, rondo::Device{})->run();
  const double before = resident_bytes("VmRSS");
  const auto workload = make_workload(options, rondo::Device{});
  workload->run();
  workload->run();
  return resident_bytes("VmHWM") - before;
}

}  // namespace

std::string once_line(const ShapeOptions& options) {
  if (options.device != "cpu") throw rondo::InvalidArgument("--once: expected with --device cpu only");
  const double value = options.once == "plan"   ? plan_us(options)
                       : options.once == "call" ? first_call_us(options)
                                                : grown_bytes(options);
  return nlohmann::ordered_json{{"once", options.once}, {"value", value}}.dump();
}

}  // namespace bench
