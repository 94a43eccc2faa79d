// NPY: magic, version, the length of a header, the header as a Python dictionary, the elements.
#include "npy.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "file_error.h"

namespace cli {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kMostRank = 32;  // NumPy's own

// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }: these three keys, once each, in any
// order.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, Array& array) : text_(text), array_(array) {}

  bool fortran_order() const { return fortran_.value(); }

  void read() {
    expect('{');
    bool descr = false, shape = false;
    while (!accept('}')) {
      const std::string key(string());
      expect(':');
      if (key == "descr" && !descr) {
        descr = true;
        type(string());
      } else if (key == "fortran_order" && !fortran_) {
        fortran_ = word() == "True";
      } else if (key == "shape" && !shape) {
        shape = true;
        sizes();
      } else {
        fail("has the key " + in_quotes(key) + ", expected descr, fortran_order and shape, once each");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    blanks();
    if (at_ != text_.size()) fail("goes on after its closing brace");
    if (!descr || !fortran_ || !shape) fail("lacks one of descr, fortran_order and shape");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw FileError(array_.path, array_.place, "the NPY header " + what);
  }

 private:
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (accept(c)) return;
    const std::string got = at_ == text_.size() ? "its end" : in_quotes(text_.substr(at_, 1));
    fail("has " + got + " at byte " + std::to_string(at_) + ", expected " +
         in_quotes(std::string_view(&c, 1)));
  }
  std::string_view string() {
    blanks();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote != '\'' && quote != '"') expect('\'');
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("has a string without an end at byte " + std::to_string(at_));
    const std::string_view found = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return found;
  }
  std::string_view word() {
    blanks();
    const std::size_t begin = at_;
    while (at_ < text_.size() && (text_[at_] >= 'A' && text_[at_] <= 'z')) ++at_;
    const std::string_view found = text_.substr(begin, at_ - begin);
    if (found != "True" && found != "False") {
      fail("has fortran_order " + in_quotes(text_.substr(begin, 8)) + ", expected True or False");
    }
    return found;
  }
  void type(std::string_view descr) {
    using rondo::DType;
    constexpr std::pair<std::string_view, DType> kTypes[] = {{"<f4", DType::kF32}, {"<f8", DType::kF64},
                                                             {"<i4", DType::kI32}, {"<i8", DType::kI64},
                                                             {"|b1", DType::kU8},  {"|u1", DType::kU8}};
    for (const auto& [name, dtype] : kTypes) {
      if (descr == name) return void(array_.dtype = dtype);
    }
    fail("has elements of type " + in_quotes(descr) +
         ", expected <f4 or <f8, for lengths <i4 or <i8, for masks |b1 or |u1");
  }
  void sizes() {
    expect('(');
    while (!accept(')')) {
      blanks();
      std::int64_t size = -1;
      const char* const end = text_.data() + text_.size();
      const auto [stop, failed] = std::from_chars(text_.data() + at_, end, size);
      if (failed != std::errc() || size < 0) {
        fail("has " + in_quotes(text_.substr(at_, 24)) + " in its shape, expected sizes of 64 bits");
      }
      if (array_.sizes.size() == kMostRank) fail("has a shape of more than 32 sizes");
      array_.sizes.push_back(size);
      at_ = static_cast<std::size_t>(stop - text_.data());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Array& array_;
  std::optional<bool> fortran_;
};

// From the first index fastest to the last one fastest.
void to_row_major(Array& array) {
  const auto width = static_cast<std::size_t>(rondo::element_bytes(array.dtype));
  const std::size_t rank = array.sizes.size();
  if (rank < 2 || array.bytes.empty()) return;
  std::vector<std::byte> turned(array.bytes.size());
  std::vector<std::size_t> strides(rank, 1), index(rank, 0);
  for (std::size_t d = 1; d < rank; ++d) {
    strides[d] = strides[d - 1] * static_cast<std::size_t>(array.sizes[d - 1]);
  }
  std::size_t from = 0;
  for (std::size_t to = 0; to < turned.size(); to += width) {
    std::memcpy(&turned[to], &array.bytes[from * width], width);
    for (std::size_t d = rank; d-- > 0;) {
      from += strides[d];
      if (++index[d] < static_cast<std::size_t>(array.sizes[d])) break;
      from -= strides[d] * index[d];
      index[d] = 0;
    }
  }
  array.bytes = std::move(turned);
}

// Magic, version and the header's place in the bytes, which have to be there.
std::string_view find_header(const std::vector<std::byte>& bytes, const Array& array) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto fail = [&](const std::string& what) { throw FileError(array.path, array.place, what); };
  if (!all.starts_with(kMagic)) {
    fail("starts with " + in_quotes(all.substr(0, 6)) + ", expected an NPY file, \"\\x93NUMPY\"");
  }
  if (all.size() < 8) fail("ends after " + std::to_string(all.size()) + " bytes, within its NPY version");
  const int version = all[6];
  if (version < 1 || version > 3 || all[7] != 0) {
    fail("has NPY version " + std::to_string(version) + "." + std::to_string(int{all[7]}) +
         ", expected 1.0, 2.0 or 3.0");
  }
  const std::size_t width = version == 1 ? 2 : 4, begin = 8 + width;
  if (all.size() < begin) {
    fail("ends after " + std::to_string(all.size()) + " bytes, within the length of its NPY header");
  }
  std::size_t length = 0;
  for (std::size_t i = 0; i < width; ++i) {
    length |= std::to_integer<std::size_t>(bytes[8 + i]) << (8 * i);
  }
  if (length > all.size() - begin) {
    fail("says that its NPY header has " + std::to_string(length) + " bytes, but only " +
         std::to_string(all.size() - begin) + " follow");
  }
  return all.substr(begin, length);
}

}  // namespace

