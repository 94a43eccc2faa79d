// Which instruction set is in force, and its table of kernels.
#include "cpu/kernels/kernels.h"

#include <atomic>
#include <cstdlib>
#include <utility>

#include <hwy/highway.h>
#include <hwy/targets.h>

#include "cpu/kernels/isa.h"
#include "rondo/error.h"

namespace rondo::cpu {

void fill_simple(Isa isa, Kernels<float>& f32, Kernels<double>& f64);
void fill_lstm(Isa isa, Kernels<float>& f32, Kernels<double>& f64);
void fill_gru(Isa isa, Kernels<float>& f32, Kernels<double>& f64);

namespace {

constexpr std::pair<const char*, Isa> kNames[] = {
    {"avx512", Isa::kAvx512}, {"avx2", Isa::kAvx2}, {"neon", Isa::kNeon}, {"scalar", Isa::kScalar}};

bool runs(Isa isa) {
  const std::int64_t machine = static_cast<std::int64_t>(hwy::SupportedTargets());
  switch (isa) {
    RONDO_IF_AVX512(case Isa::kAvx512 : return (machine & HWY_AVX3) != 0;)
    RONDO_IF_AVX2(case Isa::kAvx2 : return (machine & HWY_AVX2) != 0;)
    RONDO_IF_NEON(case Isa::kNeon : return (machine & HWY_NEON) != 0;)
    RONDO_IF_SCALAR(case Isa::kScalar : return true;)
    default: return false;
  }
}

Isa best() {
  for (const auto& [name, isa] : kNames) {
    if (runs(isa)) return isa;
  }
  return Isa::kScalar;
}

Isa chosen_at_start() {
  const char* wanted = std::getenv("RONDO_ISA");
  if (wanted == nullptr || *wanted == '\0') return best();
  std::string legal;
  for (const auto& [name, isa] : kNames) {
    if (!runs(isa)) continue;
    if (name == std::string(wanted)) return isa;
    legal += (legal.empty() ? "" : ", ") + std::string(name);
  }
  throw DeviceError("RONDO_ISA is \"" + std::string(wanted) + "\"; this machine and build have " + legal);
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa{chosen_at_start()};
  return isa;
}

struct Table {
  Kernels<float> f32{};
  Kernels<double> f64{};
  // Filling is compiled for the instruction set as well: a machine that lacks it must not run it.
  explicit Table(Isa isa) {
    if (!runs(isa)) return;
    fill_simple(isa, f32, f64);
    fill_lstm(isa, f32, f64);
    fill_gru(isa, f32, f64);
  }
};

const Table& table() {
  static const Table tables[] = {Table(Isa::kScalar), Table(Isa::kNeon), Table(Isa::kAvx2), Table(Isa::kAvx512)};
  return tables[static_cast<int>(current().load())];
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return table().f32;
}
template <>
const Kernels<double>& kernels<double>() {
  return table().f64;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const auto& [name, isa] : kNames) {
    if (runs(isa)) names.emplace_back(name);
  }
  return names;
}

std::string isa_name() {
  for (const auto& [name, isa] : kNames) {
    if (isa == current().load()) return name;
  }
  return {};
}

bool set_isa(const std::string& wanted) {
  for (const auto& [name, isa] : kNames) {
    if (runs(isa) && (wanted == name || (wanted.empty() && isa == best()))) {
      current() = isa;
      return true;
    }
  }
  return false;
}

}  // namespace rondo::cpu
