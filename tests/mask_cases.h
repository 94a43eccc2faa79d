// The named cases of masks with holes, of resets and of checkpoints; option_cases.h has the list.
#pragma once

#include "option_case.h"

namespace rondo::testing {

// clang-format off
inline void append_masks(std::vector<OptionCase>& all) {
  const std::vector<OptionCase> more = {
      {"mask_full", "given, nothing skipped", kAllCells, [](Problem& p) { holes(p, everywhere); }},
      {"holes", "skipped steps in the middle", kAllCells, [](Problem& p) { holes(p, middle); }},
      {"holes_ends", "skipped at both ends", kAllCells, [](Problem& p) { holes(p, but_ends); }},
      {"padding_in_front", "rows that start late", kAllCells, [](Problem& p) { holes(p, behind_padding); }},
      {"masked_rows", "rows without a step: the final state is the initial one", kAllCells,
       [](Problem& p) { holes(p, some_rows); }},
      {"all_masked", "nothing to compute", kAllCells, [](Problem& p) {
         holes(p, nowhere);
         both_directions(p);
       }},
      {"holes_ragged", "lengths too, two layers, both directions", kAllCells, [](Problem& p) {
         holes(p, alternate);
         ragged(p);
         both_directions(p);
       }},
      {"holes_reverse", "from the last step to the first, batch-major, no initial state", kAllCells,
       [](Problem& p) {
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
      {"repeat_ragged", "repeated up to the length, batch-major, c too where it is an output", kAllCells,
       [](Problem& p) {
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
      {"reset_start", "the initial state replaced by zeros", kAllCells,
       [](Problem& p) { resets(p, at_start); }},
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
      {"resets_masked_rows", "rows that are cut and have no step: zeros at their end", kAllCells,
       [](Problem& p) {
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
      {"resets_dropout", "masks of dropout are those of the row, not of its pieces", kAllCells,
       [](Problem& p) {
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
      {"checkpoint_beyond", "one window longer than T", kAllCells,
       [](Problem& p) { p.config.checkpoint_every = 9; }},
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
