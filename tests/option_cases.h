// The named cases of options: of cells, masks with holes, resets and checkpoints. One list for every element type,
// instruction set and backend, beside the shapes of cases.h.
#pragma once

#include <string_view>

#include "cases.h"

namespace rondo::testing {

// The cells that have an option, by their names in cell_choices().
inline constexpr std::string_view kAllCells = "tanh relu lstm gru_after gru_before", kLstmAlone = "lstm",
                                  kNormalised = "lstm gru_after";

struct OptionCase {
  std::string name;
  const char* reason;
  std::string_view cells;
  void (*set)(Problem&);
  bool has(const CellChoice& cell) const {
    return (" " + std::string(cells) + " ").find(" " + std::string(cell.name) + " ") != std::string::npos;
  }
};

// Which steps a mask leaves out, and where resets are; t of T steps, row of N.
using Pattern = bool (*)(const Problem& p, std::int64_t t, std::int64_t row);
inline std::vector<std::uint8_t> flags_where(const Problem& p, Pattern set) {
  std::vector<std::uint8_t> flags;
  for (std::int64_t i = 0; i < p.t * p.n; ++i) flags.push_back(set(p, i / p.n, i % p.n) ? 1 : 0);
  return flags;
}
// The patterns of a mask say where it is set, which is where a step is not skipped.
inline bool middle(const Problem& p, std::int64_t t, std::int64_t row) {
  return t == 0 || t == p.t - 1 || (t + row) % 3 != 0;
}
inline bool but_ends(const Problem& p, std::int64_t t, std::int64_t row) { return t > row % 3 && t < p.t - 1 - row % 2; }
inline bool behind_padding(const Problem& p, std::int64_t t, std::int64_t row) { return t >= row % p.t; }
inline bool some_rows(const Problem& p, std::int64_t t, std::int64_t row) {
  return row != 0 && row != p.n / 2 && middle(p, t, row);
}
inline bool alternate(const Problem&, std::int64_t t, std::int64_t row) { return (t + row) % 2 == 0; }
inline bool everywhere(const Problem&, std::int64_t, std::int64_t) { return true; }
inline bool nowhere(const Problem&, std::int64_t, std::int64_t) { return false; }
// Resets.
inline bool at_start(const Problem&, std::int64_t t, std::int64_t row) { return t == 0 && row % 2 == 0; }
inline bool at_end(const Problem& p, std::int64_t t, std::int64_t row) { return t == p.t - 1 && row % 2 == 0; }
inline bool scattered(const Problem&, std::int64_t t, std::int64_t row) { return (2 * t + row) % 5 == 0; }

// Several settings at once.
inline void both_directions(Problem& p) {
  p.config.direction = Direction::kBidirectional;
  p.config.num_layers = 2;
}
inline void ragged(Problem& p) { p.lengths = lengths_of(Ragged::kZeros, p.t, p.n); }
inline void dropout(Problem& p) {
  RnnConfig& c = p.config;
  c.dropout = c.recurrent_dropout = 0.3;
  p.input_masks = p.recurrent_masks = true;
  c.layer_dropout = c.num_layers > 1 ? 0.3 : 0;
  p.layer_masks = c.num_layers > 1;
}
inline void zoneout(Problem& p) {
  p.config.zoneout_h = 0.25;
  p.config.zoneout_c = p.config.cell == Cell::kLstm ? 0.5 : 0;
  p.zoneout_masks = true;
}
inline void dropconnect(Problem& p) {
  p.config.dropconnect = 0.3;
  p.dropconnect_masks = true;
}
inline void holes(Problem& p, Pattern set) { p.mask = flags_where(p, set); }
inline void resets(Problem& p, Pattern set) { p.resets = flags_where(p, set); }
inline void repeat_outputs(Problem& p) { p.config.masked_outputs = MaskedOutputs::kRepeat; }

template <Activation kKind>
void every_function(Problem& p) {
  using F = ActivationFunction;
  F f = kKind;
  if (kKind == Activation::kHardSigmoid) f = F(kKind, 1.0 / 6, 0.5);
  if (kKind == Activation::kAffine) f = F(kKind, 0.5, 0.25);
  if (kKind == Activation::kElu || kKind == Activation::kThresholdedRelu) f = F(kKind, 0.3);
  if (kKind == Activation::kScaledTanh) f = F(kKind, 1.7, 0.6);
  p.config.activation = p.config.gate_activation = p.config.output_activation = f;
  p.t = 3;  // unbounded gates multiply from step to step
}
template <std::int64_t kH, std::int64_t kP>
void project(Problem& p) {
  p.config.hidden_size = kH;
  p.config.projection_size = kP;
}

inline void append_cell_options(std::vector<OptionCase>& all);
inline void append_combinations(std::vector<OptionCase>& all);
inline void append_masks(std::vector<OptionCase>& all);
inline void append_resets_and_checkpoints(std::vector<OptionCase>& all);

inline const std::vector<OptionCase>& option_cases() {
  static const std::vector<OptionCase> all = [] {
    std::vector<OptionCase> cases;
    append_cell_options(cases);
    append_combinations(cases);
    append_masks(cases);
    append_resets_and_checkpoints(cases);
    return cases;
  }();
  return all;
}

inline Problem problem_of(const OptionCase& c, const CellChoice& cell, DType dtype) {
  Problem p;
  p.config = config_of(cell, dtype);
  p.config.input_size = 5;
  p.config.hidden_size = 9;
  p.t = 6;
  p.n = 5;
  c.set(p);
  return p;
}

// clang-format off
inline void append_cell_options(std::vector<OptionCase>& all) {
  using A = Activation;
  const std::vector<OptionCase> more = {
      {"all_tanh", "gates by tanh", kAllCells, every_function<A::kTanh>},
      {"all_relu", "gates by relu", kAllCells, every_function<A::kRelu>},
      {"all_sigmoid", "candidates by sigmoid", kAllCells, every_function<A::kSigmoid>},
      {"all_hard_sigmoid", "two kinks", kAllCells, every_function<A::kHardSigmoid>},
      {"all_affine", "alpha and beta", kAllCells, every_function<A::kAffine>},
      {"all_softsign", "a derivative by its value", kAllCells, every_function<A::kSoftsign>},
      {"all_softplus", "a logarithm", kAllCells, every_function<A::kSoftplus>},
      {"all_elu", "alpha other than 1", kAllCells, every_function<A::kElu>},
      {"all_leaky_relu", "alpha on the negative side", kAllCells, every_function<A::kLeakyRelu>},
      {"all_scaled_tanh", "two scales", kAllCells, every_function<A::kScaledTanh>},
      {"all_thresholded_relu", "a jump", kAllCells, every_function<A::kThresholdedRelu>},
      {"functions", "three different ones, ragged, both directions", kAllCells, [](Problem& p) {
         p.config.gate_activation = A::kHardSigmoid;
         p.config.activation = A::kSoftsign;
         p.config.output_activation = ActivationFunction(A::kScaledTanh, 1.5, 0.5);
         both_directions(p);
         ragged(p);
       }},
      {"peephole", "gates that see c", kLstmAlone, [](Problem& p) { p.config.peephole = true; }},
      {"input_forget", "f = 1 - i", kLstmAlone, [](Problem& p) { p.config.input_forget = true; }},
      {"projection", "P below a vector", kLstmAlone, project<9, 3>},
      {"projection_one", "P = 1", kLstmAlone, project<6, 1>},
      {"projection_lanes", "P whole vectors, H one above", kLstmAlone, project<33, 16>},
      {"projection_tail", "P one above whole vectors", kLstmAlone, project<40, 17>},
      {"preactivation_clip", "clipped, and not", kAllCells, [](Problem& p) { p.config.preactivation_clip = 0.4; }},
      {"cell_clip", "c clipped, and not", kLstmAlone, [](Problem& p) { p.config.cell_clip = 0.5; }},
      {"zoneout", "states kept", kAllCells, zoneout},
      {"zoneout_h", "h alone", kAllCells, [](Problem& p) { zoneout(p); p.config.zoneout_c = 0; }},
      {"zoneout_c", "c alone", kLstmAlone, [](Problem& p) { zoneout(p); p.config.zoneout_h = 0; }},
      {"dropconnect", "elements of R dropped", kAllCells, dropconnect},
      {"layer_norm", "all norms, their factors and shifts", kNormalised, [](Problem& p) { p.config.layer_norm = true; }},
      {"layer_norm_one", "of a single unit", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         p.config.hidden_size = 1;
         // By which R h depends on more of h than its sign: all its gates are multiples of one number.
         p.config.layer_norm_epsilon = 1;
       }},
      {"layer_norm_tail", "one above whole vectors, another epsilon", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         p.config.layer_norm_epsilon = 0.01;
         p.config.hidden_size = 33;
       }},
      {"cell_sequence", "every c", kLstmAlone, [](Problem& p) { p.config.cell_sequence = true; }},
  };
  all.insert(all.end(), more.begin(), more.end());
}

