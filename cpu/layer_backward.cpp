// Backward pass of one layer: the time loop from the last step processed to the first, then the gradients
// of parameters and inputs as products over the whole sequence.
#include "cpu/column_sums.h"
#include "cpu/layer.h"
#include "cpu/outer_products.h"
#include "cpu/states.h"

namespace rondo::cpu {
template <class T>
void Layers<T>::backward(const LayerBackward& call) {
  const FlushDenormals flush;
  begin(call, true);
  const std::int64_t flat_rows = call.sequence.total(), n = call.sequence.n;
  const bool lstm = config_.cell == Cell::kLstm;
  Arena work(call.workspace), kept(call.saved);
  Memory m = memory(work, weights(call).at.in, flat_rows, n, true);
  m.w = connected(call, m.backward_r);
  const Saved s = saved(kept, flat_rows);
  const States<T> states = h_states(call), cells = c_states(call);
  states.load(m.carry, call.dh_n);
  states.load(m.h[0], call.h0);
  if (lstm) cells.load(m.dc, call.dc_n);
  if (lstm) cells.load(m.c, call.c0);
  if (call.masks.recurrent != nullptr) states.load_masks(m.mask, call.masks);
  if (config_.peephole) std::fill_n(m.dpeephole, n * 3 * hp_, T(0));

  backward_loop(call, m, s);
  states.store(m.h[1], call.dh0);
  if (lstm) cells.store(m.dc, call.dc0);
  T* const dparameters = static_cast<T*>(call.dparameters);
  if (dparameters != nullptr) {
    recurrent_gradients(call, m, s);
    bias_gradients(call, m, s.gates);
    if (config_.layer_norm) norm_gradients(m, s, flat_rows, dparameters);
  }
  if (config_.layer_norm) normalise_input_backward(call, m, s);
  if (dparameters != nullptr) add_input_products(call, m, s.gates, dparameters + m.w.at.weight_ih);
  if (call.dx.data != nullptr) input_gradient(call, m, s.gates);
  divider_.end();
}

// What all steps share.
template <class T>
BackwardStep<T> Layers<T>::backward_step(const LayerBackward& call, const Memory& m, const Saved& s) const {
  const std::int64_t row = call.sequence.row_stride, group = call.sequence.n * sp_;
  const bool masked = call.masks.recurrent != nullptr, per_gate = masked && call.masks.groups > 1;
  BackwardStep<T> step{};
  step.recurrent = m.w.transposed;
  step.ld_gates = row * order_.columns * hp_;
  step.ld_da = row * recurrent_rows(m, s).ld;
  step.ld_y = row * call.y.ld;
  step.ld_c = row * hp_;
  step.ld_dy = row * call.dy.ld;
  step.carry = m.carry;
  step.dc = m.dc;
  step.mask = masked ? m.mask : nullptr;
  step.mask_group = per_gate ? group : 0;
  step.segments = per_gate ? order_.recurrent_gates : 1;
  step.dh0 = m.h[1];
  step.h = h_;
  step.hp = hp_;
  step.s = s_;
  step.sp = sp_;
  step.read_columns = order_.columns;
  step.far = far_rows(call.sequence);
  step.options = &training_options_;
  step.peephole = m.w.peephole;
  step.dpeephole = m.dpeephole;
  step.ld_update_h = row * s_;
  step.ld_update_c = row * h_;
  step.ld_dc_out = row * call.dc.ld;
  step.ld_dm = row * sp_;
  if (config_.layer_norm) step.norms = step_norms(call, m, s);
  return step;
}

// The product of the second phase: dn R_n, or through the projection.
template <class T>
BackwardStep<T> Layers<T>::second_phase(BackwardStep<T> step, const Memory& m) const {
  step.segments = 1;
  step.far = false;  // the first phase has fetched them
  if (projected()) {
    step.recurrent = m.w.transposed_projection;
    step.k = sp_;
    step.da = step.dm;
    step.ld_da = step.ld_dm;
    step.mask = nullptr;
    return step;
  }
  step.recurrent = m.w.transposed_n;
  step.k = hp_;
  step.da = step.gates + order_.input_column[2] * hp_;
  if (step.mask != nullptr) step.mask += 2 * step.mask_group;
  return step;
}

template <class T>
void Layers<T>::backward_loop(const LayerBackward& call, const Memory& m, const Saved& saved) const {
  const Sequence& seq = call.sequence;
  const bool reverse = call.id.reverse;
  const std::int64_t ld = order_.columns * hp_;
  const T* y = static_cast<const T*>(call.y.data);
  const T* dy = static_cast<const T*>(call.dy.data);
  const typename Kernels<T>::Cell& step = cell();
  const BackwardStep<T> base = backward_step(call, m, saved);
  const GateRows fed = recurrent_rows(m, saved);
  const bool simple = config_.cell == Cell::kSimpleRnn, gru = config_.cell == Cell::kGru;

  const auto rows = [](const void* all, std::int64_t start, std::int64_t width) {
    return all == nullptr ? nullptr : static_cast<const T*>(all) + start * width;
  };
  on_parts(seq, split_steps(seq), [&](const Parts& mine, auto meet) {
    // Rows [begin, end) of step s. next and prev: the steps processed after and before it, -1 for none.
    const auto run = [&](std::int64_t s, std::int64_t next, std::int64_t prev, std::int64_t begin,
                         std::int64_t end) {
      auto [units, own_states] = mine;
      units.row_begin = own_states.row_begin = std::max(units.row_begin, begin);
      units.row_end = own_states.row_end = std::min(units.row_end, end);
      const bool any = units.row_begin < units.row_end;
      BackwardStep<T> a = base;
      const std::int64_t start = seq.start(s), start_prev = prev < 0 ? 0 : seq.start(prev);
      a.gates = saved.gates + start * ld;
      if (simple) a.y = y + start * call.y.ld;
      a.dy = rows(dy, start, call.dy.ld);
      if (gru) a.h_prev = prev < 0 ? m.h[0] : y + start_prev * call.y.ld;
      a.ld_h_prev = prev < 0 ? sp_ : base.ld_y;
      if (saved.c != nullptr) {
        a.c = saved.c + start * hp_;
        a.c_prev = prev < 0 ? m.c : saved.c + start_prev * hp_;
        a.ld_c_prev = prev < 0 ? hp_ : base.ld_c;
      }
      a.dc_out = rows(call.dc.data, start, call.dc.ld);
      a.update_h = rows(call.masks.zoneout_h, start, s_);
      a.update_c = rows(call.masks.zoneout_c, start, h_);
      if (m.dm != nullptr) a.dm = m.dm + start * sp_;
      if (config_.layer_norm) a.norms = norms_from(base.norms, start);
      a.k = next < 0 ? 0 : order_.recurrent_gates * hp_;
      a.da = next < 0 ? a.gates : fed.data + seq.start(next) * fed.ld;
      if (any) step.backward(a, own_states);
      if (step.backward_second != nullptr) {
        meet();
        if (any) step.backward_second(second_phase(a, m), units);
      }
      meet();
      if (prev >= 0 || call.dh0 == nullptr) return;
      a.k = order_.recurrent_gates * hp_;
      a.da = fed.data + start * fed.ld;
      if (any) kernels_.finish(a, own_states);
    };
    for (std::int64_t i = seq.t; i-- > 0;) {
      const std::int64_t s = reverse ? seq.t - 1 - i : i, live = seq.rows(s);
      const std::int64_t before = s - 1, after = s + 1 < seq.t ? s + 1 : -1;  // in time; -1 for none
      // Rows below `longer` are live at the step after in time, the others end here.
      const std::int64_t longer = after < 0 ? 0 : seq.rows(after);
      if (longer > 0) run(s, reverse ? before : after, reverse ? after : before, 0, longer);
      if (longer < live) run(s, reverse ? before : -1, reverse ? -1 : before, longer, live);
    }
  });
}

// dW or dR: to [G*H, width] += the gates' rows transposed times what the weights multiplied.
template <class T>
void Layers<T>::add_product(T* to, const GateRun& run, const GateRows& da, ConstRows operand,
                            const ProductSize& size) const {
  add_outer_products(kernels_,
                     {.a = da.data + run.column * hp_,
                      .ld_a = da.ld,
                      .b = static_cast<const T*>(operand.data),
                      .ld_b = operand.ld,
                      .rows = size.flat_rows,
                      .c = to + run.gate * h_ * size.width,
                      .ld_c = size.width},
                     run.count * h_, size.width, size.threads);
}

// W multiplied x, masked for each gate or for all.
template <class T>
void Layers<T>::add_input_products(const LayerBackward& call, const Memory& m, const T* da, T* dW) const {
  const std::int64_t flat_rows = call.sequence.total(), in = m.w.at.in;
  const T* masks = static_cast<const T*>(call.masks.input);
  const bool apart = masks != nullptr && call.masks.groups > 1;
  for (const GateRun& run : gate_runs(order_.input_column, order_.gates, hp_ != h_ || apart)) {
    if (masks != nullptr && (run.gate == 0 || apart)) {
      const std::int64_t group = apart ? run.gate * call.masks.group_rows * in : 0;
      mask_sequence(call.sequence, call.x, masks + group, in, m.x_masked);
    }
    add_product(dW, run, {da, order_.columns * hp_}, masks == nullptr ? call.x : ConstRows{m.x_masked, in},
                {flat_rows, in, threads()});
  }
}

// Of R and of the projection.
template <class T>
void Layers<T>::recurrent_gradients(const LayerBackward& call, const Memory& m, const Saved& s) const {
  T* to = static_cast<T*>(call.dparameters);
  T* dR = to + m.w.at.weight_hh;
  if (call.masks.connect == nullptr) {
    add_recurrent_products(call, m, s, dR);
  } else {
    const T* factors = static_cast<const T*>(call.masks.connect);
    std::fill_n(m.dr, order_.gates * h_ * s_, T(0));
    add_recurrent_products(call, m, s, m.dr);
    for (std::int64_t i = 0; i < order_.gates * h_ * s_; ++i) dR[i] += m.dr[i] * factors[i];
  }
  if (!projected()) return;
  add_outer_products(kernels_,
                     {.a = m.dm,
                      .ld_a = sp_,
                      .b = s.m,
                      .ld_b = hp_,
                      .rows = call.sequence.total(),
                      .c = to + m.w.at.weight_hr,
                      .ld_c = h_},
                     s_, h_, threads());
}

// R multiplied h_{t-1}, masked for each gate or for all; under reset_before n's part multiplied r h, which
// was saved.
template <class T>
void Layers<T>::add_recurrent_products(const LayerBackward& call, const Memory& m, const Saved& s,
                                       T* dR) const {
  const GateRows da = recurrent_rows(m, s);
  const std::int64_t flat_rows = call.sequence.total();
  const bool masked = call.masks.recurrent != nullptr, apart = masked && call.masks.groups > 1;
  static constexpr int kInOrder[] = {0, 1, 2, 3};
  const GateRuns runs = gate_runs(kInOrder, order_.recurrent_gates, hp_ != h_ || apart);
  for (Stretch rows{}; rows.end < flat_rows;) {
    rows = next_stretch(call, rows.end);
    const std::int64_t n = call.sequence.n;
    ConstRows h{m.h_in, s_};
    if (rows.in_place) {
      const std::int64_t before = rows.begin + (call.id.reverse ? n : -n);
      h = {static_cast<const T*>(call.y.data) + before * call.y.ld, call.y.ld};
    }
    for (const GateRun& run : runs) {
      if (!rows.in_place && (run.gate == 0 || apart)) {
        gather_h(call, m, rows, masked ? m.mask + (apart ? run.gate * n * sp_ : 0) : nullptr);
      }
      add_product(dR, run, {da.data + rows.begin * da.ld, da.ld}, h, {rows.end - rows.begin, s_, threads()});
    }
  }
  if (order_.recurrent_gates == order_.gates) return;
  const std::int64_t ld = order_.columns * hp_;
  const GateRun n{2, 1, order_.recurrent_column[2]};
  add_product(dR, n, {s.gates, ld}, {s.gates + (order_.columns - 1) * hp_, ld}, {flat_rows, s_, threads()});
}

// Of biases and peepholes.
template <class T>
void Layers<T>::bias_gradients(const LayerBackward& call, const Memory& m, const T* da) const {
  const LayerParameters& at = m.w.at;
  const std::int64_t flat_rows = call.sequence.total(), ld = order_.columns * hp_;
  T* to = static_cast<T*>(call.dparameters);
  for (int g = 0; g < order_.gates && config_.bias != Bias::kNone; ++g) {
    const int input = order_.input_column[g], recurrent = order_.recurrent_column[g];
    T* const bias_hh = config_.bias == Bias::kSingle ? nullptr : to + at.bias_hh + g * h_;
    add_column_sums(to + at.bias_ih + g * h_, {da + input * hp_, ld}, Columns<T>{nullptr, 0}, flat_rows, h_,
                    input == recurrent ? bias_hh : nullptr);
    if (bias_hh == nullptr || input == recurrent) continue;
    add_column_sums(bias_hh, {da + recurrent * hp_, ld}, flat_rows, h_);
  }
  for (int g = 0; g < 3 && config_.peephole; ++g) {
    add_column_sums(to + at.weight_ch + g * h_, {m.dpeephole + g * hp_, 3 * hp_}, call.sequence.n, h_);
  }
}

// A BLAS has all rows in one call, since its sums hang on their number.
template <class T>
std::int64_t Layers<T>::gathered_rows(std::int64_t flat_rows) const {
  constexpr std::int64_t kMost = 8 * kOuterDepth;  // 1 MiB of H 256: little memory, and few products
  return suits_blas(kernels_, order_.recurrent_gates * h_, s_) ? flat_rows : std::min(flat_rows, kMost);
}

// Stretches begin at multiples of kOuterDepth, for sums that do not hang on them.
template <class T>
typename Layers<T>::Stretch Layers<T>::next_stretch(const LayerBackward& call, std::int64_t begin) const {
  const Sequence& seq = call.sequence;
  const std::int64_t flat_rows = seq.total();
  const bool whole_steps = seq.offsets == nullptr && seq.step_stride == seq.n;
  const bool by_kernel = !suits_blas(kernels_, order_.recurrent_gates * h_, s_);
  Stretch there{flat_rows, flat_rows, true};
  if (whole_steps && by_kernel && call.masks.recurrent == nullptr) {
    // Of the first step in time y has nothing.
    if (call.id.reverse) there = {0, (flat_rows - seq.n) / kOuterDepth * kOuterDepth, true};
    if (!call.id.reverse) there.begin = std::min(round_up(seq.n, kOuterDepth), flat_rows);
  }
  if (begin >= there.begin && begin < there.end) return {begin, there.end, true};
  const std::int64_t until = begin < there.begin ? there.begin : flat_rows;
  return {begin, std::min(begin + gathered_rows(flat_rows), until), false};
}

// h_in = rows of h_{t-1}, times the mask [n][Sp] if there is one.
template <class T>
void Layers<T>::gather_h(const LayerBackward& call, const Memory& m, const Stretch& rows,
                         const T* mask) const {
  const Sequence& seq = call.sequence;
  const T* y = static_cast<const T*>(call.y.data);
  T* to = m.h_in;
  for_each_row(seq, rows.begin, rows.end, [&](std::int64_t s, std::int64_t r, std::int64_t) {
    const std::int64_t prev = call.id.reverse ? s + 1 : s - 1;
    const bool first = prev < 0 || prev >= seq.t || r >= seq.rows(prev);
    const T* from = first ? m.h[0] + r * sp_ : y + (seq.start(prev) + r * seq.row_stride) * call.y.ld;
    for (std::int64_t j = 0; j < s_; ++j) to[j] = mask == nullptr ? from[j] : from[j] * mask[r * sp_ + j];
    to += s_;
  });
}

template <class T>
void Layers<T>::input_gradient(const LayerBackward& call, const Memory& m, const T* da) const {
  const std::int64_t in = m.w.at.in;
  const T* masks = static_cast<const T*>(call.masks.input);
  const bool per_gate = masks != nullptr && call.masks.groups > 1;
  const Rows to = masks == nullptr ? call.dx : Rows{m.x_masked, in};
  // Where H is padded, gates apart take less time than sums over the padding.
  const int gates = per_gate || hp_ != h_ ? 1 : order_.gates;
  const std::int64_t flat_rows = call.sequence.total();
  bool add = call.accumulate_dx;
  for (int g = 0; g < order_.gates; g += gates) {
    const std::int64_t column = gates == 1 ? order_.input_column[g] * hp_ : 0;
    multiply({.in = da + column,
              .ld_in = order_.columns * hp_,
              .k = gates * h_,
              .packed = m.w.input_transposed + column * kernels_.lanes,
              .packed_k = order_.gates * hp_,
              .out = static_cast<T*>(to.data),
              .ld_out = to.ld,
              .width = in,
              .add = masks == nullptr ? add || g > 0 : !per_gate && g > 0},
             flat_rows, {0, (in + kernels_.lanes - 1) / kernels_.lanes}, threads());
    if (masks == nullptr || (!per_gate && g + gates < order_.gates)) continue;
    const T* mask = masks + (per_gate ? g * call.masks.group_rows * in : 0);
    for_each_row(call.sequence, [&](std::int64_t, std::int64_t r, std::int64_t flat) {
      T* dx = static_cast<T*>(call.dx.data) + flat * call.dx.ld;
      const T *from = m.x_masked + flat * in, *factor = mask + r * in;
      for (std::int64_t j = 0; j < in; ++j) dx[j] = (add ? dx[j] : T(0)) + from[j] * factor[j];
    });
    add = true;
  }
}

template class Layers<float>;
template class Layers<double>;

}  // namespace rondo::cpu
