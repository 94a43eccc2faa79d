// GRU steps, reset_after and reset_before: products with the cells of core/cells/gru-inl.h as epilogues.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/gru.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "core/cells/gru-inl.h"
#include "cpu/kernels/norm-inl.h"

// Columns of a row of gates. kGeneral: with the functions of CellOptions, and zoneout.
enum GruColumn : std::int64_t { kN = 0, kR = 1, kZ = 2, kFourth = 3 };

// Sums of r z n.
template <bool kGeneral, class Where, template <class> class Step = ForwardStep, class T = typename Where::T>
HWY_INLINE void GruAfterForward(const Step<T>& a, Where at, const T* sums) {
  typename Where::V r, z, n = LoadInput(a, at, kN), h;
  LoadSums(a, at, sums, kR, r, z);
  const auto rn = at.ops().add(at.Sum(sums, 2), at.Load(a.bias + kFourth * a.hp, 0));
  gru_after_forward(at.ops(), FunctionsOf<kGeneral>(a), r, z, n, rn, at.Load(a.h_prev, a.hp), h);
  if (a.training) StoreGates(a, at, kN, n, r, z, rn);
  StoreState(a, at, ZoneOut<kGeneral>(a, at, h));
}

template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE void GruAfterBackward(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  typename Where::V n, r, z, rn, carry;
  const auto h_prev = at.LoadPart(a.h_prev, a.ld_h_prev, a.h);
  auto dh = LoadStateGradient(a, at, sum);
  [[maybe_unused]] const auto kept = UnzoneOut<kGeneral>(a, at, dh);
  LoadGates(a, at, kN, n, r, z, rn);
  gru_after_backward(at.ops(), FunctionsOf<kGeneral>(a), r, z, n, rn, h_prev, dh, carry);
  StoreGates(a, at, kN, n, r, z, rn);
  if constexpr (kGeneral) carry = at.ops().add(carry, kept);
  at.Store(carry, a.carry, a.hp);
}

// reset_before, first half: sums of r z.
template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE void GruBeforeGatesForward(const ForwardStep<T>& a, Where at, const T* sums) {
  typename Where::V r, z, rh;
  LoadSums(a, at, sums, kR, r, z);
  // n is the third gate: under per-gate masks it reads the third masked h.
  gru_before_forward(at.ops(), FunctionsOf<kGeneral>(a), r, z, at.Load(a.h_in + 2 * a.group, a.hp), rh);
  at.Store(rh, a.rh, a.hp);
  StoreGates(a, at, kZ, z);
  if (!a.training) return;
  StoreGates(a, at, kR, r);
  StoreGates(a, at, kFourth, rh);
}

// Second half: the sum of n.
template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE void GruBeforeCandidateForward(const ForwardStep<T>& a, Where at, const T* sums) {
  typename Where::V n, z, h;
  LoadSums(a, at, sums, kN, n);
  LoadGates(a, at, kZ, z);
  gru_candidate_forward(at.ops(), FunctionsOf<kGeneral>(a), z, n, at.Load(a.h_prev, a.hp), h);
  if (a.training) StoreGates(a, at, kN, n);
  StoreState(a, at, ZoneOut<kGeneral>(a, at, h));
}

template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE void GruBeforeCandidateBackward(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  typename Where::V n, z, carry;
  const auto h_prev = at.LoadPart(a.h_prev, a.ld_h_prev, a.h);
  auto dh = LoadStateGradient(a, at, sum);
  [[maybe_unused]] const auto kept = UnzoneOut<kGeneral>(a, at, dh);
  LoadGates(a, at, kN, n);
  LoadGates(a, at, kZ, z);
  gru_candidate_backward(at.ops(), FunctionsOf<kGeneral>(a), z, n, h_prev, dh, carry);
  StoreGates(a, at, kN, n);
  StoreGates(a, at, kZ, z);
  if constexpr (kGeneral) carry = at.ops().add(carry, kept);
  at.Store(carry, a.carry, a.hp);
}

