// LSTM steps: the recurrent product with the cell of core/cells/lstm-inl.h as its epilogue.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/lstm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "core/cells/lstm-inl.h"

template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> i, f, g, o, c = at.Load(a.c, a.hp), h;
  LoadSums(a, at, sums, 0, i, f, g, o);
  lstm_forward(Ops<D>(), i, f, g, o, c, h);
  at.Store(c, a.c, a.hp);
  if (a.training) {
    StoreGates(a, at, 0, i, f, g, o);
    at.Store(c, a.c_saved, a.ld_c_saved);
  }
  StoreState(a, at, h);
}

template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> i, f, g, o, dc = at.Load(a.dc, a.hp);
  LoadGates(a, at, 0, i, f, g, o);
  lstm_backward(Ops<D>(), i, f, g, o, at.Load(a.c_prev, a.ld_c_prev), at.Load(a.c, a.ld_c),
                LoadStateGradient(a, at, sum), dc);
  StoreGates(a, at, 0, i, f, g, o);
  at.Store(dc, a.dc, a.hp);
  at.Store(hn::Zero(D()), a.carry, a.sp);
}

template <class Step, class D, class V = hn::Vec<D>>
HWY_INLINE Peepholes<V> LoadPeepholes(const Step& a, At<D> at) {
  if (a.peephole == nullptr) return {hn::Zero(D()), hn::Zero(D()), hn::Zero(D())};
  return {at.Load(a.peephole, 0), at.Load(a.peephole + a.hp, 0), at.Load(a.peephole + 2 * a.hp, 0)};
}

// With options. Projected, o f(c) goes by way of m to the second phase.
template <bool kProjected, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmGeneralForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> i, f, g, o, c, h;
  const auto c_prev = at.Load(a.c, a.hp);
  LoadSums(a, at, sums, 0, i, f, g, o);
  lstm_general_forward(Ops<D>(), *a.options, LoadPeepholes(a, at), i, f, g, o, c_prev, c, h);
  if (a.update_c != nullptr || a.options->update_c != T(1)) {
    const auto u = a.update_c != nullptr ? at.LoadPart(a.update_c, a.ld_update_c, a.h)
                                         : hn::Set(D(), a.options->update_c);
    c = zoneout_forward(Ops<D>(), u, c_prev, c);
  }
  at.Store(c, a.c, a.hp);
  if (a.c_out != nullptr) at.StorePart(c, a.c_out, a.ld_c_out, a.h);
  if (a.training) {
    StoreGates(a, at, 0, i, f, g, o);
    at.Store(c, a.c_saved, a.ld_c_saved);
  }
  if constexpr (kProjected) {
    at.Store(h, a.m, a.ld_m);
  } else {
    StoreState(a, at, ZoneOut<true>(a, at, h));
  }
}
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void ProjectForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  StoreState(a, at, ZoneOut<true>(a, at, hn::Load(D(), sums)));
}

// The complete gradient of h_t, of S units, on its way to the product with W_hr.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void ProjectBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  auto dh = LoadStateGradient(a, at, sum);
  at.Store(UnzoneOut<true>(a, at, dh), a.carry, a.sp);
  at.Store(at.Live(dh, a.s), a.dm, a.ld_dm);
}

// Projected, sum is d loss / d m.
template <bool kProjected, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmGeneralBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> i, f, g, o, c, dc = at.Load(a.dc, a.hp), kept = hn::Zero(D());
  auto dh = kProjected ? sum : LoadStateGradient(a, at, sum);
  if (!kProjected) at.Store(UnzoneOut<true>(a, at, dh), a.carry, a.sp);
  if (a.dc_out != nullptr) dc = hn::Add(dc, at.LoadPart(a.dc_out, a.ld_dc_out, a.h));
  if (a.update_c != nullptr) {
    kept = zoneout_backward(Ops<D>(), at.LoadPart(a.update_c, a.ld_update_c, a.h), dc);
  }
  const auto c_prev = at.Load(a.c_prev, a.ld_c_prev);
  LoadGates(a, at, 0, i, f, g, o);
  lstm_general_backward(Ops<D>(), *a.options, LoadPeepholes(a, at), i, f, g, o, c_prev, dh, dc, c);
  StoreGates(a, at, 0, i, f, g, o);
  at.Store(hn::Add(dc, kept), a.dc, a.hp);
  if (a.peephole == nullptr) return;
  const auto add = [&](hn::Vec<D> da, hn::Vec<D> seen, std::int64_t gate) HWY_ATTR {
    T* to = a.dpeephole + gate * a.hp;
    at.Store(hn::MulAdd(da, seen, at.Load(to, 3 * a.hp)), to, 3 * a.hp);
  };
  add(i, c_prev, 0), add(f, c_prev, 1), add(o, c, 2);
}

template <class T>
void FillLstmCell(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.lstm = {RunForward<4, LstmForward<D>>, nullptr, RunBackward<LstmBackward<D>>, nullptr};
  k.lstm_general = {RunForward<4, LstmGeneralForward<false, D>>, nullptr,
                    RunBackward<LstmGeneralBackward<false, D>>, nullptr};
  k.lstm_projected = {RunForward<4, LstmGeneralForward<true, D>>,
                      RunForward<1, ProjectForward<D>, Multiplies::kProjection>,
                      RunBackward<ProjectBackward<D>>, RunBackward<LstmGeneralBackward<true, D>>};
}
void FillLstm(KernelTables& t) { FillLstmCell(std::get<0>(t)), FillLstmCell(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillLstm[] = RONDO_EACH_ISA(FillLstm);
#endif
