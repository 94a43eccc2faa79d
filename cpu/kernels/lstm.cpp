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
  at.Store(hn::Zero(D()), a.carry, a.hp);
}

template <class T>
void FillLstmCell(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.lstm = {RunForward<4, LstmForward<D>>, nullptr, RunBackward<LstmBackward<D>>, nullptr};
}
void FillLstm(KernelTables& t) { FillLstmCell(std::get<0>(t)), FillLstmCell(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillLstm[] = RONDO_EACH_ISA(FillLstm);
#endif
