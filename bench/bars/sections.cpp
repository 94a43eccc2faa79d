// The file of bars, checked as it is read.
#include "bench/bars/sections.h"

#include <algorithm>
#include <map>

#include "bench/bars/bars_text.h"
#include "bench/checked_json.h"
#include "bench/options.h"

namespace bench::bars {
namespace {

using nlohmann::json;

std::optional<double> bar(const json& object, const char* key, const std::string& where) {
  if (!object.contains(key)) return std::nullopt;
  const auto value = get<double>(object, key, where);
  if (!(value > 0)) refuse(where, std::string(key) + ": expected a number above 0");
  return value;
}

By measured_by(const json& object, const std::string& where) {
  const std::map<std::string, By> ways = {
      {"peers", By::kPeers}, {"options", By::kOptions}, {"ragged", By::kRagged}, {"steps", By::kSteps},
      {"calls", By::kCalls}, {"start", By::kStart},     {"memory", By::kMemory}};
  const auto by = get<std::string>(object, "by", where);
  if (!ways.contains(by)) refuse(where, "by: unknown \"" + by + "\"");
  return ways.at(by);
}

void parse_peers(const json& object, const std::string& where, Section& section) {
  check_keys(object,
             {"name", "about", "by", "sets", "threads", "better_threads", "mean", "row", "share", "own"},
             where);
  if (object.contains("threads")) section.threads = get<int>(object, "threads", where);
  if (section.threads != 1 && section.threads != 2) refuse(where, "threads: expected 1 or 2");
  if (object.contains("better_threads")) section.better_threads = get<bool>(object, "better_threads", where);
  section.mean = bar(object, "mean", where);
  section.row = bar(object, "row", where);
  section.share = bar(object, "share", where);
  section.own = bar(object, "own", where);
  if (section.own && section.threads == 1) refuse(where, "own: expected with threads 2 only");
  if (section.share && !section.row) refuse(where, "share: expected with row only");
}

Section parse_section(const json& object, const Bars& bars) {
  Section section{.name = get<std::string>(object, "name", "bars, a section")};
  const std::string where = "bars, " + section.name;
  section.about = get<std::string>(object, "about", where);
  section.by = measured_by(object, where);
  section.sets = get<std::vector<std::string>>(object, "sets", where);
  for (const std::string& name : section.sets) {
    const auto is_it = [&](const ShapeSet& set) { return set.name == name; };
    if (std::none_of(bars.sets.begin(), bars.sets.end(), is_it)) {
      refuse(where, "sets: there is no set \"" + name + "\"");
    }
  }
  if (section.by == By::kPeers) {
    parse_peers(object, where, section);
    return section;
  }
  check_keys(object, {"name", "about", "by", "sets", "what", "over", "most"}, where);
  section.what = get<std::string>(object, "what", where);
  if (object.contains("over")) section.over = get<std::string>(object, "over", where);
  section.most = bar(object, "most", where);
  if (!section.most) refuse(where, "most is missing");
  return section;
}

// Each row of a set of options becomes a row for each of these that its cell has.
void multiply_out(ShapeSet& set, const std::vector<std::string>& options) {
  std::vector<SetRow> rows;
  for (const SetRow& row : set.rows) {
    const std::vector<std::string> of_cell = option_names(row.shape.cell);
    for (const std::string& option : options) {
      if (std::find(of_cell.begin(), of_cell.end(), option) == of_cell.end()) continue;
      rows.push_back(row);
      rows.back().option = option;
      rows.back().name += "/" + option;
    }
  }
  set.rows = rows;
}

}  // namespace

const ShapeSet& Bars::set(const std::string& name) const {
  return *std::find_if(sets.begin(), sets.end(), [&](const ShapeSet& set) { return set.name == name; });
}

Bars parse_bars(const std::string& text) {
  const std::string where = "bars, the file";
  const json file = json::parse(text, nullptr, false);
  if (file.is_discarded()) refuse(where, "not JSON");
  check_keys(file, {"letters", "quick_h", "options", "published", "sets", "sections"}, where);
  Bars bars;
  bars.quick_h = get<std::vector<std::int64_t>>(file, "quick_h", where);
  bars.sets = parse_sets(json{{"sets", get<json>(file, "sets", where)}}.dump());
  if (file.contains("options")) {
    const auto options = get<std::vector<std::string>>(file, "options", where);
    for (ShapeSet& set : bars.sets) {
      if (set.options) multiply_out(set, options);
    }
  }
  if (file.contains("published")) {
    const auto published = get<json>(file, "published", where);
    check_keys(published, {"origin", "us"}, "bars, published");
    bars.published.origin = get<std::string>(published, "origin", "bars, published");
    bars.published.us = get<std::map<std::string, double>>(published, "us", "bars, published");
  }
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
