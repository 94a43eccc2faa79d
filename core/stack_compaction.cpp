// Sorts a pass's rows, or the segments into which resets cut them, and lists their steps.
#include "core/stack_compaction.h"

#include "core/validate.h"

namespace rondo {

void StackPlan::Compaction::run() {
  const bool ragged = is_ragged();
  // What a window of several leaves for the next must be known row by row.
  const bool one_of_many = pass.window.t != pass.window.all;
  header.ragged = ragged;
  header.some_ended = pass.last_only && (ragged || (one_of_many && pass.training));
  header.live = header.rows = header.ended = pass.n;
  header.steps = pass.t;
  header.lists = {};
  if (ragged) {
    make_segments();
    list_rows();
    list_steps();
  }
  if (header.some_ended) list_ended();
  for (int d = 0; ragged && pass.plan.repeats() && d < pass.directions; ++d) list_repeats(d);
  if (header.lists.count == 0 || pass.layout.host_bytes == 0) return;
  pass.glue.send_index(pass.words(pass.kept, pass.layout.index_sent), pass.index, header.lists.count);
}

std::int64_t StackPlan::Compaction::length(std::int64_t row) const {
  if (args.lengths.absent()) return pass.t;
  return std::clamp<std::int64_t>(index_at(args.lengths, row) - pass.window.first, 0, pass.t);
}
std::int64_t StackPlan::Compaction::position(std::int64_t step, std::int64_t row) const {
  const Sequence theirs = pass.in_caller();
  return theirs.start(pass.window.first + step) + row * theirs.row_stride;
}
bool StackPlan::Compaction::skipped(std::int64_t step, std::int64_t row) const {
  return !args.mask.absent() && !flag(args.mask, position(step, row));
}
bool StackPlan::Compaction::cut(std::int64_t step, std::int64_t row) const {
  return !args.resets.absent() && flag(args.resets, position(step, row));
}

bool StackPlan::Compaction::is_ragged() const {
  const bool apart = pass.batch_major() && pass.n > 1 && pass.window.t != pass.window.all;
  if (apart) return true;  // in memory: the steps of a window
  const bool flags = !args.mask.absent() || !args.resets.absent();
  for (std::int64_t r = 0; r < pass.n; ++r) {
    if (length(r) != pass.t) return true;
    for (std::int64_t s = 0; flags && s < pass.t; ++s) {
      if (skipped(s, r) || cut(s, r)) return true;
    }
  }
  return false;
}

void StackPlan::Compaction::make_segments() {
  header.rows = 0;
  for (std::int64_t r = 0; r < pass.n; ++r) cut_row(r);
  std::sort(segments, segments + header.rows, [](const Segment& a, const Segment& b) {
    if (a.steps != b.steps) return a.steps > b.steps;
    return a.row != b.row ? a.row < b.row : a.begin < b.begin || (a.begin == b.begin && a.first && !b.first);
  });
}

void StackPlan::Compaction::cut_row(std::int64_t row) {
  const std::int64_t steps = length(row);
  Segment now{row, 0, 0, 0, true, false, false, false};
  std::int64_t live = -1;  // the latest with a step
  const auto close = [&](std::int64_t end, bool last) {
    now.end = end;
    now.last = last;
    now.first_live = now.steps > 0 && live < 0;
    if (now.steps > 0) live = header.rows;
    if (now.steps > 0 || now.first || last) segments[header.rows++] = now;
    now = {row, end, end, 0, false, false, false, false};
  };
  for (std::int64_t s = 0; s < steps; ++s) {
    if (cut(s, row)) close(s, false);
    if (!skipped(s, row)) ++now.steps;
  }
  close(steps, true);
  if (live >= 0) segments[live].last_live = true;
}

void StackPlan::Compaction::list_rows() {
  IndexLists& lists = header.lists;
  std::int64_t *const first = take(lists.first, pass.n), *const last = take(lists.last, pass.n);
  std::int64_t* const rows = take(lists.rows, header.rows);
  header.live = 0;
  for (std::int64_t i = 0; i < header.rows; ++i) {
    const Segment& segment = segments[i];
    rows[i] = segment.row;
    if (segment.first) first[segment.row] = i;
    if (segment.last) last[segment.row] = i;
    if (segment.steps > 0) ++header.live;
  }
  header.steps = segments[0].steps;
}

void StackPlan::Compaction::list_steps() {
  std::int64_t rows = header.live;
  pass.offsets[0] = 0;
  for (std::int64_t s = 0; s < header.steps; ++s) {
    while (rows > 0 && segments[rows - 1].steps <= s) --rows;
    pass.offsets[s + 1] = pass.offsets[s] + rows;
  }
  std::int64_t* const flat = take(header.lists.flat, pass.t * pass.n);
  for (std::int64_t i = 0; i < header.live; ++i) {
    const Segment& segment = segments[i];
    for (std::int64_t s = segment.begin, k = 0; k < segment.steps; ++s) {
      if (!skipped(s, segment.row)) flat[pass.offsets[k++] + i] = position(s, segment.row);
    }
  }
  std::int64_t* between = flat + pass.offsets[header.steps];
  for (std::int64_t r = 0; r < pass.n; ++r) {
    const std::int64_t steps = length(r);
    for (std::int64_t s = 0; s < pass.t; ++s) {
      if (s >= steps || skipped(s, r)) *between++ = position(s, r);
    }
  }
}

void StackPlan::Compaction::list_ended() {
  IndexLists& lists = header.lists;
  std::int64_t* const ended = take(lists.ended, pass.n);
  std::int64_t* const in[2] = {take(lists.ended_in[0], pass.n), take(lists.ended_in[1], pass.n)};
  for (std::int64_t r = 0; r < pass.n; ++r) in[0][r] = in[1][r] = header.ragged ? -1 : r;
  for (std::int64_t i = 0; header.ragged && i < header.live; ++i) {
    if (segments[i].last_live) in[0][segments[i].row] = i;
    if (segments[i].first_live) in[1][segments[i].row] = i;
  }
  // Under checkpoints the last window that has a step of a row is known once all have run.
  std::int64_t* const ends_in =
      pass.training && pass.plan.windowed() ? pass.words(pass.host, pass.layout.ends_in) : nullptr;
  header.ended = 0;
  for (std::int64_t r = 0; r < pass.n; ++r) {
    if (in[0][r] < 0) continue;
    if (ends_in != nullptr && !pass.window.again) ends_in[r] = pass.window.number;
    if (ends_in != nullptr && ends_in[r] != pass.window.number) continue;
    ended[header.ended] = r;
    for (std::int64_t* rows : in) rows[header.ended] = rows[r];
    ++header.ended;
  }
}

template <class Visit>
void StackPlan::Compaction::each_repeat(bool reverse, Visit&& visit) const {
  for (std::int64_t i = 0; i < header.live; ++i) {
    const Segment& segment = segments[i];
    std::int64_t before = 0;   // steps that were processed
    std::int64_t repeats = 0;  // skipped ones since the last of them
    for (std::int64_t k = 0; k < segment.end - segment.begin; ++k) {
      const std::int64_t s = reverse ? segment.end - 1 - k : segment.begin + k;
      if (!skipped(s, segment.row)) {
        ++before;
        repeats = 0;
      } else if (before > 0) {
        const std::int64_t step = reverse ? segment.steps - before : before - 1;
        visit(repeats++, position(s, segment.row), pass.offsets[step] + i);
      }
    }
  }
}

void StackPlan::Compaction::list_repeats(int direction) {
  const int kind = pass.reverse(direction);
  std::int64_t* const starts = pass.words(pass.host, pass.layout.repeat_starts, kind);
  std::fill_n(starts, pass.t + 1, 0);
  std::int64_t total = 0;
  each_repeat(kind == 1, [&](std::int64_t n, std::int64_t, std::int64_t) {
    ++starts[n + 1];
    ++total;
  });
  for (std::int64_t i = 0; i < pass.t; ++i) starts[i + 1] += starts[i];
  std::int64_t* const to = take(header.lists.repeat_to[kind], total);
  std::int64_t* const from = take(header.lists.repeat_from[kind], total);
  each_repeat(kind == 1, [&](std::int64_t n, std::int64_t step, std::int64_t flat) {
    to[starts[n]] = step;
    from[starts[n]++] = flat;
  });
  // That moved each start on to the next one.
  for (std::int64_t i = pass.t; i > 0; --i) starts[i] = starts[i - 1];
  starts[0] = 0;
}

}  // namespace rondo
