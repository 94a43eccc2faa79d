// Files for the tests, written byte by byte: nothing of the readers or writers that are tested is used.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "rondo/rondo.h"

namespace cli::testing {

// A folder for the files of one test, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rondo_cli_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder " + name);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string at(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    // A file that is replaced is flushed to the disk by some file systems, a new one is not.
    std::filesystem::remove(at(name));
    std::ofstream file(at(name), std::ios::binary);
    file << bytes;
    file.close();
    if (!file) throw std::runtime_error("cannot write " + at(name));
    return at(name);
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

inline std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(i < 8 ? value >> (8 * i) : 0);
  return text;
}

inline std::string data_of(rondo::ConstTensorView view) {
  return {static_cast<const char*>(view.data),
          static_cast<std::size_t>(view.shape.count() * rondo::element_bytes(view.dtype))};
}

inline std::string listed(const rondo::Shape& shape) {  // "2, 3"
  const std::string text = rondo::to_string(shape);
  return text.substr(1, text.size() - 2);
}

inline std::string npy_of(const std::string& header, const std::string& data, int version = 1) {
  return "\x93NUMPY" + little_endian(static_cast<std::uint64_t>(version), 2) +
         little_endian(header.size(), version == 1 ? 2 : 4) + header + data;
}
inline std::string npy_of(rondo::ConstTensorView view) {
  using rondo::DType;
  const std::map<DType, std::string> types = {{DType::kF32, "<f4"},
                                              {DType::kF64, "<f8"},
                                              {DType::kI32, "<i4"},
                                              {DType::kI64, "<i8"},
                                              {DType::kU8, "|b1"}};
  return npy_of("{'descr': '" + types.at(view.dtype) + "', 'fortran_order': False, 'shape': (" +
                    listed(view.shape) + (view.shape.rank() == 1 ? "," : "") + "), }\n",
                data_of(view));
}

using Files = std::vector<std::pair<std::string, std::string>>;  // names and bytes

inline std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
  }
  return ~crc;
}

// A zip file of stored members. `claimed`: the size that it says each member has, if not the true one.
inline std::string zip_of(const Files& members, std::uint32_t claimed = 0) {
  std::string all, directory;
  for (const auto& [name, bytes] : members) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    const std::string facts = little_endian(20, 2) + little_endian(0, 8) + little_endian(crc32(bytes), 4) +
                              little_endian(size, 4) + little_endian(claimed != 0 ? claimed : size, 4) +
                              little_endian(name.size(), 2) + little_endian(0, 2);
    directory +=
        "PK\1\2" + little_endian(20, 2) + facts + little_endian(0, 10) + little_endian(all.size(), 4) + name;
    all += "PK\3\4" + facts + name + bytes;
  }
  const std::string count = little_endian(members.size(), 2);
  return all + directory + "PK\5\6" + little_endian(0, 4) + count + count +
         little_endian(directory.size(), 4) + little_endian(all.size(), 4) + little_endian(0, 2);
}

inline std::string safetensors_of(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

using Views = std::vector<std::pair<std::string, rondo::ConstTensorView>>;

inline std::string safetensors_of(const Views& tensors) {
  std::string header = R"({"__metadata__": {"format": "pt"})", data;
  for (const auto& [name, view] : tensors) {
    const std::size_t begin = data.size();
    data += data_of(view);
    header += ", \"" + name + R"(": {"dtype": ")" + (view.dtype == rondo::DType::kF32 ? "F32" : "F64") +
              R"(", "shape": [)" + listed(view.shape) + R"(], "data_offsets": [)" + std::to_string(begin) +
              ", " + std::to_string(data.size()) + "]}";
  }
  return safetensors_of(header + "}", data);
}
inline std::string npz_of(const Views& tensors) {
  Files members;
  for (const auto& [name, view] : tensors) members.emplace_back(name + ".npy", npy_of(view));
  return zip_of(members);
}

inline rondo::Tensor filled(rondo::DType dtype, const rondo::Shape& shape, std::uint64_t seed) {
  rondo::Tensor tensor(dtype, shape);
  // SplitMix64, uniform in +-1/2.
  const auto next = [&] {
    std::uint64_t z = seed += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53 - 0.5;
  };
  if (dtype == rondo::DType::kF32) {
    for (float& v : tensor.span<float>()) v = static_cast<float>(next());
  } else {
    for (double& v : tensor.span<double>()) v = next();
  }
  return tensor;
}

// A network's parameters as they would stand in a file, its names after a prefix.
inline Views parameters_of(rondo::Rnn& rnn, const std::string& prefix) {
  Views views;
  for (const rondo::ParameterInfo& info : rondo::parameter_layout(rnn.config())) {
    views.emplace_back(prefix + info.name, rnn.parameter(info.name));
  }
  return views;
}

}  // namespace cli::testing
