// The network of a shape.
#pragma once

#include "bench/shape_options.h"
#include "rondo/rondo.h"

namespace bench {

inline rondo::RnnConfig config_of(const ShapeOptions& options) {
  rondo::RnnConfig config;
  config.cell = options.cell == "lstm"  ? rondo::Cell::kLstm
                : options.cell == "gru" ? rondo::Cell::kGru
                                        : rondo::Cell::kSimpleRnn;
  config.input_size = options.i;
  config.hidden_size = options.h;
  config.num_layers = options.layers;
  if (options.bidirectional) config.direction = rondo::Direction::kBidirectional;
  using enum rondo::DType;
  for (const rondo::DType dtype : {kF32, kF64, kF16, kBf16}) {
    if (options.dtype == to_string(dtype)) config.dtype = dtype;
  }
  if (options.math == "tf32") config.math_mode = rondo::MathMode::kTf32;
  return config;
}

}  // namespace bench