inline void append_combinations(std::vector<OptionCase>& all) {
  const std::vector<OptionCase> more = {
      {"peephole_stack", "ragged, both directions, f = 1 - i", kLstmAlone, [](Problem& p) {
         p.config.peephole = p.config.input_forget = true;
         both_directions(p);
         ragged(p);
       }},
      {"projection_stack", "layers that read P, both directions, ragged", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         both_directions(p);
         ragged(p);
       }},
      {"projection_mul", "merged by product, the last outputs, batch-major", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         both_directions(p);
         p.config.merge = Merge::kMul;
         p.config.outputs = Outputs::kLast;
         p.config.layout = Layout::kBatchMajor;
       }},
      {"projection_dropout", "masks on h of P, a mask a gate", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         p.config.gate_masks = GateMasks::kPerGate;
         p.config.num_layers = 2;
         dropout(p);
         dropconnect(p);
       }},
      {"projection_zoneout", "h of P, c of H", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         p.config.peephole = p.config.cell_sequence = true;
         zoneout(p);
       }},
      {"clips", "both, with peepholes", kLstmAlone, [](Problem& p) {
         p.config.preactivation_clip = 0.6;
         p.config.cell_clip = 0.5;
         p.config.peephole = true;
       }},
      {"clipped_relu", "a kink inside the clip", kAllCells, [](Problem& p) {
         p.config.activation = Activation::kRelu;
         p.config.preactivation_clip = 0.5;
       }},
      {"zoneout_stack", "both directions, ragged, batch-major", kAllCells, [](Problem& p) {
         both_directions(p);
         zoneout(p);
         ragged(p);
         p.config.layout = Layout::kBatchMajor;
       }},
      {"every_dropout", "input, state, layer, zoneout and R at once", kAllCells, [](Problem& p) {
         both_directions(p);
         dropout(p);
         zoneout(p);
         dropconnect(p);
         ragged(p);
       }},
      {"layer_norm_dropout", "norms of masked products", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         p.config.gate_masks = GateMasks::kPerGate;
         p.config.num_layers = 2;
         dropout(p);
         zoneout(p);
         dropconnect(p);
       }},
      {"layer_norm_stack", "ragged, both directions, one bias", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         p.config.bias = Bias::kSingle;
         both_directions(p);
         ragged(p);
       }},
      {"layer_norm_peephole", "c itself seen by the gates, clipped, no bias", kLstmAlone, [](Problem& p) {
         p.config.layer_norm = p.config.peephole = p.config.cell_sequence = true;
         p.config.cell_clip = 0.6;
         p.config.bias = Bias::kNone;
       }},
      {"layer_norm_forget", "f = 1 - i under norms", kLstmAlone, [](Problem& p) {
         p.config.layer_norm = p.config.input_forget = true;
       }},
      {"cell_sequence_stack", "c of the last layer alone, both directions, ragged, batch-major", kLstmAlone, [](Problem& p) {
         p.config.cell_sequence = true;
         both_directions(p);
         p.config.merge = Merge::kSum;
         ragged(p);
         p.config.layout = Layout::kBatchMajor;
       }},
      {"cell_sequence_last", "every c beside the last output", kLstmAlone, [](Problem& p) {
         p.config.cell_sequence = true;
         p.config.outputs = Outputs::kLast;
         ragged(p);
       }},
      {"options_unaligned", "arrays off alignment", kLstmAlone, [](Problem& p) {
         p.config.peephole = p.config.cell_sequence = true;
         project<17, 8>(p);
         zoneout(p);
         dropconnect(p);
         holes(p, middle);
         resets(p, scattered);
         p.one_element_off = true;
       }},
  };
  all.insert(all.end(), more.begin(), more.end());
}

