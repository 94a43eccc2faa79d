// Results as files.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace bench {

using Json = nlohmann::ordered_json;

// Complete or not there at all, also when the program is stopped while it writes.
inline void write_text(const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished);
  file << text;
  file.close();
  std::error_code failed;
  if (file) std::filesystem::rename(unfinished, path, failed);
  if (!file || failed) throw std::runtime_error("cannot write " + path);
}
inline void write_file(const std::string& path, const Json& json) { write_text(path, json.dump(1) + "\n"); }

}  // namespace bench
