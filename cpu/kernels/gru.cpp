// GRU steps, reset_after and reset_before: products with the cells of core/cells/gru-inl.h as epilogues.
#include "cpu/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/gru.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "cpu/kernels/isa.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#undef RONDO_CELL_FN
#define RONDO_CELL_FN HWY_INLINE
#include "cpu/kernels/product-inl.h"
#include "cpu/kernels/ops-inl.h"
#include "core/cells/gru-inl.h"

// Columns of a row of gates.
enum GruColumn : std::int64_t { kN = 0, kR = 1, kZ = 2, kFourth = 3 };

template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadBiased(D d, const ForwardStep<T>& a, const T* gates, std::int64_t unit, GruColumn column) {
  return hn::Add(hn::LoadU(d, gates + column * a.hp), hn::LoadU(d, a.bias + column * a.hp + unit));
}

struct GruAfterForwardStep {
  static constexpr int kGates = 3;  // r z n
  template <class T>
  static HWY_INLINE Operand<T> Input(const ForwardStep<T>& a) {
    return {a.recurrent, a.k, a.h_in, a.hp, a.group};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    const std::size_t lanes = hn::Lanes(d);
    T* gates = a.gates + row * a.ld_gates + unit;
    auto r = hn::Add(hn::Load(d, sums), LoadBiased(d, a, gates, unit, kR));
    auto z = hn::Add(hn::Load(d, sums + lanes), LoadBiased(d, a, gates, unit, kZ));
    const auto hn_sum = hn::Add(hn::Load(d, sums + 2 * lanes), hn::LoadU(d, a.bias + kFourth * a.hp + unit));
    auto n = LoadBiased(d, a, gates, unit, kN), h = n;
    gru_after_forward(Ops<D>{d}, r, z, n, hn_sum, hn::LoadU(d, a.h_prev + row * a.hp + unit), h);
    if (a.training) {
      hn::StoreU(n, d, gates);
      hn::StoreU(r, d, gates + kR * a.hp);
      hn::StoreU(z, d, gates + kZ * a.hp);
      hn::StoreU(hn_sum, d, gates + kFourth * a.hp);
    }
    StoreState(d, a, row, unit, h);
  }
};

struct GruAfterBackwardStep {
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    hn::Vec<D> sum) {
    T* gates = a.gates + row * a.ld_gates + unit;
    const auto dh = StateGradient(d, a, row, unit, sum);
    auto n = hn::LoadU(d, gates), r = hn::LoadU(d, gates + kR * a.hp), z = hn::LoadU(d, gates + kZ * a.hp),
         hn_sum = hn::LoadU(d, gates + kFourth * a.hp), carry = dh;
    gru_after_backward(Ops<D>{d}, r, z, n, hn_sum, LoadPart(d, a.h_prev + row * a.ld_h_prev, unit, a.h), dh, carry);
    hn::StoreU(n, d, gates);
    hn::StoreU(r, d, gates + kR * a.hp);
    hn::StoreU(z, d, gates + kZ * a.hp);
    hn::StoreU(hn_sum, d, gates + kFourth * a.hp);
    hn::StoreU(carry, d, a.carry + row * a.hp + unit);
  }
};

struct GruBeforeGatesForwardStep {
  static constexpr int kGates = 2;  // r z
  template <class T>
  static HWY_INLINE Operand<T> Input(const ForwardStep<T>& a) {
    return {a.recurrent, a.k, a.h_in, a.hp, a.group};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    T* gates = a.gates + row * a.ld_gates + unit;
    auto r = hn::Add(hn::Load(d, sums), LoadBiased(d, a, gates, unit, kR));
    auto z = hn::Add(hn::Load(d, sums + hn::Lanes(d)), LoadBiased(d, a, gates, unit, kZ));
    // n is the third gate: under per-gate masks it reads the third masked h.
    auto rh = hn::LoadU(d, a.h_in + 2 * a.group + row * a.hp + unit);
    gru_before_gates_forward(Ops<D>{d}, r, z, hn::LoadU(d, a.h_in + 2 * a.group + row * a.hp + unit), rh);
    hn::StoreU(rh, d, a.rh + row * a.hp + unit);
    hn::StoreU(z, d, gates + kZ * a.hp);
    if (a.training) {
      hn::StoreU(r, d, gates + kR * a.hp);
      hn::StoreU(rh, d, gates + kFourth * a.hp);
    }
  }
};

