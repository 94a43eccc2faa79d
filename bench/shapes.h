// The named shapes of rondo-bench, in sets, each with the reason it is measured.
#pragma once

#include <cstdint>

#include "bench/shape_options.h"

namespace bench {

struct NamedShape {
  const char* set;
  const char* name;
  const char* phase;
  std::int64_t t, n, i, h, layers;
  bool bidirectional;
  const char* reason;
  const char* cell = nullptr;  // the one that it is run with; null: every cell
};

// The options with the sizes of a shape, and with its cell where it has one.
inline ShapeOptions with_shape(ShapeOptions options, const NamedShape& shape) {
  if (shape.cell != nullptr) options.cell = shape.cell;
  options.phase = shape.phase;
  options.t = shape.t;
  options.n = shape.n;
  options.i = shape.i;
  options.h = shape.h;
  options.layers = shape.layers;
  options.bidirectional = shape.bidirectional;
  return options;
}

// Within a set, sizes run from one that fits the first-level cache
// to one whose recurrent weights fit no private cache.
inline constexpr NamedShape kShapes[] = {
    // set    name                 phase            T   N    I    H  L  bidir  reason
    {"stream", "stream_h32",       "step",         1,  1,  32,  32, 1, false, "one sample of audio; weights in L1"},
    {"stream", "stream_h64",       "step",         1,  1,  64,  64, 1, false, "weights just above L1"},
    {"stream", "stream_h128",      "step",         1,  1, 128, 128, 1, false, "weights in L2"},
    {"stream", "stream_2x128",     "step",         1,  1, 128, 128, 2, false, "a stack, step by step"},
    {"stream", "stream_h512",      "step",         1,  1, 512, 512, 1, false, "bound by reading weights"},
    {"single", "single_h32",       "inference",  100,  1,  32,  32, 1, false, "one sequence, cost of a step"},
    {"single", "single_h128",      "inference",  100,  1, 128, 128, 1, false, "one sequence, weights in L2"},
    {"single", "single_i1_h64",    "inference",  100,  1,   1,  64, 1, false, "one feature, a time series"},
    {"single", "single_h512",      "inference",  100,  1, 512, 512, 1, false, "bound by reading weights"},
    {"batch",  "batch_n8_h128",    "inference",   50,  8, 128, 128, 1, false, "few rows"},
    {"batch",  "batch_n32_h128",   "inference",   50, 32, 128, 128, 1, false, "the usual server batch"},
    {"batch",  "batch_n32_2bi128", "inference",   50, 32, 128, 128, 2, true,  "a tagger or a recogniser"},
    {"batch",  "batch_n64_h512",   "inference",   25, 64, 512, 512, 1, false, "bound by arithmetic"},
    {"train",  "train_n16_h64",    "training",    30, 16,  64,  64, 1, false, "small model, overheads show"},
    {"train",  "train_n32_h128",   "training",    50, 32, 128, 128, 1, false, "the character-level model"},
    {"train",  "train_n32_2x256",  "training",    50, 32, 256, 256, 2, false, "a stack"},
    {"train",  "train_n64_h512",   "training",    25, 64, 512, 512, 1, false, "bound by arithmetic"},
    {"odd",    "odd_h37",          "inference",   50,  5,  19,  37, 1, false, "no multiple of a vector"},
    {"odd",    "odd_train_h37",    "training",    50,  5,  19,  37, 1, false, "the same, with gradients"},
    {"long",   "long_t2000_h64",   "inference", 2000,  1,  64,  64, 1, false, "time alone grows"},
};

// What rondo-bench compare runs, CPU against GPU: from shapes that cost a GPU little but copies and launches
// to those that fill it.
inline constexpr NamedShape kCompareShapes[] = {
    // set     name           phase          T    N     I     H  L  bidir  reason, cell
    {"compare", "tiny_step",  "inference",   1,   1,   16,   16, 1, false, "copies and launches alone", "lstm"},
    {"compare", "tiny",       "inference",  50,   1,   16,   16, 1, false, "steps that wait for another", "gru"},
    {"compare", "tiny_train", "training",   50,   8,   32,   32, 1, false, "a small model, trained", "lstm"},
    {"compare", "one_h128",   "inference", 100,   1,  128,  128, 1, false, "one row, weights in L2", "lstm"},
    {"compare", "few_h64",    "inference", 100,  16,   64,   64, 1, false, "a few short rows", "gru"},
    {"compare", "char_train", "training",   50,  32,  128,  128, 1, false, "the character-level model", "gru"},
    {"compare", "tagger",     "inference",  50,  32,  128,  128, 2, true,  "two layers, both ways", "lstm"},
    {"compare", "one_h512",   "inference", 100,   1,  512,  512, 1, false, "bound by reading weights", "gru"},
    {"compare", "deep_train", "training",   50,  32,  256,  256, 2, false, "a stack, trained", "lstm"},
    {"compare", "wide_h512",  "inference",  50,  64,  512,  512, 1, false, "bound by arithmetic", "gru"},
    {"compare", "big",        "inference",  25, 128, 1024, 1024, 1, false, "weights beyond any L2", "lstm"},
    {"compare", "big_train",  "training",   25, 128, 1024, 1024, 1, false, "the same size, trained", "gru"},
};

}  // namespace bench
