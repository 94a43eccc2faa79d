// The canonical parameters: PyTorch's names, shapes and order, in one flat array.
#pragma once

#include "rondo/tensor.h"

namespace rondo {

// One tensor of the flat array. Gates are stacked along the first size: LSTM i f g o, GRU r z n.
//   weight_ih_l{k}[_reverse] [G*H, in]    weight_hh_l{k}[_reverse] [G*H, H or P]
//   bias_ih_l{k}[_reverse]   [G*H]        bias_hh_l{k}[_reverse]   [G*H]
//   weight_ch_l{k}[_reverse] [3*H], peephole, of i f o
//   norm_ih_l{k}[_reverse]   [G*H]        norm_hh_l{k}[_reverse]   [G*H], layer_norm: of W x and of R h
//   norm_c_l{k}[_reverse]    [H]          norm_c_bias_l{k}[_reverse] [H], of an LSTM's c
//   weight_hr_l{k}[_reverse] [P, H], projection
// Row-major, out by in. Order: layer by layer, forward before reverse, in the order above.
struct ParameterInfo {
  std::string name;
  Shape shape;
  std::int64_t offset = 0;  // in elements, from the start of the flat array
};
// Throws InvalidArgument when the configuration is not valid.
RONDO_API std::vector<ParameterInfo> parameter_layout(const RnnConfig& config);
RONDO_API std::int64_t parameter_count(const RnnConfig& config);

enum class Initializer : std::uint8_t {
  kPyTorch,  // everything uniform in +-1/sqrt(H)
  kKeras,    // W glorot_uniform a layer and direction, R orthogonal, biases 0, LSTM's forget bias 1
};
// Under both, factors of layer normalisation are 1 and its bias 0, and under kKeras weight_ch is 0.
// Fills parameters ([parameter_count], config.dtype, on the host). The same seed gives the same values on
// every machine (kKeras: to within libm's rounding), for the other types the rounded values of f64.
RONDO_API void initialize(const RnnConfig& config, Initializer how, std::uint64_t seed,
                          TensorView parameters);

}  // namespace rondo
