// The kernels behind run-time dispatch: one table of functions per instruction set and element type.
//
// Inside the backend a row of H units is stored in Hp = H rounded up to whole vectors, so that kernels
// load and store full vectors; padding lanes stay finite and, where they enter a sum, zero. h has S units, P
// where it is projected and else H, in Sp.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "core/cell_options.h"

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
// Layer normalisation of a row of `gates` times Hp, of which H live, and what its backward needs.
template <class T>
struct Norm {
  const T* factor;  // [gates][Hp]
  const T* shift;   // as factor; null: none
  int gates;
  std::int64_t h, hp;
  T epsilon;
};
// Rows of a sequence: x in place, or, backward, its gradient.
template <class T>
struct NormRows {
  Norm<T> norm;
  T* x;       // [rows] ld
  T* normal;  // [rows][gates * Hp], n of core/cells/layer_norm-inl.h; null: not wanted
  T* scale;   // [rows]; null likewise
  std::int64_t ld;
};
// In a step: of the sums R h and of c. Row r of those of a sequence: r * row_stride rows on.
template <class T>
struct StepNorms {
  Norm<T> h, c;
  T* sums;                  // [rows][G * Hp]: R h
  T *normal_h, *normal_c;   // of a sequence, G * Hp and Hp wide; null: not wanted
  T *scale_h, *scale_c;     // of a sequence
  T* dr;                    // backward: of a sequence, G * Hp wide: gradient of R h
  T* dnormalised;           // backward: of a sequence, Hp wide: gradient of what h reads instead of c
  T* dh;                    // backward: [rows][Hp], from its first phase to its second
  std::int64_t row_stride;  // of sequences
};

// One step of one layer, forward. Row r of a pointer p with stride ld is p + r * ld.
template <class T>
struct ForwardStep {
  const T* recurrent;    // packed R; its K is S
  std::int64_t k;        // S; 0: h_{t-1} is zero, no product
  const T* h_in;         // [rows][Sp], input of the product: h_{t-1}, masked under recurrent dropout
  std::int64_t group;    // elements between the gates' own h_in; 0: one for all gates
  T* gates;              // [rows] ld_gates: W x in; activations out when training
  const T* bias;         // [columns][Hp] in the order of gates; never null
  const T* h_prev;       // [rows][Sp], h_{t-1} unmasked
  T* h_next;             // [rows][Sp], h_t; not h_prev, but for one row of one vector
  T* c;                  // [rows][Hp], LSTM: c_{t-1} in, c_t out
  T* c_saved;            // [rows] ld_c_saved, LSTM training: c_t
  T* rh;                 // [rows][Hp], GRU reset_before: r h, from its first half to its second
  const T* recurrent_n;  // GRU reset_before: packed R_n, for the second half
  T* y;                  // [rows] ld_y, S wide; null: not wanted
  std::int64_t ld_gates, ld_c_saved, ld_y;
  const T* mask;            // [groups][rows][Sp] recurrent masks; null: none
  std::int64_t mask_group;  // elements between groups; 0 when shared
  T* h_masked_next;         // [groups][rows][Sp], h_t times mask; not h_in
  int groups;               // of masks
  std::int64_t h, hp, s, sp;
  int read_columns;  // of gates
  bool training;
  bool far;  // rows of the sequence are in no near cache: fetched while the product is made

  // Read by the general cells only.
  const CellOptions<T>* options;
  const T* peephole;             // [3][Hp]: i f o; null: none
  const T *update_h, *update_c;  // [rows] ld_update_*, S and H wide: of zoneout; null: as options say
  T* c_out;                      // [rows] ld_c_out, H wide: c_t; null: not wanted
  T* m;                          // [rows] ld_m, Hp wide: o f(c), what is projected
  const T* projection;           // packed W_hr, one gate wide; its K is H
  std::int64_t ld_update_h, ld_update_c, ld_c_out, ld_m;
  StepNorms<T> norms;
};

// A step of one row, in inference and without masks, of inputs so few that the cell multiplies them itself:
// gates is not read.
template <class T>
struct ForwardRow : ForwardStep<T> {
  const T* x;  // [inputs]
  std::int64_t inputs;
  const T* input;  // packed W, one gate wide; its K is inputs
};

// One step of one layer, backward: d h_t = dy + carry + (dA_{t+1} R) mask, then the cell's backward.
template <class T>
struct BackwardStep {
  const T* recurrent;  // packed transposed R: [K = gates * Hp][Sp], one gate wide
  std::int64_t k;      // 0: row has no later step, no product
  const T* da;         // [rows] ld_gates, product's input: the columns that R feeds, of the later step
  std::int64_t ld_da;  // of da
  T* gates;            // [rows] ld_gates: activations in, gradients out
  const T* h_prev;     // [rows] ld_h_prev, S wide, GRU: h_{t-1}; else null
  const T* y;          // [rows] ld_y, S wide, SimpleRNN: h_t; else null
  const T* c_prev;     // [rows] ld_c_prev, LSTM
  const T* c;          // [rows] ld_c, LSTM: c_t
  const T* dy;         // [rows] ld_dy, S wide; null: zero
  std::int64_t ld_gates, ld_h_prev, ld_y, ld_c_prev, ld_c, ld_dy;
  T* carry;                 // [rows][Sp]: d h_t that does not pass through R; in and out
  T* dc;                    // [rows][Hp], LSTM: in and out
  const T* mask;            // [groups][rows][Sp]; null: none
  std::int64_t mask_group;  // elements between groups; 0 when shared
  int segments;             // parts of K, a gate wide, with a mask each: 1, or all under per-gate masks
  T* dh0;                   // [rows][Sp], finish only: d loss / d h_0
  std::int64_t h, hp, s, sp;
  int read_columns;  // as in ForwardStep, and far too
  bool far;

