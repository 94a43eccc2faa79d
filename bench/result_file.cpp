// Files of results and of regret, read and checked.
#include "bench/result_file.h"

#include <cmath>
#include <fstream>
#include <set>

namespace bench {
namespace {

using Json = nlohmann::json;

constexpr const char* kResults = "rondo-bench 1";
constexpr const char* kRegret = "rondo-regret 1";

Json read_json(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::error_code ignored;
  if (!stream || std::filesystem::is_directory(path, ignored)) throw FileError(path, "cannot be read");
  try {
    Json json = Json::parse(stream);
    if (!json.is_object()) throw FileError(path, std::string("is JSON, but no object: ") + json.type_name());
    return json;
  } catch (const Json::parse_error& error) {
    throw FileError(path, "is damaged, or no JSON (at byte " + std::to_string(error.byte) + ")");
  }
}

// One object of a file, whose fields are asked for by name; errors say the place.
class Fields {
 public:
  Fields(const std::filesystem::path& path, std::string place, const Json& json)
      : path_(path), place_(std::move(place)), json_(json) {
    if (!json.is_object()) fail("is no object");
  }
  [[noreturn]] void fail(const std::string& what) const { throw FileError(path_, place_ + ": " + what); }

  bool has(const char* name) const { return json_.contains(name) && !json_[name].is_null(); }
  const Json& at(const char* name) const {
    if (!has(name)) fail(std::string(name) + " is missing");
    return json_[name];
  }
  std::string text(const char* name) const {
    if (!at(name).is_string()) wrong(name, "a text");
    return at(name);
  }
  std::string text_or(const char* name, const char* absent) const { return has(name) ? text(name) : absent; }
  double number(const char* name) const {
    if (!at(name).is_number() || !std::isfinite(at(name).get<double>())) wrong(name, "a number");
    return at(name);
  }
  double time(const char* name) const {
    if (number(name) <= 0) wrong(name, "a time above 0");
    return number(name);
  }
  std::optional<double> number_or_none(const char* name) const {
    if (!has(name)) return std::nullopt;
    return number(name);
  }
  std::int64_t size(const char* name) const {
    if (!at(name).is_number_integer() || at(name).get<std::int64_t>() < 1) wrong(name, "an integer from 1");
    return at(name);
  }
  bool flag(const char* name) const {
    if (!at(name).is_boolean()) wrong(name, "true or false");
    return at(name);
  }
  bool flag_or_false(const char* name) const { return has(name) && flag(name); }
  // One time a device.
  std::vector<double> times(const char* name, std::size_t count) const {
    const Json& array = at(name);
    std::vector<double> values;
    for (const Json& value : array) {
      if (value.is_number() && value.get<double>() > 0 && std::isfinite(value.get<double>()))
        values.push_back(value);
    }
    if (!array.is_array() || values.size() != array.size() || values.size() != count)
      wrong(name, std::to_string(count) + " times");
    return values;
  }