// The product is dn R_n, so sum is d loss / d rh, times n's mask: that has scaled h, not rh.
template <bool kGeneral, class Where, class T = typename Where::T>
HWY_INLINE void GruBeforeGatesBackward(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  typename Where::V r, dh;
  LoadGates(a, at, kR, r);
  gru_before_backward(at.ops(), FunctionsOf<kGeneral>(a), r, at.LoadPart(a.h_prev, a.ld_h_prev, a.h), sum,
                      dh);
  StoreGates(a, at, kR, r);
  at.Store(at.ops().add(dh, at.Load(a.carry, a.hp)), a.carry, a.hp);
}

// Layer normalisation: the second phases, row by row.
template <class D, class T = hn::TFromD<D>>
void GruNormForward(const ForwardStep<T>& a, const Range& range) {
  for (std::int64_t row = range.row_begin; row < range.row_end; ++row) {
    NormaliseSums<3, GruAfterForward<true, At<D>>, D>(a, row);
  }
}
template <class D, class T = hn::TFromD<D>>
void GruNormBackward(const BackwardStep<T>& a, const Range& range) {
  for (At<D> at{range.row_begin, 0}; at.row < range.row_end; ++at.row) {
    for (at.unit = 0; at.unit < a.h; at.unit += kLanes<T>) {
      hn::Vec<D> n, r, z, rn, carry;
      LoadGates(a, at, kN, n, r, z, rn);
      gru_after_backward(Ops<D>(), FunctionsOf<true>(a), r, z, n, rn, at.LoadPart(a.h_prev, a.ld_h_prev, a.h),
                         at.Load(a.norms.dh, a.hp), carry);
      StoreGates(a, at, kN, n, r, z, rn);
      at.Store(hn::Add(carry, at.Load(a.carry, a.hp)), a.carry, a.hp);
    }
    NormaliseSumsBackward<3, D>(a, at.row, kR);
  }
}

template <class T>
void FillGruCells(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.gru_after = {RunForward<3, GruAfterForward<false, At<D>>, GruAfterForward<false, AtTwo<D>>>, nullptr,
                 RunBackward<GruAfterBackward<false, At<D>>, GruAfterBackward<false, AtTwo<D>>>, nullptr,
                 RunForwardRow<3, GruAfterForward<false, At<D>, ForwardRow>,
                               GruAfterForward<false, AtTwo<D>, ForwardRow>>};
  k.gru_before = {
      RunForward<2, GruBeforeGatesForward<false, At<D>>, GruBeforeGatesForward<false, AtTwo<D>>>,
      RunForward<1, GruBeforeCandidateForward<false, At<D>>, GruBeforeCandidateForward<false, AtTwo<D>>,
                 Multiplies::kCandidate>,
      RunBackward<GruBeforeCandidateBackward<false, At<D>>, GruBeforeCandidateBackward<false, AtTwo<D>>>,
      RunBackward<GruBeforeGatesBackward<false, At<D>>, GruBeforeGatesBackward<false, AtTwo<D>>>};
  k.gru_after_general = {RunForward<3, GruAfterForward<true, At<D>>>, nullptr,
                         RunBackward<GruAfterBackward<true, At<D>>>, nullptr};
  k.gru_before_general = {
      RunForward<2, GruBeforeGatesForward<true, At<D>>>,
      RunForward<1, GruBeforeCandidateForward<true, At<D>>, nullptr, Multiplies::kCandidate>,
      RunBackward<GruBeforeCandidateBackward<true, At<D>>>, RunBackward<GruBeforeGatesBackward<true, At<D>>>};
  k.gru_norm = {RunForward<3, StoreSums<3, D>>, GruNormForward<D>, RunBackward<StoreStateGradient<D>>,
                GruNormBackward<D>};
}
void FillGru(KernelTables& t) { FillGruCells(std::get<0>(t)), FillGruCells(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillGru[] = RONDO_EACH_ISA(FillGru);
#endif
