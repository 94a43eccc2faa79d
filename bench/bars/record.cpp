// The file of what was measured.
#include "bench/bars/record.h"

#include <cmath>
#include <fstream>

#include "bench/checked_json.h"
#include "bench/result_file.h"

namespace bench::bars {
namespace {

constexpr const char* kFormat = "rondo-bars 1";

Json to_json(const Row& row) {
  const ShapeOptions& s = row.shape;
  Json json{{"set", row.set}, {"name", row.name}, {"cell", s.cell}, {"phase", s.phase},
            {"t", s.t},       {"n", s.n},         {"i", s.i},       {"h", s.h}};
  json["rounds"] = row.rounds;
  if (!row.errors.empty()) json["errors"] = row.errors;
  return json;
}

Row row_of(const nlohmann::json& json, const std::string& where) {
  Row row{.set = get<std::string>(json, "set", where), .name = get<std::string>(json, "name", where)};
  const std::string place = where + ", " + row.name;
  row.shape.cell = get<std::string>(json, "cell", place);
  row.shape.phase = get<std::string>(json, "phase", place);
  for (const auto& [key, size] :
       {std::pair("t", &row.shape.t), {"n", &row.shape.n}, {"i", &row.shape.i}, {"h", &row.shape.h}}) {
    *size = get<std::int64_t>(json, key, place);
    if (*size < 1) refuse(place, std::string(key) + ": expected a size of at least 1");
  }
  row.rounds = get<decltype(row.rounds)>(json, "rounds", place);
  for (const auto& [runner, rounds] : row.rounds) {
    if (rounds.empty()) refuse(place, "rounds, " + runner + ": expected a time at least");
    for (const double us : rounds) {
      if (!(us > 0) || !std::isfinite(us)) refuse(place, "rounds, " + runner + ": expected times above 0");
    }
  }
  if (json.contains("errors")) row.errors = get<decltype(row.errors)>(json, "errors", place);
  return row;
}

}  // namespace

std::string runner_name(const std::string& engine, int threads) {
  return engine + "/" + std::to_string(threads);
}

const Row* Record::find(const std::string& set, const std::string& name) const {
  for (const Row& row : rows) {
    if (row.set == set && row.name == name) return &row;
  }
  return nullptr;
}

Limits Record::limits() const {
  const std::string where = "limits";
  const nlohmann::json l = get<nlohmann::json>(context, "limits", "context");
  return {.flops_per_us = get<double>(l, "flops_per_us", where),
          .l1_bytes_per_us = get<double>(l, "l1_bytes_per_us", where),
          .l2_bytes_per_us = get<double>(l, "l2_bytes_per_us", where),
          .far_bytes_per_us = get<double>(l, "far_bytes_per_us", where),
          .l1_bytes = get<std::int64_t>(l, "l1_bytes", where),
          .l2_bytes = get<std::int64_t>(l, "l2_bytes", where),
          .activations_per_us = get<double>(l, "activations_per_us", where)};
}

std::string Record::engine(const std::string& name) const {
  if (name == kOwn) return context.value("engine", name);
  for (const Json& peer : context.at("peers")) {
    if (peer.at("name") == name && peer.at("version").is_string()) {
      return name + " " + peer.at("version").get<std::string>();
    }
  }
  return name;
}

Json to_json(const Record& record) {
  Json json;
  json["context"] = record.context;
  json["context"]["format"] = kFormat;
  json["rows"] = Json::array();
  for (const Row& row : record.rows) json["rows"].push_back(to_json(row));
  return json;
}

Record read_record(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw FileError(path, "cannot be read");
  const Json json = Json::parse(file, nullptr, false);
  if (json.is_discarded()) throw FileError(path, "is damaged, or no JSON");
  try {
    Record record{.context = get<Json>(json, "context", "the file")};
    const auto format = get<std::string>(record.context, "format", "context");
    if (format != kFormat) refuse("context", "format: got \"" + format + "\", expected \"" + kFormat + "\"");
    check_keys(json, {"context", "rows", "sections"}, "the file");
    for (const auto& peer : get<std::vector<nlohmann::json>>(record.context, "peers", "context")) {
      get<std::string>(peer, "name", "context, peers");
      get<nlohmann::json>(peer, "version", "context, peers");
    }
    get<std::vector<std::string>>(record.context, "sections", "context");
    record.limits();
    for (const auto& row : get<std::vector<nlohmann::json>>(json, "rows", "the file")) {
      record.rows.push_back(row_of(row, "rows"));
    }
    return record;
  } catch (const rondo::InvalidArgument& error) {
    throw FileError(path, error.what());
  }
}

}  // namespace bench::bars
