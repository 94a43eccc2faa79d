// The sets' file: lists that are multiplied out to rows.
#include "bench/sets.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/checked_json.h"
#include "bench/sets_text.h"
#include "rondo/rondo.h"

namespace bench {
namespace {

using nlohmann::json;

std::vector<std::int64_t> sizes(const json& row, const char* key, const std::string& where) {
  auto all = get<std::vector<std::int64_t>>(row, key, where);
  if (all.empty() || *std::min_element(all.begin(), all.end()) < 1) {
    refuse(where, std::string(key) + ": expected a list of sizes of at least 1");
  }
  return all;
}

std::vector<std::string> words(const json& row, const char* key, const std::set<std::string>& known,
                               const std::string& where) {
  auto all = get<std::vector<std::string>>(row, key, where);
  for (const std::string& word : all) {
    if (!known.contains(word)) refuse(where, std::string(key) + ": unknown \"" + word + "\"");
  }
  return all;
}

std::string name_of(const std::string& prefix, const ShapeOptions& s) {
  std::string name = (prefix.empty() ? "" : prefix + "_") + s.cell + "_t" + std::to_string(s.t) + "_n" +
                     std::to_string(s.n) + "_h" + std::to_string(s.h);
  if (s.i != s.h) name += "_i" + std::to_string(s.i);
  if (s.layers != 1) name += "_l" + std::to_string(s.layers);
  if (s.bidirectional) name += "_bi";
  if (s.phase != "inference") name += "_" + s.phase;
  return name;
}

void add_rows(const json& row, const std::string& where, ShapeSet& set) {
  check_keys(row, {"name", "cell", "phase", "h", "n", "t", "i", "layers", "bidirectional", "why"}, where);
  const auto prefix = row.contains("name") ? get<std::string>(row, "name", where) : "";
  const auto why = row.contains("why") ? get<std::string>(row, "why", where) : "";
  ShapeOptions shape;
  if (row.contains("layers")) shape.layers = get<std::int64_t>(row, "layers", where);
  if (row.contains("bidirectional")) shape.bidirectional = get<bool>(row, "bidirectional", where);
  const std::int64_t inputs = row.contains("i") ? get<std::int64_t>(row, "i", where) : 0;
  if (shape.layers < 1 || inputs < 0) refuse(where, "layers and i: expected sizes of at least 1");
  const auto ts = sizes(row, "t", where), ns = sizes(row, "n", where), hs = sizes(row, "h", where);
  const auto cells = words(row, "cell", {"lstm", "gru", "rnn"}, where);
  const auto phases = words(row, "phase", {"inference", "training", "step"}, where);
  const bool alone = cells.size() * phases.size() * ts.size() * ns.size() * hs.size() == 1;
  for (const std::string& cell : cells) {
    for (const std::string& phase : phases) {
      for (const std::int64_t t : ts) {
        for (const std::int64_t n : ns) {
          for (const std::int64_t h : hs) {
            shape.cell = cell, shape.phase = phase;
            shape.t = t, shape.n = n, shape.h = h, shape.i = inputs > 0 ? inputs : h;
            const bool named = alone && !prefix.empty();
            set.rows.push_back({named ? prefix : name_of(prefix, shape), why, "", shape});
          }
        }
      }
    }
  }
}

ShapeSet parse_set(const json& object) {
  check_keys(object, {"name", "about", "origin", "options", "rows"}, "sets, a set");
  ShapeSet set{.name = get<std::string>(object, "name", "sets, a set")};
  const std::string where = "sets, " + set.name;
  set.about = get<std::string>(object, "about", where);
  set.origin = get<std::string>(object, "origin", where);
  if (object.contains("options")) set.options = get<bool>(object, "options", where);
  const auto rows = get<std::vector<json>>(object, "rows", where);
  for (std::size_t i = 0; i < rows.size(); ++i)
    add_rows(rows[i], where + ", row " + std::to_string(i + 1), set);
  std::set<std::string> names;
  for (const SetRow& row : set.rows) {
    if (!names.insert(row.name).second) refuse(where, "two rows are " + row.name);
  }
  return set;
}

}  // namespace

std::vector<ShapeSet> parse_sets(const std::string& text) {
  const json file = json::parse(text, nullptr, false);
  if (file.is_discarded()) refuse("sets, the file", "not JSON");
  check_keys(file, {"letters", "sets"}, "sets, the file");
  std::vector<ShapeSet> sets;
  for (const json& set : get<std::vector<json>>(file, "sets", "sets, the file"))
    sets.push_back(parse_set(set));
  return sets;
}

const std::vector<ShapeSet>& shape_sets() {
  static const std::vector<ShapeSet> sets = parse_sets(kSets);
  return sets;
}

const ShapeSet& shape_set(const std::string& name) {
  std::string names;
  for (const ShapeSet& set : shape_sets()) {
    if (set.name == name) return set;
    names += (names.empty() ? "" : ", ") + set.name;
  }
  throw rondo::InvalidArgument("there is no set \"" + name + "\", only " + names);
}

}  // namespace bench
