// The file of bars, checked as it is read.
#include "bench/bars/sections.h"

#include <algorithm>
#include <map>

#include "bench/bars/bars_text.h"
#include "bench/checked_json.h"

namespace bench::bars {
namespace {

using nlohmann::json;

std::optional<double> bar(const json& object, const char* key, const std::string& where) {
  if (!object.contains(key)) return std::nullopt;
  const auto value = get<double>(object, key, where);
  if (!(value > 0)) refuse(where, std::string(key) + ": expected a number above 0");
  return value;
}

Section parse_section(const json& object, const Bars& bars) {
  const std::string unnamed = "bars, a section";
  check_keys(object,
             {"name", "about", "kind", "sets", "threads", "better_threads", "mean", "row", "share", "own"},
             unnamed);
  Section section{.name = get<std::string>(object, "name", unnamed)};
  const std::string where = "bars, " + section.name;
  section.about = get<std::string>(object, "about", where);
  const std::map<std::string, Kind> kinds = {{"peers", Kind::kPeers}};
  const auto kind = get<std::string>(object, "kind", where);
  if (!kinds.contains(kind)) refuse(where, "kind: unknown \"" + kind + "\"");
  section.kind = kinds.at(kind);
  section.sets = get<std::vector<std::string>>(object, "sets", where);
  for (const std::string& name : section.sets) {
    const auto is_it = [&](const ShapeSet& set) { return set.name == name; };
    if (std::none_of(bars.sets.begin(), bars.sets.end(), is_it)) {
      refuse(where, "sets: there is no set \"" + name + "\"");
    }
  }
  if (object.contains("threads")) section.threads = get<int>(object, "threads", where);
  if (section.threads != 1 && section.threads != 2) refuse(where, "threads: expected 1 or 2");
  if (object.contains("better_threads")) section.better_threads = get<bool>(object, "better_threads", where);
  section.mean = bar(object, "mean", where);
  section.row = bar(object, "row", where);
  section.share = bar(object, "share", where);
  section.own = bar(object, "own", where);
  if (section.own && section.threads == 1) refuse(where, "own: expected with threads 2 only");
  if (section.share && !section.row) refuse(where, "share: expected with row only");
  return section;
}

}  // namespace

const ShapeSet& Bars::set(const std::string& name) const {
  return *std::find_if(sets.begin(), sets.end(), [&](const ShapeSet& set) { return set.name == name; });
}

Bars parse_bars(const std::string& text) {
  const std::string where = "bars, the file";
  const json file = json::parse(text, nullptr, false);
  if (file.is_discarded()) refuse(where, "not JSON");
  check_keys(file, {"letters", "quick_h", "sets", "sections"}, where);
  Bars bars;
  bars.quick_h = get<std::vector<std::int64_t>>(file, "quick_h", where);
  bars.sets = parse_sets(json{{"sets", get<json>(file, "sets", where)}}.dump());
  for (const json& section : get<std::vector<json>>(file, "sections", where)) {
    bars.sections.push_back(parse_section(section, bars));
  }
  return bars;
}

const Bars& bars() {
  static const Bars all = parse_bars(kBars);
  return all;
}

}  // namespace bench::bars
