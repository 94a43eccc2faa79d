// SimpleRNN steps, and the plain product and the last step to h0 that all cells share.
#include "cpu/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/simple.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "cpu/kernels/isa.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#undef RONDO_CELL_FN
#define RONDO_CELL_FN HWY_INLINE
#include "cpu/kernels/product-inl.h"
#include "cpu/kernels/ops-inl.h"
#include "core/cells/simple-inl.h"

template <bool kRelu>
struct SimpleForwardStep {
  static constexpr int kGates = 1;
  template <class T>
  static HWY_INLINE Operand<T> Input(const ForwardStep<T>& a) {
    return {a.recurrent, a.k, a.h_in, a.hp, 0};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    const auto pre = hn::Add(hn::Add(hn::Load(d, sums), hn::LoadU(d, a.gates + row * a.ld_gates + unit)),
                             hn::LoadU(d, a.bias + unit));
    const Ops<D> ops{d};
    StoreState(d, a, row, unit, kRelu ? simple_relu_forward(ops, pre) : simple_tanh_forward(ops, pre));
  }
};

template <bool kRelu>
struct SimpleBackwardStep {
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    hn::Vec<D> sum) {
    const auto dh = StateGradient(d, a, row, unit, sum);
    const auto h = LoadPart(d, a.y + row * a.ld_y, unit, a.h);
    const Ops<D> ops{d};
    const auto da = kRelu ? simple_relu_backward(ops, h, dh) : simple_tanh_backward(ops, h, dh);
    hn::StoreU(da, d, a.gates + row * a.ld_gates + unit);
    hn::StoreU(hn::Zero(d), d, a.carry + row * a.hp + unit);
  }
};

struct FinishStep {
  template <class D, class T = hn::TFromD<D>>
  static HWY_INLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                  hn::Vec<D> sum) {
    hn::StoreU(hn::Add(sum, hn::LoadU(d, a.carry + row * a.hp + unit)), d, a.dh0 + row * a.hp + unit);
  }
};

struct PlainStep {
  static constexpr int kGates = 1;
  template <class T>
  static HWY_INLINE Operand<T> Input(const Product<T>& a) {
    return {a.packed, a.k, a.in, a.ld_in, 0};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_INLINE void Epilogue(D d, const Product<T>& a, std::int64_t row, std::int64_t unit,
                                  const T* HWY_RESTRICT sums) {
    hn::StoreU(hn::Load(d, sums), d, a.out + row * a.ld_out + unit);
  }
};
template <class T>
void PlainProduct(const Product<T>& args, const Range& range) {
  Walk<PlainStep, false>(hn::ScalableTag<T>(), args, range);
}

template <class T>
void FillSimpleTable(Kernels<T>& k) {
  k.lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  // Every cell's own tile divides it: 12 and 24 accumulators over 1, 2, 3 and 4 gates.
  k.row_tile = kAccumulators;
  k.product = PlainProduct<T>;
  k.simple_tanh = {RunForward<SimpleForwardStep<false>, T>, nullptr, RunBackward<SimpleBackwardStep<false>, T>, nullptr};
  k.simple_relu = {RunForward<SimpleForwardStep<true>, T>, nullptr, RunBackward<SimpleBackwardStep<true>, T>, nullptr};
  k.finish = RunBackward<FinishStep, T>;
}
void FillSimple(Kernels<float>& f32, Kernels<double>& f64) {
  FillSimpleTable(f32);
  FillSimpleTable(f64);
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rondo::cpu {
void fill_simple(Isa isa, Kernels<float>& f32, Kernels<double>& f64) { RONDO_CALL_FOR_ISA(isa, FillSimple, f32, f64) }
}  // namespace rondo::cpu
#endif
