// The named cases of options: of cells, masks with holes, resets and checkpoints. One list for every element
// type, instruction set and backend, beside the shapes of cases.h.
#pragma once

#include "mask_cases.h"

namespace rondo::testing {

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
      {"preactivation_clip", "clipped, and not", kAllCells,
       [](Problem& p) { p.config.preactivation_clip = 0.4; }},
      {"cell_clip", "c clipped, and not", kLstmAlone, [](Problem& p) { p.config.cell_clip = 0.5; }},
      {"zoneout", "states kept", kAllCells, zoneout},
      {"zoneout_h", "h alone", kAllCells, [](Problem& p) { zoneout(p); p.config.zoneout_c = 0; }},
      {"zoneout_c", "c alone", kLstmAlone, [](Problem& p) { zoneout(p); p.config.zoneout_h = 0; }},
      {"dropconnect", "elements of R dropped", kAllCells, dropconnect},
      {"layer_norm", "all norms, their factors and shifts", kNormalised,
       [](Problem& p) { p.config.layer_norm = true; }},
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
      {"cell_sequence_stack", "c of the last layer alone, both directions, ragged, batch-major", kLstmAlone,
       [](Problem& p) {
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

// clang-format on

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

}  // namespace rondo::testing