 private:
  [[noreturn]] void wrong(const char* name, const std::string& expected) const {
    fail(std::string(name) + " is " + at(name).dump() + ", expected " + expected);
  }
  const std::filesystem::path& path_;
  std::string place_;
  const Json& json_;
};

void check_format(const std::filesystem::path& path, const Json& object, const char* expected) {
  const Json format = object.is_object() && object.contains("format") ? object["format"] : Json();
  if (format != expected) {
    throw FileError(path, "its format is " + (format.is_null() ? "not given" : format.dump()) +
                              ", expected \"" + expected + "\"");
  }
}

Case read_case(const Fields& fields) {
  Case what{.cell = fields.text("cell"),
            .phase = fields.text("phase"),
            .dtype = fields.text_or("dtype", "f32"),
            .math = fields.text_or("math", "strict"),
            .option = fields.text_or("option", ""),
            .t = fields.size("t"),
            .n = fields.size("n"),
            .i = fields.size("i"),
            .h = fields.size("h"),
            .layers = fields.size("layers"),
            .bidirectional = fields.flag("bidirectional")};
  const std::set<std::string> phases = {"inference", "training", "step"};
  if (!phases.contains(what.phase)) {
    fields.fail("phase is \"" + what.phase + "\", expected inference, training or step");
  }
  return what;
}

double microseconds_in(const Fields& fields) {
  const std::string unit = fields.text("time_unit");
  if (unit == "us") return 1;
  if (unit == "ns") return 1e-3;
  if (unit == "ms") return 1e3;
  if (unit == "s") return 1e6;
  fields.fail("time_unit is \"" + unit + "\", expected ns, us, ms or s");
}

void read_times(const Fields& fields, Row& row) {
  const double unit = microseconds_in(fields);
  row.repetitions = static_cast<int>(fields.size("repetitions"));
  row.us = fields.time("real_time") * unit;
  row.p25_us = fields.has("p25_time") ? fields.time("p25_time") * unit : row.us;
  row.p75_us = fields.has("p75_time") ? fields.time("p75_time") * unit : row.us;
  row.min_us = fields.has("min_time") ? fields.time("min_time") * unit : row.p25_us;
  // Numbers are rounded in the file.
  const double room = 1 + 1e-6;
  if (row.min_us > row.p25_us * room || row.p25_us > row.us * room || row.us > row.p75_us * room) {
    fields.fail("its times are not in order: minimum, quarter, median, three quarters");
  }
}

Row read_row(const Fields& fields) {
  Row row{.name = fields.text("name"),
          .shape = fields.text("shape"),
          .set = fields.text_or("set", ""),
          .runner = fields.text("runner"),
          .data = fields.text_or("data", "host"),
          .label = fields.text_or("label", ""),
          .chosen = fields.text_or("chosen", ""),
          .what = read_case(fields)};
  row.skipped = fields.flag_or_false("skipped");
  if (fields.flag_or_false("error_occurred") || row.skipped) {
    row.error = fields.text_or("error_message", "");
    if (row.error.empty()) row.error = "no reason given";
    row.estimate_us = fields.number_or_none("estimate_us");
    return row;
  }
  row.threads = static_cast<int>(fields.size("threads"));
  read_times(fields, row);
  row.gflops = fields.number_or_none("gflops");
  row.limit_us = fields.number_or_none("limit_us");
  row.predicted_us = fields.number_or_none("predicted_us");
  return row;
}

}  // namespace

std::string Context::text(const char* name) const {
  if (!json.contains(name) || json[name].is_null()) return "";
  return json[name].is_string() ? json[name].get<std::string>() : json[name].dump();
}

int Context::threads() const {
  return json.contains("threads") && json["threads"].is_number() ? json["threads"].get<int>() : 0;
}

bool Context::complete() const {
  return !json.contains("complete") || !json["complete"].is_boolean() || json["complete"].get<bool>();
}

ResultFile read_results(const std::filesystem::path& path) {
  Json json = read_json(path);
  if (!json.contains("context") || !json["context"].is_object()) throw FileError(path, "context is missing");
  check_format(path, json["context"], kResults);
  if (!json.contains("benchmarks") || !json["benchmarks"].is_array()) {
    throw FileError(path, "benchmarks, the list of rows, is missing");
  }
  ResultFile file{.path = path, .context = {json["context"]}};
  std::set<std::string> names;
  for (std::size_t k = 0; k < json["benchmarks"].size(); ++k) {
    const std::string place = "benchmarks[" + std::to_string(k) + "]";
    file.rows.push_back(read_row(Fields(path, place, json["benchmarks"][k])));
    const std::string& name = file.rows.back().name;
    if (!names.insert(name).second) throw FileError(path, place + ": a second row named \"" + name + "\"");
  }
  return file;
}

RegretFile read_regret(const std::filesystem::path& path) {
  const Json json = read_json(path);
  check_format(path, json, kRegret);
  const Fields fields(path, "the file", json);
  RegretFile file{.path = path,
                  .context = {fields.at("context")},
                  .mean = fields.number("mean"),
                  .p95 = fields.number("p95"),
                  .within_25 = fields.number("within_25"),
                  .worst = fields.number("worst"),
                  .passed = fields.flag("passed")};
  for (const Json& device : fields.at("devices")) {
    if (!device.is_string()) fields.fail("devices is " + fields.at("devices").dump() + ", expected names");
    file.devices.push_back(device);
  }
  if (!fields.at("rows").is_array()) fields.fail("rows is no list");
  for (std::size_t k = 0; k < json["rows"].size(); ++k) {
    const Fields row(path, "rows[" + std::to_string(k) + "]", json["rows"][k]);
    RegretFile::Row read{.what = read_case(row),
                         .times_us = row.times("times_us", file.devices.size()),
                         .predicted_us = row.times("predicted_us", file.devices.size()),
                         .regret = row.number("regret")};
    const double chosen = row.number("chosen");
    if (chosen < 0 || chosen >= static_cast<double>(file.devices.size())) {
      row.fail("chosen is " + row.at("chosen").dump() + ", expected the place of a device");
    }
    if (read.regret < 0) row.fail("regret is negative");
    read.chosen = static_cast<std::size_t>(chosen);
    file.rows.push_back(std::move(read));
  }
  return file;
}

bool is_regret_file(const std::filesystem::path& path) {
  const Json json = read_json(path);
  return json.contains("format") && json["format"] == kRegret;
}

bool is_result_file(const std::filesystem::path& path) {
  const Json json = read_json(path);
  return !json.contains("format") && json.contains("context") && json["context"].is_object() &&
         json["context"].value("format", Json()) == kResults;
}

}  // namespace bench