  // As in ForwardStep.
  const CellOptions<T>* options;
  const T* peephole;
  const T *update_h, *update_c;
  const T* dc_out;  // [rows] ld_dc_out, H wide: d loss / d c_t from above; null: zero
  T* dpeephole;     // [rows][3][Hp], added to
  T* dm;            // [rows] ld_dm, Sp wide: gradient of the projection, from its half to the cell's
  std::int64_t ld_update_h, ld_update_c, ld_dc_out, ld_dm;
  StepNorms<T> norms;
};

// out [rows][width] = in [rows][k] * B, or that added to it. B: k rows of a matrix of packed_k rows that is
// packed one gate wide, from the first of them on.
template <class T>
struct Product {
  const T* in;
  std::int64_t ld_in, k;
  const T* packed;
  std::int64_t packed_k;
  T* out;
  std::int64_t ld_out, width;
  bool add;
};

// c [columns of a][columns of b] += a transposed times b: outer products of their rows, summed over `rows`.
// Every element is a sum in the order of rows, whatever block of c a call is for: kOuterDepth of them are
// added up, then added to c. So a call for a multiple of them can be followed by one for the rest.
constexpr std::int64_t kOuterDepth = 128;
template <class T>
struct OuterProducts {
  const T* a;
  std::int64_t ld_a;
  const T* b;
  std::int64_t ld_b, rows;
  T* c;
  std::int64_t ld_c;
};
struct Block {
  std::int64_t row_begin, row_end, column_begin, column_end;
};

// A row of a mask: unit j is 0 where its number of 24 bits is below `below`, else kept. The numbers are those
// of core/stack.h's MaskDraw.
struct MaskRow {
  std::array<std::uint32_t, 2> key;
  std::uint32_t stream, t, n, below;
  double kept;
};

template <class T>
struct Kernels {
  std::int64_t lanes;     // units a vector
  std::int64_t row_tile;  // rows worked on at once by the widest product; work is split at its multiples
  void (*product)(const Product<T>&, const Range&);
  void (*add_outer_products)(const OuterProducts<T>&, const Block& of_c);
  using Forward = void (*)(const ForwardStep<T>&, const Range&);
  using Backward = void (*)(const BackwardStep<T>&, const Range&);
  // Phases of a step. A second there is under reset_before, a projection and layer normalisation, else null.
  struct Cell {
    Forward forward, forward_second;
    Backward backward, backward_second;
    void (*forward_row)(const ForwardRow<T>&, const Range&) = nullptr;  // null: none
  };
  Backward finish;  // dh0 = carry + (dA R) mask, after a row's first step
  Cell simple_tanh, simple_relu, lstm, gru_after, gru_before;
  // With CellOptions. Where h is projected, the second phase forward and the first backward are of S units.
  Cell simple_general, lstm_general, lstm_projected, gru_after_general, gru_before_general;
  T (*activate)(const CellFunction<T>&, T);  // as they do
  // With layer normalisation. The second phases, both of H units, need whole rows.
  Cell lstm_norm, gru_norm;
  void (*draw_mask_row)(const MaskRow&, T* to, std::int64_t width);
  void (*normalise)(const NormRows<T>&, std::int64_t row_begin, std::int64_t row_end);
  void (*normalise_backward)(const NormRows<T>&, std::int64_t row_begin, std::int64_t row_end);
};

// Each file of kernels fills in its own, by a function for each instruction set, compiled for that set; null
// where the build lacks it.
using KernelTables = std::tuple<Kernels<float>, Kernels<double>>;
using FillFunction = void (*)(KernelTables&);
extern const FillFunction kFillSimple[], kFillLstm[], kFillGru[], kFillNorms[], kFillMasks[],
    kFillOuter[];
#define RONDO_EACH_ISA(fill) \
  { HWY_CHOOSE_AVX3(fill), HWY_CHOOSE_AVX2(fill), HWY_CHOOSE_NEON(fill), HWY_CHOOSE_FALLBACK(fill) }

// The kernels of the instruction set in force: the best of this machine, or RONDO_ISA
// (scalar, avx2, avx512, neon), or what set_isa chose.
template <class T>
const Kernels<T>& kernels();

std::vector<std::string> available_isas();  // of this machine and build, best first
std::string isa_name();                     // in force
// For tests: forces one for plans made from now on; "" is the best. False when it is not available.
bool set_isa(const std::string& name);

}  // namespace rondo::cpu
