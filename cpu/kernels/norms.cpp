// Layer normalisation of the rows of a sequence.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/norms.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "cpu/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rondo::cpu::HWY_NAMESPACE {
#include "cpu/kernels/norm-inl.h"

template <class T>
void NormaliseRows(const NormRows<T>& a, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = a.norm.gates * a.norm.hp;
  for (std::int64_t r = begin; r < end; ++r) {
    NormaliseRow<hn::ScalableTag<T>>(a.norm, a.x + r * a.ld, RowOf(a.normal, r, width), RowOf(a.scale, r, 1));
  }
}
template <class T>
void NormaliseRowsBackward(const NormRows<T>& a, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = a.norm.gates * a.norm.hp;
  for (std::int64_t r = begin; r < end; ++r) {
    T* d = a.x + r * a.ld;
    NormaliseRowBackward<hn::ScalableTag<T>>(a.norm, d, a.normal + r * width, a.scale[r], d);
  }
}

template <class T>
void FillNormRows(Kernels<T>& k) {
  k.normalise = NormaliseRows<T>;
  k.normalise_backward = NormaliseRowsBackward<T>;
}
void FillNorms(KernelTables& t) { FillNormRows(std::get<0>(t)), FillNormRows(std::get<1>(t)); }
}  // namespace rondo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
const rondo::cpu::FillFunction rondo::cpu::kFillNorms[] = RONDO_EACH_ISA(FillNorms);
#endif
