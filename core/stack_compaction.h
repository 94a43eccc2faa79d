// Which rows and steps the layers of a pass see: the caller's without those that lengths and masks leave out,
// each row cut where resets cut it, the longest first.
#pragma once

#include "core/stack_pass.h"

namespace rondo {

// Steps [begin, end) of a row of the caller's between two cuts, `steps` of them not skipped. Those that have
// none stay only where a state enters or leaves there.
struct StackPlan::Segment {
  std::int64_t row, begin, end, steps;
  bool first, last;            // in time, of its row
  bool first_live, last_live;  // likewise, of those with a step
};

// Fills the header, the lists and the offsets of a pass, on the host and where glue reads them.
struct StackPlan::Compaction {
  Pass& pass;
  const ForwardArgs& args;
  PassHeader& header = pass.header;
  Segment* const segments = reinterpret_cast<Segment*>(pass.plan.segments_.span().data());

  void run();

 private:
  // Of the window's steps: how many a row has, where one lies in the caller's arrays, whether it is skipped,
  // and whether the row is cut before it.
  std::int64_t length(std::int64_t row) const;
  std::int64_t position(std::int64_t step, std::int64_t row) const;
  bool skipped(std::int64_t step, std::int64_t row) const;
  bool cut(std::int64_t step, std::int64_t row) const;
  static bool flag(const ConstTensorView& flags, std::int64_t at) {
    return static_cast<const std::uint8_t*>(flags.data)[at] != 0;
  }

  bool is_ragged() const;
  void make_segments();
  void cut_row(std::int64_t row);
  void list_rows();
  void list_steps();
  void list_ended();
  void list_repeats(int direction);
  // Calls visit(n, to, from) where a step in the caller's arrays is the n-th that repeats one of our flat
  // rows.
  template <class Visit>
  void each_repeat(bool reverse, Visit&& visit) const;
  std::int64_t* take(std::int64_t& start, std::int64_t count) const {
    start = header.lists.count;
    header.lists.count += count;
    return pass.index + start;
  }
};

}  // namespace rondo
