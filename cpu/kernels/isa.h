// Instruction sets by name, and the switch from one to its Highway namespace. Included after highway.h.
#pragma once

#include <cstdint>

namespace rondo::cpu {
enum class Isa : std::uint8_t { kScalar, kNeon, kAvx2, kAvx512 };
}

#if HWY_TARGETS & HWY_AVX3
#define RONDO_IF_AVX512(code) code
#else
#define RONDO_IF_AVX512(code)
#endif
#if HWY_TARGETS & HWY_AVX2
#define RONDO_IF_AVX2(code) code
#else
#define RONDO_IF_AVX2(code)
#endif
#if HWY_TARGETS & HWY_NEON
#define RONDO_IF_NEON(code) code
#else
#define RONDO_IF_NEON(code)
#endif
#if HWY_TARGETS & HWY_SCALAR
#define RONDO_IF_SCALAR(code) code
#else
#define RONDO_IF_SCALAR(code)
#endif

// Calls function(...) of the namespace that was compiled for isa; does nothing for one that was not.
#define RONDO_CALL_FOR_ISA(isa, function, ...)                                    \
  switch (isa) {                                                                  \
    RONDO_IF_AVX512(case Isa::kAvx512 : N_AVX3::function(__VA_ARGS__); break;)    \
    RONDO_IF_AVX2(case Isa::kAvx2 : N_AVX2::function(__VA_ARGS__); break;)        \
    RONDO_IF_NEON(case Isa::kNeon : N_NEON::function(__VA_ARGS__); break;)        \
    RONDO_IF_SCALAR(case Isa::kScalar : N_SCALAR::function(__VA_ARGS__); break;)  \
    default: break;                                                               \
  }