inline void append_masks(std::vector<OptionCase>& all) {
  const std::vector<OptionCase> more = {
      {"mask_full", "given, nothing skipped", kAllCells, [](Problem& p) { holes(p, everywhere); }},
      {"holes", "skipped steps in the middle", kAllCells, [](Problem& p) { holes(p, middle); }},
      {"holes_ends", "skipped at both ends", kAllCells, [](Problem& p) { holes(p, but_ends); }},
      {"padding_in_front", "rows that start late", kAllCells, [](Problem& p) { holes(p, behind_padding); }},
      {"masked_rows", "rows without a step: the final state is the initial one", kAllCells, [](Problem& p) { holes(p, some_rows); }},
      {"all_masked", "nothing to compute", kAllCells, [](Problem& p) {
         holes(p, nowhere);
         both_directions(p);
       }},
      {"holes_ragged", "lengths too, two layers, both directions", kAllCells, [](Problem& p) {
         holes(p, alternate);
         ragged(p);
         both_directions(p);
       }},
      {"holes_reverse", "from the last step to the first, batch-major, no initial state", kAllCells, [](Problem& p) {
         holes(p, but_ends);
         p.config.direction = Direction::kReverse;
         p.config.layout = Layout::kBatchMajor;
         p.initial_state = false;
       }},
      {"holes_last", "the last output, of each direction's own last step", kAllCells, [](Problem& p) {
         holes(p, some_rows);
         both_directions(p);
         p.config.outputs = Outputs::kLast;
       }},
      {"repeat", "repeated outputs, zeros before the first", kAllCells, [](Problem& p) {
         holes(p, but_ends);
         repeat_outputs(p);
       }},
      {"repeat_ragged", "repeated up to the length, batch-major, c too where it is an output", kAllCells, [](Problem& p) {
         holes(p, alternate);
         ragged(p);
         repeat_outputs(p);
         p.config.cell_sequence = p.config.cell == Cell::kLstm;
         p.config.layout = Layout::kBatchMajor;
       }},
      {"repeat_mul", "a product of outputs that two directions repeat", kAllCells, [](Problem& p) {
         holes(p, some_rows);
         repeat_outputs(p);
         both_directions(p);
         p.config.merge = Merge::kMul;
         p.config.cell_sequence = p.config.cell == Cell::kLstm;
       }},
      {"repeat_apart", "two outputs", kAllCells, [](Problem& p) {
         holes(p, but_ends);
         repeat_outputs(p);
         both_directions(p);
         p.config.merge = Merge::kNone;
       }},
      {"repeat_last", "the last output is no repetition", kAllCells, [](Problem& p) {
         holes(p, but_ends);
         repeat_outputs(p);
         p.config.outputs = Outputs::kLast;
       }},
      {"holes_dropout", "masks of dropout stay with their rows and steps", kAllCells, [](Problem& p) {
         holes(p, alternate);
         both_directions(p);
         dropout(p);
         zoneout(p);
         dropconnect(p);
       }},
      {"holes_per_sequence", "a mask between layers for all steps, batch-major", kAllCells, [](Problem& p) {
         holes(p, middle);
         p.config.num_layers = 3;
         p.config.layout = Layout::kBatchMajor;
         p.config.layer_masks = LayerMasks::kPerSequence;
         dropout(p);
       }},
      {"holes_options", "with projection, peepholes and every c", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         p.config.peephole = p.config.cell_sequence = true;
         both_directions(p);
         holes(p, middle);
       }},
      {"holes_norm", "with norms", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         holes(p, middle);
       }},
  };
  all.insert(all.end(), more.begin(), more.end());
}

