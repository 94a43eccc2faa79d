// The row-wise operations that core/stack.h asks of a backend, on the CPU.
#pragma once

#include "core/stack.h"

namespace rondo::cpu {

template <class T>
class Glue : public LayerBackend {
 public:
  void gather_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                   std::int64_t width) override;
  void scatter_rows(Rows to, ConstRows from, const std::int64_t* index, std::int64_t count,
                    std::int64_t width) override;
  void merge(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) override;
  void merge_backward(Merge how, ConstRows dy, ConstRows a, ConstRows b, Rows da, Rows db, std::int64_t count,
                      std::int64_t width) override;
  void scale_rows(Rows to, ConstRows from, ConstRows mask, std::int64_t count, std::int64_t width) override;
  void add_rows(Rows to, ConstRows a, ConstRows b, std::int64_t count, std::int64_t width) override;
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t t, const std::int64_t* row, std::int64_t count,
                 std::int64_t width) override;
};

}  // namespace rondo::cpu
