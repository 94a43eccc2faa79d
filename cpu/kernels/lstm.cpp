// LSTM steps: the recurrent product with the cell of core/cells/lstm-inl.h as its epilogue.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/lstm.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "core/cells/lstm-inl.h"
#include "cpu/kernels/norm-inl.h"

template <class Where, template <class> class Step = ForwardStep, class T = typename Where::T>
HWY_INLINE void LstmForward(const Step<T>& a, Where at, const T* sums) {
  typename Where::V i, f, g, o, c = at.Load(a.c, a.hp), h;
  LoadSums(a, at, sums, 0, i, f, g, o);
  lstm_forward(at.ops(), i, f, g, o, c, h);
  at.Store(c, a.c, a.hp);
  if (a.training) {
    StoreGates(a, at, 0, i, f, g, o);
    at.Store(c, a.c_saved, a.ld_c_saved);
  }
  StoreState(a, at, h);
}

template <class Where, class T = typename Where::T>
HWY_INLINE void LstmBackward(const BackwardStep<T>& a, Where at, typename Where::V sum) {
  typename Where::V i, f, g, o, dc = at.Load(a.dc, a.hp);
  LoadGates(a, at, 0, i, f, g, o);
  lstm_backward(at.ops(), i, f, g, o, at.Load(a.c_prev, a.ld_c_prev), at.Load(a.c, a.ld_c),
                TakeStateGradient(a, at, sum), dc);
  StoreGates(a, at, 0, i, f, g, o);
  at.Store(dc, a.dc, a.hp);
}

template <class Step, class D, class V = hn::Vec<D>>
HWY_INLINE Peepholes<V> LoadPeepholes(const Step& a, At<D> at) {
  if (a.peephole == nullptr) return {hn::Zero(D()), hn::Zero(D()), hn::Zero(D())};
  return {at.Load(a.peephole, 0), at.Load(a.peephole + a.hp, 0), at.Load(a.peephole + 2 * a.hp, 0)};
}

// c_t to where the next step and the caller want it, after zoneout.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreCellState(const ForwardStep<T>& a, At<D> at, hn::Vec<D> c_prev, hn::Vec<D> c) {
  if (a.update_c != nullptr || a.options->update_c != T(1)) {
    const auto u = a.update_c != nullptr ? at.LoadPart(a.update_c, a.ld_update_c, a.h)
                                         : hn::Set(D(), a.options->update_c);
    c = zoneout_forward(Ops<D>(), u, c_prev, c);
  }
  at.Store(c, a.c, a.hp);
  if (a.c_out != nullptr) at.StorePart(c, a.c_out, a.ld_c_out, a.h);
  if (a.training) at.Store(c, a.c_saved, a.ld_c_saved);
}

// With options. Where h is projected, o f(c) goes by way of m to the second phase; where c is normalised, c
// does.
enum class Then { kState, kProjection, kNorm };
template <Then kThen, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmGeneralForward(const ForwardStep<T>& a, At<D> at, const T* sums) {
  hn::Vec<D> i, f, g, o, c;
  const auto c_prev = at.Load(a.c, a.hp);
  LoadSums(a, at, sums, 0, i, f, g, o);
  lstm_gates_forward(Ops<D>(), *a.options, LoadPeepholes(a, at), i, f, g, o, c_prev, c);
  StoreCellState(a, at, c_prev, c);
  if (a.training) StoreGates(a, at, 0, i, f, g, o);
  if constexpr (kThen == Then::kNorm) {
    if (!a.training) StoreGates(a, at, 3, o);
    return at.Store(c, a.m, a.ld_m);
  }
  const auto h = lstm_output_forward(Ops<D>(), *a.options, o, c);
  if constexpr (kThen == Then::kProjection) return at.Store(h, a.m, a.ld_m);
  StoreState(a, at, ZoneOut<true>(a, at, h));
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

// d loss / d c_t before its zoneout, as far as it does not come through h; `kept` goes to c_{t-1} at once.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadCellGradient(const BackwardStep<T>& a, At<D> at, hn::Vec<D>& kept) {
  auto dc = at.Load(a.dc, a.hp);
  if (a.dc_out != nullptr) dc = hn::Add(dc, at.LoadPart(a.dc_out, a.ld_dc_out, a.h));
  kept = hn::Zero(D());
  if (a.update_c != nullptr) {
    kept = zoneout_backward(Ops<D>(), at.LoadPart(a.update_c, a.ld_update_c, a.h), dc);
  }
  return dc;
}

// To peepholes: gradients of i f o times what these saw.
template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE void AddPeepholeGradients(const BackwardStep<T>& a, At<D> at, const Peepholes<V>& da,
                                     const Peepholes<V>& seen) {
  if (a.peephole == nullptr) return;
  const auto add = [&](V d, V c, std::int64_t gate) HWY_ATTR {
    T* to = a.dpeephole + gate * a.hp;
    at.Store(hn::MulAdd(d, c, at.Load(to, 3 * a.hp)), to, 3 * a.hp);
  };
  add(da.i, seen.i, 0), add(da.f, seen.f, 1), add(da.o, seen.o, 2);
}

