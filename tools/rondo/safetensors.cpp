// safetensors, by nlohmann-json for its header.
#include "safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "file_error.h"
#include "npy.h"

namespace cli {
namespace {

using Json = nlohmann::json;

struct Range {
  std::uint64_t begin, end;
  std::string place;
};

// The header as JSON of the depth that the format has: {name: {key: [numbers]}}; no key twice.
Json parse_header(const std::string& path, std::string_view text) {
  std::set<std::string> names;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > 3) throw FileError(path, "header", "its JSON is nested more than three deep");
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second) {
      throw FileError(path, "tensor " + in_quotes(parsed.get<std::string>()), "is in the header twice");
    }
    return true;
  };
  try {
    Json header = Json::parse(text, check);
    if (!header.is_object()) throw FileError(path, "header", "its JSON is no object");
    return header;
  } catch (const Json::exception& error) {
    throw FileError(path, "header", in_quotes(error.what()) + ", expected JSON");
  }
}

Range range_of(const Json& entry, std::size_t data_bytes, const std::string& path, const std::string& place) {
  const auto found = entry.find("data_offsets");
  const bool two = found != entry.end() && found->is_array() && found->size() == 2 &&
                   (*found)[0].is_number_unsigned() && (*found)[1].is_number_unsigned();
  if (!two) throw FileError(path, place, "has no data_offsets of two whole numbers");
  const Range range{(*found)[0].get<std::uint64_t>(), (*found)[1].get<std::uint64_t>(), place};
  if (range.begin > range.end || range.end > data_bytes) {
    throw FileError(path, place,
                    "lies at bytes " + std::to_string(range.begin) + " to " + std::to_string(range.end) +
                        " of the data, of which there are " + std::to_string(data_bytes));
  }
  return range;
}

Array array_of(const Json& entry, const Range& range, const std::byte* data, const std::string& path) {
  Array array{.path = path, .place = range.place};
  const auto dtype = entry.find("dtype"), shape = entry.find("shape");
  const std::string type = dtype != entry.end() && dtype->is_string() ? dtype->get<std::string>() : "";
  if (type != "F32" && type != "F64") {
    throw FileError(path, range.place, "has elements of type " + in_quotes(type) + ", expected F32 or F64");
  }
  array.dtype = type == "F32" ? rondo::DType::kF32 : rondo::DType::kF64;
  if (shape == entry.end() || !shape->is_array()) throw FileError(path, range.place, "has no shape");
  for (const Json& size : *shape) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() >> 63 != 0) {
      throw FileError(path, range.place,
                      "has " + in_quotes(size.dump(-1, ' ', true, Json::error_handler_t::replace)) +
                          " in its shape, expected sizes of 64 bits");
    }
    array.sizes.push_back(size.get<std::int64_t>());
  }
  std::uint64_t expected = 0;
  if (!count_bytes(array.sizes, rondo::element_bytes(array.dtype), expected)) {
    throw FileError(path, range.place,
                    "has the shape " + to_string(array.sizes) + ", whose product no 64 bits hold");
  }
  if (expected != range.end - range.begin) {
    throw FileError(path, range.place,
                    "has " + std::to_string(range.end - range.begin) + " bytes of data, expected " +
                        std::to_string(expected) + " for " + type + " " + to_string(array.sizes));
  }
  array.bytes.assign(data + range.begin, data + range.end);
  return array;
}

// No hole, no overlap, nothing after the last.
void check_ranges(std::vector<Range>& ranges, std::size_t data_bytes, const std::string& path) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (const Range& range : ranges) {
    if (range.begin != at) {
      throw FileError(path, range.place,
                      "starts at byte " + std::to_string(range.begin) + " of the data, expected " +
                          std::to_string(at) + ", where the one before it ends");
    }
    at = range.end;
  }
  if (at != data_bytes) {
    throw FileError(path, "",
                    "has " + std::to_string(data_bytes) + " bytes of data, expected the " +
                        std::to_string(at) + " of its header");
  }
}

}  // namespace

std::map<std::string, Array> read_safetensors(const std::string& path,
                                              bool (*wanted)(const std::string& name)) {
  const std::vector<std::byte> bytes = read_file(path);
  constexpr std::size_t kLengthBytes = 8;
  if (bytes.size() < kLengthBytes) {
    throw FileError(path, "",
                    "ends after " + std::to_string(bytes.size()) + " bytes, within the length of its header");
  }
  if (bytes.size() > kLengthBytes && bytes[kLengthBytes] != std::byte{'{'}) {
    throw FileError(path, "", "is neither safetensors, with \"{\" after 8 bytes of length, nor a zip file");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  if (length > bytes.size() - kLengthBytes) {
    throw FileError(path, "",
                    "says that its header has " + std::to_string(length) + " bytes, but only " +
                        std::to_string(bytes.size() - kLengthBytes) + " follow");
  }
  const std::byte* const data = bytes.data() + kLengthBytes + length;
  const std::size_t data_bytes = bytes.size() - kLengthBytes - length;
  const Json header =
      parse_header(path, {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length});
  std::vector<Range> ranges;
  std::vector<std::pair<std::string, Range>> chosen;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string place = "tensor " + in_quotes(name);
    if (!entry.is_object()) throw FileError(path, place, "is described by no JSON object");
    ranges.push_back(range_of(entry, data_bytes, path, place));
    if (wanted(name)) chosen.emplace_back(name, ranges.back());
  }
  // Before anything is copied: ranges that overlap could make many times the file out of it.
  check_ranges(ranges, data_bytes, path);
  std::map<std::string, Array> arrays;
  for (const auto& [name, range] : chosen) arrays.emplace(name, array_of(header[name], range, data, path));
  return arrays;
}

}  // namespace cli
