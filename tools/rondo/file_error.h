// What is wrong with a file: path, place and reason, on one line.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace cli {

class FileError : public std::runtime_error {
 public:
  FileError(const std::string& path, const std::string& place, const std::string& reason)
      : std::runtime_error(path + ": " + (place.empty() ? "" : place + ": ") + reason) {}
};
// A file that could not be written; nothing is wrong with the input.
class WriteError : public std::runtime_error {
 public:
  WriteError(const std::string& path, const std::string& reason)
      : std::runtime_error(path + ": cannot be written: " + reason) {}
};

// Text out of a file, fit for a message: in quotes, bytes that do not print as \xHH, and not too long.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
      out += c;
    } else {
      constexpr const char* kDigits = "0123456789abcdef";
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out + (text.size() > kMost ? "...\"" : "\"");
}

}  // namespace cli
