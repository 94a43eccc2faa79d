// GRU steps, reset_after and reset_before: products with the cells of core/cells/gru-inl.h as epilogues.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/gru.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "core/cells/gru-inl.h"

// Columns of a row of gates.
enum GruColumn : std::int64_t { kN = 0, kR = 1, kZ = 2, kFourth = 3 };

// Sums of r z n.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruAfterForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> r, z, n = LoadInput(a, at, kN), h;
  LoadSums(a, at, sums, kR, r, z);
  const auto rn = hn::Add(hn::Load(D(), sums + 2 * kLanes<T>), at.Load(a.bias + kFourth * a.hp, 0));
  gru_after_forward(Ops<D>(), UsualFunctions(), r, z, n, rn, at.Load(a.h_prev, a.hp), h);
  if (a.training) StoreGates(a, at, kN, n, r, z, rn);
  StoreState(a, at, h);
}

template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruAfterBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> n, r, z, rn, carry;
  const auto h_prev = at.LoadPart(a.h_prev, a.ld_h_prev, a.h), dh = LoadStateGradient(a, at, sum);
  LoadGates(a, at, kN, n, r, z, rn);
  gru_after_backward(Ops<D>(), UsualFunctions(), r, z, n, rn, h_prev, dh, carry);
  StoreGates(a, at, kN, n, r, z, rn);
  at.Store(carry, a.carry, a.hp);
}

// reset_before, first half: sums of r z.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruBeforeGatesForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> r, z, rh;
  LoadSums(a, at, sums, kR, r, z);
  // n is the third gate: under per-gate masks it reads the third masked h.
  gru_before_forward(Ops<D>(), UsualFunctions(), r, z, at.Load(a.h_in + 2 * a.group, a.hp), rh);
  at.Store(rh, a.rh, a.hp);
  StoreGates(a, at, kZ, z);
  if (!a.training) return;
  StoreGates(a, at, kR, r);
  StoreGates(a, at, kFourth, rh);
}

// Second half: the sum of n.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruBeforeCandidateForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> n, z, h;
  LoadSums(a, at, sums, kN, n);
  LoadGates(a, at, kZ, z);
  gru_candidate_forward(Ops<D>(), UsualFunctions(), z, n, at.Load(a.h_prev, a.hp), h);
  if (a.training) StoreGates(a, at, kN, n);
  StoreState(a, at, h);
}

template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruBeforeCandidateBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> n, z, carry;
  const auto h_prev = at.LoadPart(a.h_prev, a.ld_h_prev, a.h), dh = LoadStateGradient(a, at, sum);
  LoadGates(a, at, kN, n);
  LoadGates(a, at, kZ, z);
  gru_candidate_backward(Ops<D>(), UsualFunctions(), z, n, h_prev, dh, carry);
  StoreGates(a, at, kN, n);
  StoreGates(a, at, kZ, z);
  at.Store(carry, a.carry, a.hp);
}

// The product is dn R_n, so sum is d loss / d rh, times n's mask: that has scaled h, not rh.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void GruBeforeGatesBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> r, dh;
  LoadGates(a, at, kR, r);
  gru_before_backward(Ops<D>(), UsualFunctions(), r, at.LoadPart(a.h_prev, a.ld_h_prev, a.h), sum, dh);
  StoreGates(a, at, kR, r);
  at.Store(hn::Add(dh, at.Load(a.carry, a.hp)), a.carry, a.hp);
}

template <class T>
void FillGruCells(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.gru_after = {RunForward<3, GruAfterForward<D>>, nullptr, RunBackward<GruAfterBackward<D>>, nullptr};
  k.gru_before = {RunForward<2, GruBeforeGatesForward<D>>, RunForward<1, GruBeforeCandidateForward<D>, true>,
                  RunBackward<GruBeforeCandidateBackward<D>>, RunBackward<GruBeforeGatesBackward<D>>};
}
void FillGru(KernelTables& t) { FillGruCells(std::get<0>(t)), FillGruCells(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillGru[] = RONDO_EACH_ISA(FillGru);
#endif
