// NPZ by libzip, with a cap on what it decompresses.
#include "npz.h"

#include <zip.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "file_error.h"
#include "npy.h"

namespace cli {
namespace {

constexpr std::uint64_t kPiece = 1 << 20;

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Member = std::unique_ptr<zip_file_t, Discard>;

std::string text_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

// One member, whose size in the directory is a claim: memory grows with what comes out.
std::vector<std::byte> read_member(zip_t* archive, const zip_stat_t& stat, const std::string& path,
                                   const std::string& place) {
  const Member member(zip_fopen_index(archive, stat.index, 0));
  if (!member) throw FileError(path, place, std::string("cannot be opened: ") + zip_strerror(archive));
  std::vector<std::byte> bytes;
  for (;;) {
    const std::size_t have = bytes.size();
    // One byte more than is claimed: the end, where the checksum is looked at, has to be seen.
    bytes.resize(have + std::min<std::uint64_t>(kPiece, stat.size + 1 - have));
    const zip_int64_t got = zip_fread(member.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0) {
      throw FileError(path, place,
                      std::string("cannot be read after byte ") + std::to_string(have) + ": " +
                          zip_file_strerror(member.get()));
    }
    bytes.resize(have + static_cast<std::size_t>(got));
    if (got == 0) break;
    if (bytes.size() > stat.size) break;
  }
  if (bytes.size() != stat.size) {
    throw FileError(path, place,
                    std::string("holds ") + (bytes.size() > stat.size ? "more" : "fewer") +
                        " bytes than the " + std::to_string(stat.size) + " that the zip directory says");
  }
  return bytes;
}

bool add_array(zip_t* archive, const std::string& name, const rondo::ConstTensorView& view,
               std::string& header) {
  // The pieces are read when the archive is closed; both live until then.
  const zip_buffer_fragment_t pieces[] = {
      {reinterpret_cast<zip_uint8_t*>(header.data()), header.size()},
      {static_cast<zip_uint8_t*>(const_cast<void*>(view.data)),
       static_cast<zip_uint64_t>(view.shape.count() * rondo::element_bytes(view.dtype))}};
  zip_source_t* source = zip_source_buffer_fragment(archive, pieces, pieces[1].length > 0 ? 2 : 1, 0);
  if (source == nullptr) return false;
  const zip_int64_t index = zip_file_add(archive, (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    return false;
  }
  constexpr zip_uint16_t kFirstDay = 1 << 5 | 1;  // 1980-01-01, so that equal results are equal files
  const auto at = static_cast<zip_uint64_t>(index);
  return zip_set_file_compression(archive, at, ZIP_CM_STORE, 0) == 0 &&
         zip_file_set_dostime(archive, at, 0, kFirstDay, 0) == 0;
}

}  // namespace

std::map<std::string, Array> read_npz(const std::string& path, bool (*wanted)(const std::string& name)) {
  check_regular(path);
  int code = 0;
  const Archive archive(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
  if (!archive) throw FileError(path, "", "is no zip file that can be read: " + text_of(code));
  const std::uint64_t cap = std::max<std::uint64_t>(64 << 20, 100 * std::filesystem::file_size(path));
  std::uint64_t total = 0;
  std::map<std::string, Array> arrays;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &stat) != 0) {
      throw FileError(path, "member " + std::to_string(i), zip_strerror(archive.get()));
    }
    std::string name = stat.name;
    const std::string place = "member " + in_quotes(name);
    if (!name.ends_with(".npy")) continue;
    name.resize(name.size() - 4);
    if (!wanted(name)) continue;
    if (stat.size > cap - total) {
      throw FileError(path, place,
                      "would take " + std::to_string(stat.size) + " bytes of the " +
                          std::to_string(cap - total) + " that are left for this file");
    }
    total += stat.size;
    Array array = parse_npy(read_member(archive.get(), stat, path, place), path, place);
    if (!arrays.emplace(name, std::move(array)).second) throw FileError(path, place, "is there twice");
  }
  return arrays;
}

void write_npz(const std::string& path, const Results& results) {
  int code = 0;
  // What is renamed over a device would replace it.
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path)) {
    throw WriteError(path, "it is there and is not a regular file");
  }
  // libzip writes a temporary file beside the path when the archive is closed, and renames it.
  Archive archive(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!archive) throw WriteError(path, text_of(code));
  std::vector<std::string> headers;
  headers.reserve(results.size());
  for (const auto& [name, view] : results) {
    headers.push_back(npy_header(view.dtype, view.shape));
    if (!add_array(archive.get(), name, view, headers.back())) {
      throw WriteError(path, zip_strerror(archive.get()));
    }
  }
  if (zip_close(archive.get()) != 0) throw WriteError(path, zip_strerror(archive.get()));
  archive.release();
}

}  // namespace cli
