// SimpleRNN steps, and the plain product and the last step to h0 that all cells share.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/simple.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "core/cells/simple-inl.h"

template <bool kRelu, class Where, template <class> class Step = ForwardStep, class T = typename Where::T>
HWY_INLINE void SimpleForward(const Step<T>& a, Where at, const T* sums) {
  typename Where::V pre;
  LoadSums(a, at, sums, 0, pre);
  StoreState(a, at, simple_forward<kRelu>(at.ops(), pre));
}

template <bool kRelu, class Where, class T = typename Where::T>
HWY_INLINE void SimpleBackward(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  const auto h = at.LoadPart(a.y, a.ld_y, a.s), dh = TakeStateGradient(a, at, sum);
  StoreGates(a, at, 0, simple_backward<kRelu>(at.ops(), h, dh));
}

// With chosen functions and zoneout. y is then not the activation, which training saves.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void SimpleGeneralForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> pre;
  LoadSums(a, at, sums, 0, pre);
  const auto h = FunctionsOf<true>(a).candidate(Ops<D>(), pre);
  if (a.training) StoreGates(a, at, 0, h);
  StoreState(a, at, ZoneOut<true>(a, at, h));
}

template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void SimpleGeneralBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> h, dh = LoadStateGradient(a, at, sum);
  LoadGates(a, at, 0, h);
  at.Store(UnzoneOut<true>(a, at, dh), a.carry, a.sp);
  StoreGates(a, at, 0, hn::Mul(dh, FunctionsOf<true>(a).candidate_slope(Ops<D>(), h)));
}

template <class T>
T Activate(const CellFunction<T>& f, T x) {
  using D = hn::ScalableTag<T>;
  return hn::GetLane(activate(Ops<D>(), f, hn::Set(D(), x)));
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreFirstStateGradient(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  at.Store(hn::Add(sum, at.Load(a.carry, a.sp)), a.dh0, a.sp);
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreProduct(const Product<T>& a, At<D> at, const T* sums) {
  auto sum = hn::Load(D(), sums);
  if (a.add) sum = hn::Add(sum, at.LoadPart(a.out, a.ld_out, a.width));
  at.StorePart(sum, a.out, a.ld_out, a.width);
}
template <class T>
void RunProduct(const Product<T>& a, const Range& range) {
  constexpr Epilogue<StoreProduct<hn::ScalableTag<T>>, nullptr> kThen;
  Multiply<1, false>(kThen, a, Operand<T>{a.packed, a.k, a.packed_k, a.in, a.ld_in, 0}, range);
}

template <class T>
void FillSimpleCell(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.lanes = kLanes<T>;
  // Every cell's own tile divides it: 12 and 24 accumulators over 1, 2, 3 and 4 gates.
  k.row_tile = kAccumulators;
  k.product = RunProduct<T>;
  k.finish = RunBackward<StoreFirstStateGradient<D>>;
  const auto cell = [](auto relu) -> typename Kernels<T>::Cell {
    constexpr bool kRelu = decltype(relu)::value;
    return {RunForward<1, SimpleForward<kRelu, At<D>>, SimpleForward<kRelu, AtTwo<D>>>, nullptr,
            RunBackward<SimpleBackward<kRelu, At<D>>, SimpleBackward<kRelu, AtTwo<D>>>, nullptr,
            RunForwardRow<1, SimpleForward<kRelu, At<D>, ForwardRow>,
                          SimpleForward<kRelu, AtTwo<D>, ForwardRow>>};
  };
  k.simple_tanh = cell(std::false_type());
  k.simple_relu = cell(std::true_type());
  k.simple_general = {RunForward<1, SimpleGeneralForward<D>>, nullptr, RunBackward<SimpleGeneralBackward<D>>,
                      nullptr};
  k.activate = Activate<T>;
}
void FillSimple(KernelTables& t) { FillSimpleCell(std::get<0>(t)), FillSimpleCell(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillSimple[] = RONDO_EACH_ISA(FillSimple);
#endif
