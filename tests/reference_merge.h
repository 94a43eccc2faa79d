// How the outputs of both directions become one, and its gradient.
#pragma once

#include <utility>

#include "reference_step.h"

namespace rondo::reference {

template <class Real>
Vec<Real> merged(Merge how, const Vec<Real>& a, const Vec<Real>& b) {
  Vec<Real> out = a;
  if (how == Merge::kConcat) out.insert(out.end(), b.begin(), b.end());
  for (std::size_t j = 0; j < a.size(); ++j) {
    if (how == Merge::kSum) out[j] = a[j] + b[j];
    if (how == Merge::kMul) out[j] = a[j] * b[j];
    if (how == Merge::kAve) out[j] = (a[j] + b[j]) / 2;
  }
  return out;
}

// d: of what the pair was merged to.
template <class Real>
void unmerge(Merge how, const Vec<Real>& d, const std::pair<Vec<Real>, Vec<Real>>& pair, Vec<Real>& da,
             Vec<Real>& db) {
  const auto& [a, b] = pair;
  const std::size_t width = a.size();
  da.assign(d.begin(), d.begin() + width);
  db = da;
  for (std::size_t j = 0; j < width; ++j) {
    if (how == Merge::kConcat) db[j] = d[width + j];
    if (how == Merge::kMul) {
      da[j] = d[j] * b[j];
      db[j] = d[j] * a[j];
    }
    if (how == Merge::kAve) da[j] = db[j] = d[j] / 2;
  }
}

}  // namespace rondo::reference