// Projected, sum is d loss / d m.
template <bool kProjected, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void LstmGeneralBackward(const BackwardStep<T>& a, At<D> at, hn::Vec<D> sum) {
  hn::Vec<D> i, f, g, o, c, kept;
  auto dh = kProjected ? sum : LoadStateGradient(a, at, sum);
  if (!kProjected) at.Store(UnzoneOut<true>(a, at, dh), a.carry, a.sp);
  auto dc = LoadCellGradient(a, at, kept);
  const auto c_prev = at.Load(a.c_prev, a.ld_c_prev);
  LoadGates(a, at, 0, i, f, g, o);
  lstm_general_backward(Ops<D>(), *a.options, LoadPeepholes(a, at), i, f, g, o, c_prev, dh, dc, c);
  StoreGates(a, at, 0, i, f, g, o);
  at.Store(hn::Add(dc, kept), a.dc, a.hp);
  AddPeepholeGradients<D>(a, at, {i, f, o}, {c_prev, c_prev, c});
}

// Layer normalisation: the second phases, row by row.
template <class D, class T = hn::TFromD<D>>
void LstmNormForward(const ForwardStep<T>& a, const Range& range) {
  for (At<D> at{range.row_begin, 0}; at.row < range.row_end; ++at.row) {
    NormaliseSums<4, LstmGeneralForward<Then::kNorm, D>, D>(a, at.row);
    const std::int64_t at_row = at.row * a.norms.row_stride;
    NormaliseRow<D>(a.norms.c, a.m + at.row * a.ld_m, RowOf(a.norms.normal_c, at_row, a.hp),
                    RowOf(a.norms.scale_c, at_row, 1));
    for (at.unit = 0; at.unit < a.h; at.unit += kLanes<T>) {
      const auto o = at.Load(a.gates + 3 * a.hp, a.ld_gates), c = at.Load(a.m, a.ld_m);
      StoreState(a, at, ZoneOut<true>(a, at, lstm_output_forward(Ops<D>(), *a.options, o, c)));
    }
  }
}

template <class D, class T = hn::TFromD<D>>
void LstmNormBackward(const BackwardStep<T>& a, const Range& range) {
  const Ops<D> ops;
  const Norm<T>& norm = a.norms.c;
  const std::int64_t ld = a.norms.row_stride * a.hp;
  hn::Vec<D> i, f, g, o, kept;
  for (At<D> at{range.row_begin, 0}; at.row < range.row_end; ++at.row) {
    T *gradient = a.norms.dnormalised + at.row * ld, *dc_row = a.norms.dh + at.row * a.hp;
    for (at.unit = 0; at.unit < a.h; at.unit += kLanes<T>) {
      const auto n = at.Load(a.norms.normal_c, ld), factor = hn::LoadU(D(), norm.factor + at.unit);
      LoadGates(a, at, 3, o);
      const auto read = hn::MulAdd(n, factor, hn::LoadU(D(), norm.shift + at.unit));
      const auto d = lstm_output_backward(ops, *a.options, o, read, at.Load(a.norms.dh, a.hp));
      hn::StoreU(d, D(), gradient + at.unit);
      StoreGates(a, at, 3, o);
    }
    NormaliseRowBackward<D>(norm, gradient, a.norms.normal_c + at.row * ld,
                            a.norms.scale_c[at.row * a.norms.row_stride], dc_row);
    for (at.unit = 0; at.unit < a.h; at.unit += kLanes<T>) {
      const auto c_prev = at.Load(a.c_prev, a.ld_c_prev);
      auto dc = hn::Add(LoadCellGradient(a, at, kept), hn::LoadU(D(), dc_row + at.unit));
      LoadGates(a, at, 0, i, f, g, o);
      const auto c = lstm_cell_state(ops, *a.options, i, f, g, c_prev);
      lstm_gates_backward(ops, *a.options, LoadPeepholes(a, at), i, f, g, o, c_prev, c, dc);
      StoreGates(a, at, 0, i, f, g);
      at.Store(hn::Add(dc, kept), a.dc, a.hp);
      AddPeepholeGradients<D>(a, at, {i, f, o}, {c_prev, c_prev, c});
    }
    NormaliseSumsBackward<4, D>(a, at.row, 0);
  }
}

template <class T>
void FillLstmCell(Kernels<T>& k) {
  using D = hn::ScalableTag<T>;
  k.lstm = {RunForward<4, LstmForward<At<D>>, LstmForward<AtTwo<D>>>, nullptr,
            RunBackward<LstmBackward<At<D>>, LstmBackward<AtTwo<D>>>, nullptr,
            RunForwardRow<4, LstmForward<At<D>, ForwardRow>, LstmForward<AtTwo<D>, ForwardRow>>};
  k.lstm_general = {RunForward<4, LstmGeneralForward<Then::kState, D>>, nullptr,
                    RunBackward<LstmGeneralBackward<false, D>>, nullptr};
  k.lstm_norm = {RunForward<4, StoreSums<4, D>>, LstmNormForward<D>, RunBackward<StoreStateGradient<D>>,
                 LstmNormBackward<D>};
  k.lstm_projected = {RunForward<4, LstmGeneralForward<Then::kProjection, D>>,
                      RunForward<1, ProjectForward<D>, nullptr, Multiplies::kProjection>,
                      RunBackward<ProjectBackward<D>>, RunBackward<LstmGeneralBackward<true, D>>};
}
void FillLstm(KernelTables& t) { FillLstmCell(std::get<0>(t)), FillLstmCell(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillLstm[] = RONDO_EACH_ISA(FillLstm);
#endif
