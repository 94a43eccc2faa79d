// One team of threads a process, shared by all plans, and the mode in which they compute.
#pragma once

#include <atomic>
#include <cstdint>

namespace rondo::cpu {

// kTogether: all bodies run at the same time, so they may wait for one another.
// kApart: bodies are independent; a host program's executor may run them one after the other.
enum class Together : std::uint8_t { kTogether, kApart };

// Calls body(context, index, count) for each index below count, the caller's thread being index 0.
// 1 <= count <= wanted; 1 when the team is busy with another caller or nothing but the caller is free.
void run_on_team(Together how, int wanted, void (*body)(void* context, int index, int count), void* context);

template <class F>
void on_team(Together how, int wanted, F body) {
  run_on_team(
      how, wanted, [](void* f, int index, int count) { (*static_cast<F*>(f))(index, count); }, &body);
}

// Starts the threads ahead of the first call, which must not allocate.
void prepare_team(int threads);
// Threads that bodies which wait for one another may use: no more than there are CPUs.
int together_threads();
// Whether a call had better not have its threads wait for one another, since those of a call lately slept too
// much. For calls of which nothing better is known: each that asks counts.
bool better_alone();

// In a body that runs together with others: waits until all of them are here. Spins for 50 us, then sleeps.
void meet(int index, int count);

// Whether `count` threads that met in a call slept so long, all together, that one alone would have been as
// fast: for half of it, each but the one that they waited for.
bool slept_too_much(std::int64_t slept_ns, std::int64_t call_ns, int count);

// Denormals slow a recurrent step about twentyfold: flushed to zero while kernels run, then as it was.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace rondo::cpu
