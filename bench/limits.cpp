// Measured limits of one thread: multiply-adds from registers, reads from each level of memory, activations.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/limits.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include <hwy/highway.h>

#include "bench/limits.h"

HWY_BEFORE_NAMESPACE();
namespace bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Enough sums to hide the latency of a multiply-add on every current core.
constexpr int kSums = 12;

// Flops of one call.
double MultiplyAdds(std::int64_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, sink[0]), b = hn::Set(d, sink[1]), one = hn::Iota(d, 1.0F);
  // Sums that differ, or the compiler would keep one of them.
  auto s0 = a, s1 = hn::Add(s0, one), s2 = hn::Add(s1, one), s3 = hn::Add(s2, one), s4 = hn::Add(s3, one),
       s5 = hn::Add(s4, one), s6 = hn::Add(s5, one), s7 = hn::Add(s6, one), s8 = hn::Add(s7, one),
       s9 = hn::Add(s8, one), s10 = hn::Add(s9, one), s11 = hn::Add(s10, one);
  for (std::int64_t i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, a, b), s1 = hn::MulAdd(s1, a, b), s2 = hn::MulAdd(s2, a, b);
    s3 = hn::MulAdd(s3, a, b), s4 = hn::MulAdd(s4, a, b), s5 = hn::MulAdd(s5, a, b);
    s6 = hn::MulAdd(s6, a, b), s7 = hn::MulAdd(s7, a, b), s8 = hn::MulAdd(s8, a, b);
    s9 = hn::MulAdd(s9, a, b), s10 = hn::MulAdd(s10, a, b), s11 = hn::MulAdd(s11, a, b);
  }
  const auto sum = hn::Add(
      hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)),
      hn::Add(hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)), hn::Add(hn::Add(s8, s9), hn::Add(s10, s11))));
  sink[2] = hn::GetLane(sum);
  return 2.0 * kSums * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

// Each weight times one value that all lanes share, as a step of one row does; eight sums. The weights are
// read as kStreams blocks side by side; floats is a multiple of eight vectors.
template <int kStreams>
void ReadStreams(const float* weights, std::int64_t floats, std::int64_t rounds, float* sink) {
  static_assert(kStreams == 1 || kStreams == 4);
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t block = floats / kStreams, at_once = 8 / kStreams * lanes;
  const std::int64_t apart = kStreams == 1 ? 2 * lanes : block;  // from one pair of vectors to the next
  const auto h = hn::Set(d, sink[0]);
  auto s0 = h, s1 = h, s2 = h, s3 = h, s4 = h, s5 = h, s6 = h, s7 = h;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (std::int64_t i = 0; i < block; i += at_once) {
      const float *w0 = weights + i, *w1 = w0 + apart, *w2 = w1 + apart, *w3 = w2 + apart;
      s0 = hn::MulAdd(hn::Load(d, w0), h, s0), s1 = hn::MulAdd(hn::Load(d, w0 + lanes), h, s1);
      s2 = hn::MulAdd(hn::Load(d, w1), h, s2), s3 = hn::MulAdd(hn::Load(d, w1 + lanes), h, s3);
      s4 = hn::MulAdd(hn::Load(d, w2), h, s4), s5 = hn::MulAdd(hn::Load(d, w2 + lanes), h, s5);
      s6 = hn::MulAdd(hn::Load(d, w3), h, s6), s7 = hn::MulAdd(hn::Load(d, w3 + lanes), h, s7);
    }
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  sink[2] = hn::GetLane(sum);
}

void Read(const float* weights, std::int64_t floats, std::int64_t rounds, float* sink) {
  ReadStreams<1>(weights, floats, rounds, sink);
}
void ReadSideBySide(const float* weights, std::int64_t floats, std::int64_t rounds, float* sink) {
  ReadStreams<4>(weights, floats, rounds, sink);
}

// x becomes 1 / (1 + e^-x), by what that takes at least: e^x = 2^k (1 + r p(r)) with p of degree 4, and a
// division or an estimate of the reciprocal with one step of Newton's. Few digits more or less cost nothing,
// so coefficients are Taylor's; no argument is out of range. floats is a multiple of the widest vector.
template <bool kEstimate>
void ActivateBy(float* x, std::int64_t floats, std::int64_t rounds) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto one = hn::Set(d, 1.0F), rounder = hn::Set(d, 0x1.8p23F), log2e = hn::Set(d, -1.44269504F);
  const auto ln2 = hn::Set(d, 0.693147181F);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (std::int64_t i = 0; i < floats; i += lanes) {
      const auto v = hn::Load(d, x + i);
      const auto shifted = hn::MulAdd(v, log2e, rounder);
      const auto r = hn::NegMulAdd(hn::Sub(shifted, rounder), ln2, hn::Neg(v));
      auto p = hn::MulAdd(r, hn::Set(d, 1.0F / 120), hn::Set(d, 1.0F / 24));
      p = hn::MulAdd(p, r, hn::Set(d, 1.0F / 6));
      p = hn::MulAdd(p, r, hn::Set(d, 0.5F));
      p = hn::MulAdd(p, r, one);
      p = hn::MulAdd(p, r, one);
      const auto e = hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
      const auto sum = hn::Add(one, e);
      if constexpr (kEstimate) {
        const auto about = hn::ApproximateReciprocal(sum);
        hn::Store(hn::Mul(about, hn::NegMulAdd(sum, about, hn::Set(d, 2.0F))), d, x + i);
      } else {
        hn::Store(hn::Div(one, sum), d, x + i);
      }
    }
  }
}
void Activate(float* x, std::int64_t floats, std::int64_t rounds) { ActivateBy<false>(x, floats, rounds); }
void ActivateByEstimate(float* x, std::int64_t floats, std::int64_t rounds) {
  ActivateBy<true>(x, floats, rounds);
}

}  // namespace bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include <hwy/aligned_allocator.h>

