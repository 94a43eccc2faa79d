// The kernels behind run-time dispatch: one table of functions per instruction set and element type.
//
// Inside the backend a row of H units is stored in Hp = H rounded up to whole vectors, so that kernels
// load and store full vectors; padding lanes stay finite and, where they enter a sum, zero.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace rondo::cpu {

// Which rows and which vector-wide blocks of units a call works on, [begin, end).
struct Range {
  std::int64_t row_begin, row_end, block_begin, block_end;
};

// A packed matrix B [K, G gates, Hp]: blocks of `lanes` units, each [K][G][lanes], so that one broadcast
// of an input element feeds all gates of a block.
//
// A row of gates: core/gate_order.h, columns Hp wide.
//
// One step of one layer, forward. Row r of a pointer p with stride ld is p + r * ld.
template <class T>
struct ForwardStep {
  const T* recurrent;       // packed R; its K is H
  std::int64_t k;           // H
  const T* h_in;            // [rows][Hp], input of the product: h_{t-1}, masked under recurrent dropout
  std::int64_t group;       // elements between the gates' own h_in; 0: one for all gates
  T* gates;                 // [rows] ld_gates: W x in; activations out when training
  const T* bias;            // [columns][Hp] in the order of gates; never null
  const T* h_prev;          // [rows][Hp], h_{t-1} unmasked
  T* h_next;                // [rows][Hp], h_t; not h_prev
  T* c;                     // [rows][Hp], LSTM: c_{t-1} in, c_t out
  T* c_saved;               // [rows] ld_c_saved, LSTM training: c_t
  T* rh;                    // [rows][Hp], GRU reset_before: r h, from its first half to its second
  const T* recurrent_n;     // GRU reset_before: packed R_n, for the second half
  T* y;                     // [rows] ld_y, H wide; null: not wanted
  std::int64_t ld_gates, ld_c_saved, ld_y;
  const T* mask;            // [groups][rows][Hp] recurrent masks; null: none
  std::int64_t mask_group;  // elements between groups; 0 when shared
  T* h_masked_next;         // [groups][rows][Hp], h_t times mask; not h_in
  int groups;               // of masks
  std::int64_t h, hp;       // H, Hp
  bool training;
};

// One step of one layer, backward: d h_t = dy + carry + (dA_{t+1} R) mask, then the cell's backward.
template <class T>
struct BackwardStep {
  const T* recurrent;       // packed transposed R: [K = gates * Hp][Hp], one gate wide
  std::int64_t k;           // 0: row has no later step, no product
  const T* da;              // [rows] ld_gates, product's input: the columns that R feeds, of the later step
  T* gates;                 // [rows] ld_gates: activations in, gradients out
  const T* h_prev;          // [rows] ld_h_prev, H wide, h_{t-1}
  const T* y;               // [rows] ld_y, H wide, h_t (SimpleRNN)
  const T* c_prev;          // [rows] ld_c_prev, LSTM
  const T* c;               // [rows] ld_c, LSTM: c_t
  const T* dy;              // [rows] ld_dy, H wide; null: zero
  std::int64_t ld_gates, ld_h_prev, ld_y, ld_c_prev, ld_c, ld_dy;
  T* carry;                 // [rows][Hp]: d h_t that does not pass through R; in and out
  T* dc;                    // [rows][Hp], LSTM: in and out
  const T* mask;            // [groups][rows][Hp]; null: none
  std::int64_t mask_group;  // elements between groups; 0 when shared
  int segments;             // parts of K, a gate wide, with a mask each: 1, or all under per-gate masks
  T* dh0;                   // [rows][Hp], finish only: d loss / d h_0
  std::int64_t h, hp;       // H, Hp
};

// out [rows][columns] = in [rows][k] * B, B packed one gate wide; columns is a multiple of lanes.
template <class T>
struct Product {
  const T* in;
  std::int64_t ld_in, k;
  const T* packed;
  T* out;
  std::int64_t ld_out;
};

template <class T>
struct Kernels {
  std::int64_t lanes;     // units a vector
  std::int64_t row_tile;  // rows worked on at once by the widest product; work is split at its multiples
  void (*product)(const Product<T>&, const Range&);
  using Forward = void (*)(const ForwardStep<T>&, const Range&);
  using Backward = void (*)(const BackwardStep<T>&, const Range&);
  // Phases of a step; second is null but for the GRU with reset_before.
  struct Cell {
    Forward forward, forward_second;
    Backward backward, backward_second;
  };
  Backward finish;        // dh0 = carry + (dA R) mask, after a row's first step
  Cell simple_tanh, simple_relu, lstm, gru_after, gru_before;
};

// Each file of kernels fills in its own, by a function for each instruction set, compiled for that set; null
// where the build lacks it.
using KernelTables = std::tuple<Kernels<float>, Kernels<double>>;
using FillFunction = void (*)(KernelTables&);
extern const FillFunction kFillSimple[], kFillLstm[], kFillGru[];
#define RONDO_EACH_ISA(fill) \
  {HWY_CHOOSE_AVX3(fill), HWY_CHOOSE_AVX2(fill), HWY_CHOOSE_NEON(fill), HWY_CHOOSE_FALLBACK(fill)}

// The kernels of the instruction set in force: the best of this machine, or RONDO_ISA
// (scalar, avx2, avx512, neon), or what set_isa chose.
template <class T>
const Kernels<T>& kernels();

std::vector<std::string> available_isas();  // of this machine and build, best first
std::string isa_name();                     // in force
// For tests: forces one for plans made from now on; "" is the best. False when it is not available.
bool set_isa(const std::string& name);

}  // namespace rondo::cpu