void check_regular(const std::string& path) {
  std::error_code failed;
  const std::filesystem::file_type type = std::filesystem::status(path, failed).type();
  if (type == std::filesystem::file_type::not_found) throw FileError(path, "", "there is no such file");
  if (type != std::filesystem::file_type::regular) {
    throw FileError(path, "", failed ? failed.message() : "is not a regular file");
  }
}

bool starts_with(const std::string& path, const std::string& characters) {
  std::ifstream file(path, std::ios::binary);
  std::string begin(characters.size(), '\0');
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == characters;
}

std::vector<std::byte> read_file(const std::string& path) {
  check_regular(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw FileError(path, "", std::string("cannot be opened: ") + std::strerror(errno));
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  std::vector<std::byte> bytes(failed ? 0 : size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (failed || !file) throw FileError(path, "", "cannot be read to its end");
  return bytes;
}

Array parse_npy(std::vector<std::byte> bytes, const std::string& path, const std::string& place) {
  Array array{.path = path, .place = place};
  const std::string_view header = find_header(bytes, array);
  HeaderReader reader(header, array);
  reader.read();
  const std::size_t begin =
      static_cast<std::size_t>(header.data() - reinterpret_cast<char*>(bytes.data())) + header.size();
  std::uint64_t expected = 0;
  if (!count_bytes(array.sizes, rondo::element_bytes(array.dtype), expected)) {
    reader.fail("has the shape " + to_string(array.sizes) + ", whose product no 64 bits hold");
  }
  if (expected != bytes.size() - begin) {
    throw FileError(path, place,
                    "has " + std::to_string(bytes.size() - begin) + " bytes of data, expected " +
                        std::to_string(expected) + " for " + rondo::to_string(array.dtype) + " " +
                        to_string(array.sizes));
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(begin));
  array.bytes = std::move(bytes);
  if (reader.fortran_order()) to_row_major(array);
  return array;
}

Array read_npy(const std::string& path) { return parse_npy(read_file(path), path, ""); }

std::string npy_header(rondo::DType dtype, const rondo::Shape& shape) {
  std::string text = std::string("{'descr': '<") + (dtype == rondo::DType::kF32 ? "f4" : "f8") +
                     "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < shape.rank(); ++i) text += std::to_string(shape[i]) + ",";  // of one size: (3,)
  text += "), }";
  // The data start at a multiple of 64 bytes.
  const std::size_t before = kMagic.size() + 4;
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace cli