struct GruBeforeCandidateForwardStep {
  static constexpr int kGates = 1;  // n
  template <class T>
  static HWY_INLINE Operand<T> Input(const ForwardStep<T>& a) {
    return {a.recurrent_n, a.k, a.rh, a.hp, 0};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    T* gates = a.gates + row * a.ld_gates + unit;
    auto n = hn::Add(hn::Load(d, sums), LoadBiased(d, a, gates, unit, kN)), h = n;
    gru_before_candidate_forward(Ops<D>{d}, hn::LoadU(d, gates + kZ * a.hp), n,
                                 hn::LoadU(d, a.h_prev + row * a.hp + unit), h);
    if (a.training) hn::StoreU(n, d, gates);
    StoreState(d, a, row, unit, h);
  }
};

struct GruBeforeCandidateBackwardStep {
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    hn::Vec<D> sum) {
    T* gates = a.gates + row * a.ld_gates + unit;
    const auto dh = StateGradient(d, a, row, unit, sum);
    auto n = hn::LoadU(d, gates), z = hn::LoadU(d, gates + kZ * a.hp), carry = dh;
    gru_before_candidate_backward(Ops<D>{d}, z, n, LoadPart(d, a.h_prev + row * a.ld_h_prev, unit, a.h), dh, carry);
    hn::StoreU(n, d, gates);
    hn::StoreU(z, d, gates + kZ * a.hp);
    hn::StoreU(carry, d, a.carry + row * a.hp + unit);
  }
};

// Its product is dn R_n, so sum is d loss / d rh; the mask, n's own, has scaled h, not rh.
struct GruBeforeGatesBackwardStep {
  static constexpr int kGates = 1;
  template <class T>
  static HWY_INLINE Operand<T> Input(const BackwardStep<T>& a) {
    return {a.recurrent, a.k, a.da, a.ld_gates, 0};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    T* gates = a.gates + row * a.ld_gates + unit;
    T* carry = a.carry + row * a.hp + unit;
    auto h_masked = LoadPart(d, a.h_prev + row * a.ld_h_prev, unit, a.h);
    auto mask = hn::Set(d, T(1));
    if (a.mask != nullptr) mask = hn::LoadU(d, a.mask + row * a.hp + unit);
    h_masked = hn::Mul(h_masked, mask);
    auto r = hn::LoadU(d, gates + kR * a.hp), dh_masked = r;
    gru_before_gates_backward(Ops<D>{d}, r, h_masked, hn::Load(d, sums), dh_masked);
    hn::StoreU(r, d, gates + kR * a.hp);
    hn::StoreU(hn::MulAdd(dh_masked, mask, hn::LoadU(d, carry)), d, carry);
  }
};
template <class T>
void GruBeforeGatesBackward(const BackwardStep<T>& args, const Range& range) {
  Walk<GruBeforeGatesBackwardStep, false>(hn::ScalableTag<T>(), args, range);
}

template <class T>
void FillGruTable(Kernels<T>& k) {
  k.gru_after.forward = RunForward<GruAfterForwardStep, T>;
  k.gru_after.backward = RunBackward<GruAfterBackwardStep, T>;
  k.gru_before.forward = RunForward<GruBeforeGatesForwardStep, T>;
  k.gru_before.forward_second = RunForward<GruBeforeCandidateForwardStep, T>;
  k.gru_before.backward = RunBackward<GruBeforeCandidateBackwardStep, T>;
  k.gru_before.backward_second = GruBeforeGatesBackward<T>;
}
void FillGru(Kernels<float>& f32, Kernels<double>& f64) {
  FillGruTable(f32);
  FillGruTable(f64);
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rondo::cpu {
void fill_gru(Isa isa, Kernels<float>& f32, Kernels<double>& f64) { RONDO_CALL_FOR_ISA(isa, FillGru, f32, f64) }
}  // namespace rondo::cpu
#endif