inline void append_resets_and_checkpoints(std::vector<OptionCase>& all) {
  const std::vector<OptionCase> more = {
      {"reset_start", "the initial state replaced by zeros", kAllCells, [](Problem& p) { resets(p, at_start); }},
      {"reset_start_reverse", "the final state is what crosses before step 0", kAllCells, [](Problem& p) {
         resets(p, at_start);
         p.config.direction = Direction::kReverse;
       }},
      {"reset_end", "the last step alone", kAllCells, [](Problem& p) { resets(p, at_end); }},
      {"reset_every", "no recurrence is left", kAllCells, [](Problem& p) {
         resets(p, everywhere);
         both_directions(p);
       }},
      {"reset_none", "given, none set", kAllCells, [](Problem& p) { resets(p, nowhere); }},
      {"resets", "two layers, both directions", kAllCells, [](Problem& p) {
         resets(p, scattered);
         both_directions(p);
       }},
      {"resets_ragged", "beyond a row's length too, batch-major", kAllCells, [](Problem& p) {
         resets(p, scattered);
         ragged(p);
         both_directions(p);
         p.config.layout = Layout::kBatchMajor;
       }},
      {"resets_last", "last outputs", kAllCells, [](Problem& p) {
         resets(p, at_end);
         both_directions(p);
         p.config.outputs = Outputs::kLast;
       }},
      {"resets_in_holes", "a cut where the step is skipped, at the end too", kAllCells, [](Problem& p) {
         holes(p, but_ends);
         resets(p, scattered);
         both_directions(p);
         ragged(p);
       }},
      {"resets_masked_rows", "rows that are cut and have no step: zeros at their end", kAllCells, [](Problem& p) {
         holes(p, some_rows);
         resets(p, at_start);
       }},
      {"resets_repeat", "nothing is repeated across a cut", kAllCells, [](Problem& p) {
         holes(p, alternate);
         resets(p, scattered);
         repeat_outputs(p);
         both_directions(p);
         p.config.cell_sequence = p.config.cell == Cell::kLstm;
       }},
      {"resets_dropout", "masks of dropout are those of the row, not of its pieces", kAllCells, [](Problem& p) {
         resets(p, scattered);
         holes(p, middle);
         both_directions(p);
         dropout(p);
         zoneout(p);
         dropconnect(p);
       }},
      {"resets_options", "with projection, peepholes and every c", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         p.config.peephole = p.config.cell_sequence = true;
         resets(p, scattered);
       }},
      {"checkpoint_1", "every state kept", kAllCells, [](Problem& p) { p.config.checkpoint_every = 1; }},
      {"checkpoint_3", "windows that fit T, three layers", kAllCells, [](Problem& p) {
         p.config.checkpoint_every = 3;
         p.config.num_layers = 3;
       }},
      {"checkpoint_4", "a shorter last window, reverse, batch-major", kAllCells, [](Problem& p) {
         p.config.checkpoint_every = 4;
         p.config.direction = Direction::kReverse;
         p.config.layout = Layout::kBatchMajor;
       }},
      {"checkpoint_beyond", "one window longer than T", kAllCells, [](Problem& p) { p.config.checkpoint_every = 9; }},
      {"checkpoint_ragged", "ragged, the last output", kAllCells, [](Problem& p) {
         p.config.checkpoint_every = 2;
         p.config.outputs = Outputs::kLast;
         ragged(p);
       }},
      {"checkpoint_dropout", "the same masks once more", kAllCells, [](Problem& p) {
         p.config.checkpoint_every = 2;
         p.config.num_layers = 2;
         dropout(p);
         zoneout(p);
         dropconnect(p);
       }},
      {"checkpoint_cuts", "holes and resets at the borders of windows", kAllCells, [](Problem& p) {
         p.config.checkpoint_every = 2;
         p.config.num_layers = 2;
         holes(p, middle);
         resets(p, scattered);
       }},
      {"checkpoint_options", "projection, peepholes, every c", kLstmAlone, [](Problem& p) {
         project<9, 4>(p);
         p.config.peephole = p.config.cell_sequence = true;
         p.config.checkpoint_every = 4;
       }},
      {"checkpoint_norm", "norms once more", kNormalised, [](Problem& p) {
         p.config.layer_norm = true;
         p.config.checkpoint_every = 4;
       }},
  };
  all.insert(all.end(), more.begin(), more.end());
}
// clang-format on

}  // namespace rondo::testing
