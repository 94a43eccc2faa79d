// The Runtime of cuda/runtime.h by loops on the host, on memory that is open only within its calls.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cuda/choose_path.h"
#include "cuda/runtime.h"
#include "fake_gpu.h"
#include "host_cudnn.h"

namespace rondo::testing {

// What was asked of all runtimes together, and what their cuDNN refuses.
struct HostDevice {
  std::int64_t products = 0, launches = 0, tf32_products = 0;
  HostCudnnRules cudnn;
};

class HostRuntime {
 public:
  HostRuntime(FakeMemory& memory, HostDevice& device) : memory_(memory), device_(device) {}
  void* allocate(std::size_t bytes) { return memory_.allocate(bytes); }
  void release(void* memory) noexcept { memory_.release(memory); }
  void trim() {}

  template <class T>
  void gemm(const cuda::Gemm<T>& p) {
    ++device_.products;
    device_.tf32_products += p.tf32 ? 1 : 0;
    const auto open = memory_.open(p.a, p.b, p.c);
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        T sum = 0;
        for (std::int64_t k = 0; k < p.k; ++k) {
          sum += p.a[p.transpose_a ? k * p.lda + i : i * p.lda + k] *
                 p.b[p.transpose_b ? j * p.ldb + k : k * p.ldb + j];
        }
        T& to = p.c[i * p.ldc + j];
        to = p.accumulate ? to + sum : sum;
      }
    }
  }

  // Scrambled, so that calls which need an order among themselves go wrong.
  template <class F>
  void for_each(std::int64_t rows, std::int64_t width, const F& f) {
    const std::int64_t launches = ++device_.launches;
    expect_no_host_pointer(f);
    const auto open = memory_.open();
    const std::int64_t count = rows * width;
    std::int64_t stride = 7919 + launches % 64;
    while (count > 0 && std::gcd(stride, count) != 1) ++stride;
    for (std::int64_t i = 0, at = launches; i < count; ++i, at += stride) {
      f(at % count / width, at % count % width);
    }
  }

  void reserve(std::size_t bytes) { reserved_ = std::max(reserved_, bytes); }
  void send(void* to, const void* from_host, std::size_t bytes) {
    if (bytes > reserved_) {
      throw std::logic_error("a pass sends " + std::to_string(bytes) + " bytes, of which planning reserved " +
                             std::to_string(reserved_));
    }
    const auto open = memory_.open(to);
    if (bytes > 0) std::memcpy(to, from_host, bytes);
  }

  // An H100's.
  cuda::DeviceTraits traits() const { return {.multiprocessors = 132, .shared_bytes = 228 << 10}; }
  std::unique_ptr<cuda::CudnnRnn> make_cudnn_rnn(const cuda::CudnnNetwork& network) {
    return make_host_cudnn(memory_, device_.cudnn, network);
  }

 private:
  // Every word of f that is an address of mapped memory has to be the device's. Padding holds whatever was
  // there, so this takes a compiler that can clear it.
  template <class F>
  void expect_no_host_pointer([[maybe_unused]] F f) const {
    static_assert(std::is_trivially_copyable_v<F>);
    std::uintptr_t words[sizeof(F) / sizeof(std::uintptr_t) + 1] = {};
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&f);
    std::memcpy(words, &f, sizeof(F));
#endif
    // Programs, heaps and stacks of x86-64 lie above this; below are sizes, and the sanitizers' shadow.
    constexpr std::uintptr_t kLowest = 1ULL << 45;
    for (const std::uintptr_t word : words) {
      auto* page = reinterpret_cast<void*>(word / 4096 * 4096);
      unsigned char resident = 0;
      if (word >= kLowest && mincore(page, 1, &resident) == 0) {
        memory_.expect_here(reinterpret_cast<void*>(word));
      }
    }
  }

  FakeMemory& memory_;
  HostDevice& device_;
  std::size_t reserved_ = 0;
};

}  // namespace rondo::testing
