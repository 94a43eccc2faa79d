// The row-wise operations that core/stack.h asks of a backend, on the CPU.
#pragma once

#include "core/stack.h"

namespace rondo::cpu {

template <class T>
class Glue : public LayerBackend {
 public:
  bool on_host() const override { return true; }
  void send_index(std::int64_t* to, const std::int64_t* from, std::int64_t count) override {
    std::copy_n(from, count, to);
  }
  void copy_rows(Rows to, ConstRows from, std::int64_t count, std::int64_t width) override;
  void merge_rows(Merge how, Rows to, ConstRows a, ConstRows b, std::int64_t count,
                  std::int64_t width) override;
  void draw_mask(Rows to, const MaskDraw& draw, std::int64_t count, std::int64_t width) override;
};

}  // namespace rondo::cpu
