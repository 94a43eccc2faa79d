// How a cell's gates lie in a backend's memory, the same on every device.
//
// Gates are canonical (LSTM i f g o, GRU r z n). A row of gates, as training saves it, has columns one gate
// wide: LSTM i f g o; SimpleRNN one; GRU n r z and a fourth, R_n h + b_hn (reset_after) or r h
// (reset_before), so that what W feeds (n r z) and what R feeds (r z and the fourth) are both contiguous.
#pragma once

#include "rondo/types.h"

namespace rondo {

struct GateOrder {
  int gates;                // G
  int columns;              // of a row of gates in training
  int recurrent_gates;      // fed by R at once: G, or 2 under reset_before, whose n comes after r
  int input_column[4];      // of a gate, as fed by W
  int recurrent_column[4];  // of a gate, where the gradient of what R feeds lies
};

inline constexpr GateOrder kSimpleGates{1, 1, 1, {0}, {0}};
inline constexpr GateOrder kLstmGates{4, 4, 4, {0, 1, 2, 3}, {0, 1, 2, 3}};
inline constexpr GateOrder kGruAfterGates{3, 4, 3, {1, 2, 0}, {1, 2, 3}};
inline constexpr GateOrder kGruBeforeGates{3, 4, 2, {1, 2, 0}, {1, 2, 0}};

inline const GateOrder& gate_order(const RnnConfig& config) {
  switch (config.cell) {
    case Cell::kLstm:
      return kLstmGates;
    case Cell::kGru:
      return config.gru_reset == GruReset::kAfter ? kGruAfterGates : kGruBeforeGates;
    case Cell::kSimpleRnn:
      break;
  }
  return kSimpleGates;
}

// Gates that lie side by side both in a parameter and in a row of gates: one product serves them.
struct GateRun {
  int gate, count, column;
};
struct GateRuns {
  GateRun run[4];
  int count = 0;
  const GateRun* begin() const { return run; }
  const GateRun* end() const { return run + count; }
};
// apart: each gate by itself, since its rows are padded or its operand is masked by itself.
inline GateRuns gate_runs(const int* column, int gates, bool apart) {
  GateRuns runs;
  for (int g = 0; g < gates; ++g) {
    GateRun* last = runs.count > 0 ? &runs.run[runs.count - 1] : nullptr;
    if (!apart && last != nullptr && column[g] == last->column + last->count) {
      ++last->count;
    } else {
      runs.run[runs.count++] = {g, 1, column[g]};
    }
  }
  return runs;
}

}  // namespace rondo
