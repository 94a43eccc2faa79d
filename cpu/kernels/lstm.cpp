// LSTM steps: the recurrent product with the cell of core/cells/lstm-inl.h as its epilogue.
#include "cpu/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/lstm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "cpu/kernels/isa.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#undef RONDO_CELL_FN
#define RONDO_CELL_FN HWY_INLINE
#include "cpu/kernels/product-inl.h"
#include "cpu/kernels/ops-inl.h"
#include "core/cells/lstm-inl.h"

struct LstmForwardStep {
  static constexpr int kGates = 4;
  template <class T>
  static HWY_INLINE Operand<T> Input(const ForwardStep<T>& a) {
    return {a.recurrent, a.k, a.h_in, a.hp, a.group};
  }
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const ForwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    const T* HWY_RESTRICT sums) {
    const std::size_t lanes = hn::Lanes(d);
    T* gates = a.gates + row * a.ld_gates + unit;
    const T* bias = a.bias + unit;
    const auto pre = [&](std::int64_t g) HWY_ATTR {
      return hn::Add(hn::Add(hn::Load(d, sums + g * static_cast<std::int64_t>(lanes)), hn::LoadU(d, gates + g * a.hp)),
                     hn::LoadU(d, bias + g * a.hp));
    };
    auto i = pre(0), f = pre(1), g = pre(2), o = pre(3);
    auto c = hn::LoadU(d, a.c + row * a.hp + unit), h = c;
    lstm_forward(Ops<D>{d}, i, f, g, o, c, h);
    hn::StoreU(c, d, a.c + row * a.hp + unit);
    if (a.training) {
      hn::StoreU(i, d, gates);
      hn::StoreU(f, d, gates + a.hp);
      hn::StoreU(g, d, gates + 2 * a.hp);
      hn::StoreU(o, d, gates + 3 * a.hp);
      hn::StoreU(c, d, a.c_saved + row * a.ld_c_saved + unit);
    }
    StoreState(d, a, row, unit, h);
  }
};

struct LstmBackwardStep {
  template <class D, class T = hn::TFromD<D>>
  static HWY_NOINLINE void Epilogue(D d, const BackwardStep<T>& a, std::int64_t row, std::int64_t unit,
                                    hn::Vec<D> sum) {
    T* gates = a.gates + row * a.ld_gates + unit;
    const auto dh = StateGradient(d, a, row, unit, sum);
    auto i = hn::LoadU(d, gates), f = hn::LoadU(d, gates + a.hp), g = hn::LoadU(d, gates + 2 * a.hp),
         o = hn::LoadU(d, gates + 3 * a.hp), dc = hn::LoadU(d, a.dc + row * a.hp + unit);
    const auto c_prev = hn::LoadU(d, a.c_prev + row * a.ld_c_prev + unit);
    const auto c = hn::LoadU(d, a.c + row * a.ld_c + unit);
    lstm_backward(Ops<D>{d}, i, f, g, o, c_prev, c, dh, dc);
    hn::StoreU(i, d, gates);
    hn::StoreU(f, d, gates + a.hp);
    hn::StoreU(g, d, gates + 2 * a.hp);
    hn::StoreU(o, d, gates + 3 * a.hp);
    hn::StoreU(dc, d, a.dc + row * a.hp + unit);
    hn::StoreU(hn::Zero(d), d, a.carry + row * a.hp + unit);
  }
};

template <class T>
void FillLstmTable(typename Kernels<T>::Cell& cell) {
  cell.forward = RunForward<LstmForwardStep, T>;
  cell.backward = RunBackward<LstmBackwardStep, T>;
}
void FillLstm(Kernels<float>& f32, Kernels<double>& f64) {
  FillLstmTable<float>(f32.lstm);
  FillLstmTable<double>(f64.lstm);
}
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rondo::cpu {
void fill_lstm(Isa isa, Kernels<float>& f32, Kernels<double>& f64) { RONDO_CALL_FOR_ISA(isa, FillLstm, f32, f64) }
}  // namespace rondo::cpu
#endif
