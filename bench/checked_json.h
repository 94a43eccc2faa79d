// Parts of a JSON text that is checked as it is read: what is wrong is refused with its place.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "rondo/error.h"

namespace bench {

[[noreturn]] inline void refuse(const std::string& where, const std::string& what) {
  throw rondo::InvalidArgument(where + ": " + what);
}

inline void check_keys(const nlohmann::json& object, const std::set<std::string>& known,
                       const std::string& where) {
  if (!object.is_object()) refuse(where, "not an object");
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) refuse(where, "unknown key \"" + key + "\", expected some of " + names);
  }
}

template <class T>
T get(const nlohmann::json& object, const char* key, const std::string& where) try {
  return object.at(key).get<T>();
} catch (const nlohmann::json::exception& error) {
  refuse(where, std::string(key) + ": " + error.what());
}

}  // namespace bench
