// Which instruction set is in force, and its tables of kernels.
#include "cpu/kernels/kernels.h"

#include <atomic>
#include <cstdlib>

#include <hwy/targets.h>

#include "rondo/error.h"

namespace rondo::cpu {
namespace {

struct Isa {
  const char* name;
  KernelTables tables;
};

// Those of this machine and build, best first. Never freed: plans may outlive static destruction.
const std::vector<Isa>& isas() {
  static const auto* const available = [] {
    // In the order of RONDO_EACH_ISA.
    constexpr std::int64_t kTargets[] = {HWY_AVX3, HWY_AVX2, HWY_NEON, HWY_SCALAR};
    constexpr const char* kNames[] = {"avx512", "avx2", "neon", "scalar"};
    const std::int64_t machine = hwy::SupportedTargets() | HWY_SCALAR;
    auto* found = new std::vector<Isa>;
    for (std::size_t i = 0; i < std::size(kTargets); ++i) {
      // Filling is compiled for the instruction set as well: a machine that lacks it must not run it.
      if ((kTargets[i] & HWY_TARGETS & machine) == 0) continue;
      found->push_back({kNames[i], {}});
      for (const FillFunction* fill : {kFillSimple, kFillLstm, kFillGru, kFillNorms, kFillMasks, kFillOuter})
        fill[i](found->back().tables);
    }
    return found;
  }();
  return *available;
}

// Null when there is none of that name; "" is the best.
const Isa* find(const std::string& name) {
  for (const Isa& isa : isas()) {
    if (name.empty() || name == isa.name) return &isa;
  }
  return nullptr;
}

const Isa* chosen_at_start() {
  const char* wanted = std::getenv("RONDO_ISA");
  if (const Isa* isa = find(wanted == nullptr ? "" : wanted)) return isa;
  std::string legal;
  for (const std::string& name : available_isas()) legal += (legal.empty() ? "" : ", ") + name;
  throw DeviceError("RONDO_ISA is \"" + std::string(wanted) + "\"; this machine and build have " + legal);
}

std::atomic<const Isa*>& current() {
  static std::atomic<const Isa*> isa{chosen_at_start()};
  return isa;
}

}  // namespace

template <class T>
const Kernels<T>& kernels() {
  return std::get<Kernels<T>>(current().load()->tables);
}
template const Kernels<float>& kernels();
template const Kernels<double>& kernels();

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas()) names.emplace_back(isa.name);
  return names;
}

std::string isa_name() { return current().load()->name; }

bool set_isa(const std::string& name) {
  const Isa* isa = find(name);
  if (isa != nullptr) current() = isa;
  return isa != nullptr;
}

}  // namespace rondo::cpu
