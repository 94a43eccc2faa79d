// Calls of the program `rondo`, for its tests.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "npz.h"
#include "test_files.h"

namespace cli::testing {

using rondo::Cell, rondo::Direction, rondo::DType, rondo::Tensor;

struct Finished {
  int status;
  std::string out, err;
};
// `before`: shell commands in front of the program.
inline Finished call(const std::string& arguments, const std::string& before = "") {
  const Folder folder;
  const std::string command = "{ unset RONDO_DEVICE; " + before + " '" RONDO_PROGRAM "' " + arguments +
                              "; } >" + folder.at("out") + " 2>" + folder.at("err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(folder.at("out")), read(folder.at("err"))};
}

// Exit status 2 and one line on standard error, which has the part; nothing on standard output.
inline void expect_refused(const std::string& arguments, const std::string& part) {
  const Finished run = call(arguments);
  EXPECT_EQ(run.status, 2) << arguments << ": " << run.err;
  EXPECT_EQ(run.out, "") << arguments;
  EXPECT_EQ(run.err.find("rondo: "), 0U) << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  EXPECT_TRUE(run.err.ends_with('\n')) << run.err;
  EXPECT_NE(run.err.find(part), std::string::npos) << "\"" << part << "\" is not in: " << run.err;
}

inline void expect_ok(const std::string& arguments) {
  const Finished run = call(arguments);
  EXPECT_EQ(run.status, 0) << arguments << ": " << run.err;
  EXPECT_EQ(run.err, "") << arguments;
}

inline rondo::RnnConfig config_of(Cell cell, std::int64_t layers, Direction direction,
                                  DType dtype = DType::kF32) {
  rondo::RnnConfig config{
      .cell = cell, .input_size = 3, .hidden_size = 5, .num_layers = layers, .direction = direction};
  config.dtype = dtype;
  return config;
}

inline void expect_same(const std::map<std::string, Array>& got, const std::string& name,
                        rondo::ConstTensorView expected) {
  const auto found = got.find(name);
  ASSERT_NE(found, got.end()) << name;
  EXPECT_EQ(to_string(found->second.sizes), rondo::to_string(expected.shape)) << name;
  EXPECT_EQ(found->second.dtype, expected.dtype) << name;
  const std::vector<std::byte>& bytes = found->second.bytes;
  EXPECT_TRUE(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == data_of(expected))
      << name << " differs from the library's";
}
inline std::map<std::string, Array> results(const std::string& path) {
  return read_npz(path, [](const std::string&) { return true; });
}

}  // namespace cli::testing
