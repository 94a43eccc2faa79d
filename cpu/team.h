// One team of threads a process, shared by all plans, and the mode in which they compute.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rondo::cpu {

// kTogether: all bodies run at the same time, so they may wait for one another.
// kApart: bodies are independent; a host program's executor may run them one after the other.
enum class Together : std::uint8_t { kTogether, kApart };

// Calls body(context, index, count) for each index below count, the caller's thread being index 0.
// 1 <= count <= wanted, wanted > 1; 1 when the team is busy with another caller or nothing but the caller is
// free.
void run_on_team(Together how, int wanted, void (*body)(void* context, int index, int count), void* context);

template <class F>
void on_team(Together how, int wanted, F body) {
  if (wanted <= 1) return body(0, 1);
  run_on_team(
      how, wanted, [](void* f, int index, int count) { (*static_cast<F*>(f))(index, count); }, &body);
}

// How many calls of the calling thread had fewer threads of the team than they wanted: what these took says
// nothing of what they take with all.
std::uint32_t calls_with_fewer_threads();

// Starts the threads ahead of the first call, which must not allocate.
void prepare_team(int threads);
// Threads that bodies which wait for one another may use: no more than there are CPUs.
int together_threads();
// Whether a call had better not have its threads wait for one another, since those of a call lately slept too
// much. For calls of which nothing better is known; each that asks counts.
bool better_alone();

// In a body that runs together with others: waits until all of them are here. Spins for 50 us, then sleeps.
void meet(int index, int count);

// Whether `count` threads that met in a call slept so long, all together, that one alone would have been as
// fast: for half of it, each but the one that they waited for.
bool slept_too_much(std::int64_t slept_ns, std::int64_t call_ns, int count);

#if defined(__x86_64__)
using FloatMode = std::uint32_t;
constexpr FloatMode kFlush = 0x8040;  // FTZ, DAZ in MXCSR
inline FloatMode float_mode() { return _mm_getcsr(); }
// From where it lies: a store just before, as _mm_setcsr has, can cost 100 cycles (Zen 4).
inline void set_float_mode(const FloatMode& mode) { asm volatile("ldmxcsr %0" : : "m"(mode) : "memory"); }
#else
using FloatMode = std::uint64_t;
constexpr FloatMode kFlush = 1u << 24;  // FZ in FPCR
inline FloatMode float_mode() {
  FloatMode mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_float_mode(const FloatMode& mode) { asm volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
#endif

// Denormals slow a recurrent step about twentyfold: flushed to zero while kernels run, then as it was.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  FloatMode saved_;
};

// The same for short calls: both modes are at hand from the call before. Whether the caller's is still that
// one is a branch, which the CPU foresees, so that no kernel waits until the mode has been read.
class FlushAgain {
 public:
  struct Modes {
    FloatMode callers = 0, flushed = kFlush;
  };
  explicit FlushAgain(Modes& modes) : modes_(modes) {
    if (const FloatMode now = float_mode(); now != modes.callers) modes = {now, now | kFlush};
    set_float_mode(modes.flushed);
  }
  ~FlushAgain() { set_float_mode(modes_.callers); }
  FlushAgain(const FlushAgain&) = delete;
  FlushAgain& operator=(const FlushAgain&) = delete;

 private:
  const Modes& modes_;
};

}  // namespace rondo::cpu
