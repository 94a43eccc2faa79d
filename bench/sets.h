// The named sets of shapes, read from bench/sets.json.
#pragma once

#include <string>
#include <vector>

#include "bench/shape_options.h"

namespace bench {

struct SetRow {
  std::string name;    // unique in its set: "lstm_t100_n1_h64"
  std::string why;     // "": the set's own reason
  std::string option;  // beside the plain cell; "": that cell
  ShapeOptions shape;
};

struct ShapeSet {
  std::string name, about, origin;
  bool options = false;  // each row is run with every option of its cell, too
  std::vector<SetRow> rows;
};

// Every product of the lists of a row's text. rondo::InvalidArgument names the set, the row and what is
// wrong.
std::vector<ShapeSet> parse_sets(const std::string& json);

// Those of bench/sets.json, which the program carries.
const std::vector<ShapeSet>& shape_sets();
const ShapeSet& shape_set(const std::string& name);  // rondo::InvalidArgument lists those that exist

}  // namespace bench
