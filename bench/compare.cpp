// CPU, GPU and the library's own choice between them, shape by shape.
#include "bench/compare.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "bench/context.h"
#include "bench/sets.h"
#include "bench/timing.h"
#include "bench/workload.h"

namespace bench {
namespace {

struct Row {
  Timing cpu, own;  // own: of the library's choice
  std::optional<Timing> gpu;
  std::string no_gpu;  // for this shape
  rondo::Device chosen;
  std::string reason;

  bool chose_gpu() const { return chosen.kind == rondo::Device::Kind::kCuda; }
  std::optional<bool> took_faster() const {
    if (!gpu) return {};
    return chose_gpu() == (gpu->median_us < cpu.median_us);
  }
};

Row measure_row(const ShapeOptions& shape, const Gpu& gpu) {
  Row row;
  RnnWorkload cpu(shape, rondo::Device{}), own(shape, std::nullopt);
  std::unique_ptr<RnnWorkload> there;
  std::vector<std::function<void()>> runs = {[&] { cpu.run(); }, [&] { own.run(); }};
  if (gpu.info) {
    try {
      there = std::make_unique<RnnWorkload>(shape, gpu.info->device);
      there->run();
      runs.insert(runs.begin() + 1, [&] { there->run(); });
    } catch (const rondo::DeviceError& error) {  // out of memory, say, which other shapes need not be
      row.no_gpu = error.what();
    }
  }
  const std::vector<Timing> timings = measure_in_turn(runs);
  row.cpu = timings.front();
  row.own = timings.back();
  if (timings.size() == 3) row.gpu = timings[1];
  row.chosen = own.rnn().device();
  row.reason = own.rnn().explain();
  return row;
}

Json json_of(const SetRow& named, const Row& row) {
  const ShapeOptions& shape = named.shape;
  Json j;
  j["name"] = named.name;
  j["cell"] = shape.cell;
  j["phase"] = shape.phase;
  j["t"] = shape.t;
  j["n"] = shape.n;
  j["i"] = shape.i;
  j["h"] = shape.h;
  j["layers"] = shape.layers;
  j["bidirectional"] = shape.bidirectional;
  const auto add = [&](const std::string& of, const Timing& timing) {
    j[of + "_us"] = timing.median_us;
    j[of + "_min_us"] = timing.min_us;
  };
  add("cpu", row.cpu);
  if (row.gpu) add("gpu", *row.gpu);
  if (!row.gpu) j["gpu_us"] = nullptr;
  if (!row.no_gpu.empty()) j["gpu_error"] = row.no_gpu;
  add("auto", row.own);
  j["samples"] = row.cpu.samples;
  j["auto_device"] = rondo::to_string(row.chosen);
  j["auto_reason"] = row.reason;
  j["auto_took_faster"] = row.took_faster() ? Json(*row.took_faster()) : Json();
  return j;
}

void print_row(const SetRow& named, const Row& row) {
  const ShapeOptions& shape = named.shape;
  char gpu[32] = "-", ratio[32] = "-";
  if (row.gpu) {
    std::snprintf(gpu, sizeof gpu, "%.1f", row.gpu->median_us);
    std::snprintf(ratio, sizeof ratio, "%.2f", row.cpu.median_us / row.gpu->median_us);
  }
  const auto faster = row.took_faster();
  std::printf("%-11s %-5s %-9s %4ld %4ld %5ld %5ld %2ld %12.1f %12s %8s %12.1f  %-7s %s\n",
              named.name.c_str(), shape.cell.c_str(), shape.phase.c_str(), shape.t, shape.n, shape.i, shape.h,
              shape.layers, row.cpu.median_us, gpu, ratio, row.own.median_us,
              rondo::to_string(row.chosen).c_str(), faster ? (*faster ? "yes" : "no") : "-");
  std::fflush(stdout);
}

}  // namespace

void compare(const CompareOptions& options) {
  unsetenv("RONDO_DEVICE");  // what the library chooses by itself is asked for here
  rondo::set_num_threads(options.threads);
  const Gpu gpu = find_gpu();
  const Runner cpu = describe_runner(rondo::Device{});
  Json all;
  all["engine"] = cpu.engine;
  all["cpu"] = cpu.device_name;
  all["isa"] = cpu.isa;
  all["threads"] = cpu.threads;
  all["dtype"] = options.dtype;
  all["math"] = "strict";
  all["gpu"] = gpu.info ? Json(gpu.info->name) : Json();
  all["no_gpu"] = gpu.info ? Json() : Json(gpu.reason);
  all["shapes"] = Json::array();

  std::vector<SetRow> shapes;
  for (const SetRow& shape : shape_set("compare").rows) {
    if (options.shapes.empty() || options.shapes.contains(shape.name)) shapes.push_back(shape);
  }
  for (SetRow& shape : shapes) shape.shape.dtype = options.dtype;
  std::printf("%s, %s, %d threads, %s; GPU: %s\n", cpu.device_name.c_str(), cpu.isa.c_str(), cpu.threads,
              options.dtype.c_str(), gpu.info ? gpu.info->name.c_str() : gpu.reason.c_str());
  std::printf("%-11s %-5s %-9s %4s %4s %5s %5s %2s %12s %12s %8s %12s  %-7s %s\n", "shape", "cell", "phase",
              "T", "N", "I", "H", "L", "CPU us", "GPU us", "CPU/GPU", "auto us", "auto", "the faster?");
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    std::fprintf(stderr, "[%zu/%zu] %s\n", i + 1, shapes.size(), shapes[i].name.c_str());
    const Row row = measure_row(shapes[i].shape, gpu);
    print_row(shapes[i], row);
    if (!row.no_gpu.empty()) std::printf("  no GPU time: %s\n", row.no_gpu.c_str());
    all["shapes"].push_back(json_of(shapes[i], row));
    if (!options.json.empty()) write_file(options.json, all);
  }
  if (!gpu.info) std::printf("No GPU was timed. %s\n", gpu.reason.c_str());
}

}  // namespace bench