namespace bench {
namespace {

HWY_EXPORT(MultiplyAdds);
HWY_EXPORT(Read);
HWY_EXPORT(ReadSideBySide);
HWY_EXPORT(Activate);
HWY_EXPORT(ActivateByEstimate);

constexpr double kSampleSeconds = 2e-3, kSeconds = 0.06;

// The best rate of samples taken for kSeconds, in units a microsecond. run(rounds) returns its units.
template <class Run>
double best_rate(Run run) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::int64_t rounds = 1;
  double best = 0;
  for (const auto begin = Clock::now(); seconds_since(begin) < kSeconds;) {
    const auto start = Clock::now();
    const double units = run(rounds);
    const double seconds = seconds_since(start);
    if (seconds < kSampleSeconds) {
      rounds *= 2;
      continue;
    }
    best = std::max(best, units / seconds / 1e6);
  }
  return best;
}

// In either order, the faster one: a limit is what no order exceeds.
double read_rate(std::int64_t bytes) {
  constexpr std::int64_t kUnit = 8 * 64;  // eight of the widest vectors
  const std::int64_t floats = bytes / kUnit * kUnit / 4;
  const auto weights = hwy::AllocateAligned<float>(static_cast<std::size_t>(floats));
  std::fill_n(weights.get(), floats, 0.5F);
  float sink[3] = {0.5F, 0.5F, 0};
  const auto read = [&](std::int64_t rounds) {
    HWY_DYNAMIC_DISPATCH(Read)(weights.get(), floats, rounds, sink);
    return static_cast<double>(rounds * floats * 4);
  };
  const auto read_side_by_side = [&](std::int64_t rounds) {
    HWY_DYNAMIC_DISPATCH(ReadSideBySide)(weights.get(), floats, rounds, sink);
    return static_cast<double>(rounds * floats * 4);
  };
  return std::max(best_rate(read), best_rate(read_side_by_side));
}

// The faster way of the two.
double activation_rate() {
  constexpr std::int64_t kFloats = 1024;
  const auto x = hwy::AllocateAligned<float>(kFloats);
  std::fill_n(x.get(), kFloats, 0.5F);
  const double divided = best_rate([&](std::int64_t rounds) {
    HWY_DYNAMIC_DISPATCH(Activate)(x.get(), kFloats, rounds);
    return static_cast<double>(rounds * kFloats);
  });
  const double estimated = best_rate([&](std::int64_t rounds) {
    HWY_DYNAMIC_DISPATCH(ActivateByEstimate)(x.get(), kFloats, rounds);
    return static_cast<double>(rounds * kFloats);
  });
  return std::max(divided, estimated);
}

// What the system says, or a size that current cores have where it says nothing.
std::int64_t cache_bytes(int name, std::int64_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? bytes : otherwise;
}

}  // namespace

Limits measure_limits() {
  Limits limits;
  limits.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  limits.l2_bytes = std::max(cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20), 4 * limits.l1_bytes);
  float sink[3] = {0.5F, 0.5F, 0};
  limits.flops_per_us =
      best_rate([&](std::int64_t rounds) { return HWY_DYNAMIC_DISPATCH(MultiplyAdds)(64 * rounds, sink); });
  // Sets that certainly fit: one that fills most of a level shared with other things, or with physical pages
  // that collide, comes partly from the next.
  limits.l1_bytes_per_us = read_rate(limits.l1_bytes / 2);
  limits.l2_bytes_per_us = std::max(read_rate(limits.l2_bytes / 4), read_rate(limits.l2_bytes / 2));
  limits.far_bytes_per_us = read_rate(4 * limits.l2_bytes);
  limits.activations_per_us = activation_rate();
  return limits;
}

double limit_us(const ShapeOptions& s, const Limits& limits, int threads) {
  const double bytes_each = s.dtype == "f64" ? 8 : s.dtype == "f32" ? 4 : 2;
  const double gates = s.cell == "lstm" ? 4 : s.cell == "gru" ? 3 : 1, directions = s.bidirectional ? 2 : 1;
  const double activations = s.cell == "lstm" ? 5 : gates;  // of a unit: one a gate, and the tanh of c
  const double t = static_cast<double>(s.t), n = static_cast<double>(s.n), h = static_cast<double>(s.h);
  const double scale = 4 / bytes_each * threads;  // vectors hold bytes
  const double rate = limits.flops_per_us * scale;
  const auto read_us = [&](double weights) {
    const double bytes = weights * bytes_each / threads;
    return bytes / (bytes <= static_cast<double>(limits.l1_bytes)   ? limits.l1_bytes_per_us
                    : bytes <= static_cast<double>(limits.l2_bytes) ? limits.l2_bytes_per_us
                                                                    : limits.far_bytes_per_us);
  };
  const double product = 2 * gates * h * h * n / rate, step = std::max(product, read_us(gates * h * h));
  const double pointwise = activations * h * n * t / (limits.activations_per_us * scale);
  const bool training = s.phase == "training";
  const double steps = s.phase == "inference" ? t - 1 : t;  // with a state: inference starts without one
  double us = 0;
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    const double inputs = layer == 0 ? static_cast<double>(s.i) : directions * h;
    const double input_product = std::max(2 * gates * h * inputs * t * n / rate, read_us(gates * h * inputs));
    us += directions * ((training ? 3 : 1) * input_product + (training ? 2 : 1) * steps * step +
                        (training ? t * product : 0) + pointwise);
  }
  return us;
}

}  // namespace bench
#endif
