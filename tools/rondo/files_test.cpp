// The readers of NPY, NPZ and safetensors on good, damaged and lying bytes, and what they allocate.
#include <gtest/gtest.h>
#include <zip.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "file_error.h"
#include "model.h"
#include "npy.h"
#include "npz.h"
#include "test_files.h"

namespace {
std::size_t largest_request = 0;  // of operator new, since it was set to 0
}

// Counted rather than replaced.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  largest_request = std::max(largest_request, bytes);
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace cli::testing {
namespace {

rondo::Rnn small_network() {
  return rondo::Rnn({.cell = rondo::Cell::kGru, .input_size = 2, .hidden_size = 3}, rondo::Device{});
}

Array parse(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return parse_npy(std::move(bytes), "x.npy", "");
}

// The message of the FileError that the call throws, which has to be one line; empty when there is none.
template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const FileError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return {};
}
std::string model_refusal(const std::string& path) {
  return refusal([&] { (void)load_model({.path = path}); });
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

TEST(Npy, IsReadInEveryVersionAndSpelling) {
  const std::string data = little_endian(0x3F800000, 4) + little_endian(0x40000000, 4);  // 1 and 2
  for (const std::string header : {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }   \n",
                                   "{\"shape\":(2,1),\"fortran_order\":False,\"descr\":\"<f4\"}"}) {
    for (const int version : {1, 2, 3}) {
      const Array array = parse(npy_of(header, data, version));
      EXPECT_EQ(array.sizes, (Sizes{2, 1}));
      const rondo::Tensor tensor = float_tensor(array, rondo::DType::kF64, {2, -1}, "");
      EXPECT_EQ(tensor.span<double>()[0], 1);
      EXPECT_EQ(tensor.span<double>()[1], 2);
    }
  }
}

TEST(Npy, FortranOrderIsTurned) {
  // Element (a, b, c) is 100 a + 10 b + c, the first index fastest.
  std::string data;
  for (int c = 0; c < 4; ++c) {
    for (int b = 0; b < 3; ++b) {
      for (int a = 0; a < 2; ++a) data += little_endian(static_cast<std::uint64_t>(100 * a + 10 * b + c), 8);
    }
  }
  const Array array = parse(npy_of("{'descr': '<i8', 'fortran_order': True, 'shape': (2, 3, 4)}", data));
  std::string expected;
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 3; ++b) {
      for (int c = 0; c < 4; ++c)
        expected += little_endian(static_cast<std::uint64_t>(100 * a + 10 * b + c), 8);
    }
  }
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size()), expected);
}

TEST(Npy, HeadersThatLieAreRefusedWithTheReason) {
  const std::string rest = ", 'fortran_order': False, 'shape': (2,)}", f4 = "{'descr': '<f4'";
  const std::string after = f4 + ", 'fortran_order': False, 'shape': ";
  const std::pair<std::string, std::string> cases[] = {
      {"{'descr': '>f4'" + rest, "\">f4\", expected <f4 or <f8"},
      {"{'descr': '|O'" + rest, "\"|O\""},
      {"{'descr': [('a', '<f4')]" + rest, "has \"[\" at byte"},
      {"{'descr': '<f4" + rest, "has"},
      {f4 + ", 'fortran_order': false, 'shape': (2,)}", "expected True or False"},
      {after + "(2,)} 1", "goes on"},
      {after + "(2,)", "its end"},
      {after + "(2 2)}", "expected \")\""},
      {after + "(-2,)}", "in its shape"},
      {after + "(2.0,)}", "expected"},
      {after + "(9223372036854775808,)}", "in its shape"},
      {after + "(4294967296, 4294967296)}", "no 64 bits"},
      {after + "(4611686018427387904, 2, 0)}", "no 64 bits"},
      {after + "(3,)}", "has 8 bytes of data, expected 12"},
      {after + "(1,)}", "has 8 bytes of data, expected 4"},
      {after + "(2,), 'shape': (2,)}", "once each"},
      {after + "(2,), 'more': (2,)}", "\"more\""},
      {f4 + ", 'fortran_order': False}", "lacks"},
      {"", "its end"},
      {after + "(" +
           std::string(66, '1').replace(1, 65,
                                        ",1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,") +
           ")}",
       "more than 32"},
      {"{'\n\x01 \x80" + std::string(200, 'a') + "': 1}", "\\x0a\\x01 \\x80aaa"},
  };
  for (const auto& [header, part] : cases) {
    const std::string bytes = npy_of(header, std::string(8, '\0'));
    const std::string text = refusal([&] { (void)parse(bytes); });
    EXPECT_EQ(text.find("x.npy: "), 0U) << header;
    EXPECT_LT(text.size(), 200U) << text;
    expect_part(text, part);
  }
  expect_part(refusal([] { (void)parse("\x93NUMPX\1"); }), "NUMPX");
  expect_part(refusal([] { (void)parse(npy_of("{}", "", 4)); }), "version 4.0");
  std::string huge = npy_of("{}", "", 2);
  huge.replace(8, 4, "\xFF\xFF\xFF\xFF");
  expect_part(refusal([&] { (void)parse(huge); }),
              "says that its NPY header has 4294967295 bytes, but only 2");
}

TEST(Npy, WhatIsWrittenIsWhatIsRead) {
  for (const rondo::DType dtype : {rondo::DType::kF32, rondo::DType::kF64}) {
    for (const rondo::Shape& shape : {rondo::Shape{5}, rondo::Shape{2, 3}, rondo::Shape{2, 0, 3}}) {
      const rondo::Tensor tensor = filled(dtype, shape, 3);
      const std::string header = npy_header(dtype, shape);
      EXPECT_EQ(header.size() % 64, 0U);
      const Array array = parse(header + data_of(tensor));
      EXPECT_EQ(to_string(array.sizes), rondo::to_string(shape));
      EXPECT_EQ(array.dtype, dtype);
    }
  }
}

// Every prefix of a file is refused, and no byte that is changed makes anything but a network or a refusal.
// What is asked of memory at once stays near the size of the file.
void sweep(const std::string& bytes, const std::string& name) {
  const Folder folder;
  const std::string path = folder.write(name, bytes);
  ASSERT_EQ(model_refusal(path), "");
  largest_request = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    folder.write(name, bytes.substr(0, size));
    const std::string text = model_refusal(path);
    EXPECT_EQ(text.find(path + ": "), 0U) << "the first " << size << " bytes";
  }
  std::size_t refused = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const char mask : {'\x01', '\x80', '\xFF'}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      folder.write(name, changed);
      refused += model_refusal(path).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 0U);
  EXPECT_LT(largest_request, 64 * 1024 + 4 * bytes.size());
}

TEST(Damage, SafetensorsAreRefusedAtEveryTruncation) {
  rondo::Rnn rnn = small_network();
  sweep(safetensors_of(parameters_of(rnn, "gru.")), "m.safetensors");
}

TEST(Damage, NpzAreRefusedAtEveryTruncation) {
  rondo::Rnn rnn = small_network();
  sweep(npz_of(parameters_of(rnn, "")), "m.npz");
}

TEST(Damage, NpyAreRefusedAtEveryTruncation) {
  const std::string bytes = npy_of(filled(rondo::DType::kF32, {2, 3}, 1));
  ASSERT_EQ(refusal([&] { (void)parse(bytes); }), "");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal([&] { (void)parse(bytes.substr(0, size)); }), "") << "the first " << size << " bytes";
  }
}

// A header of one GRU's tensor and what is wrong with it.
TEST(Safetensors, HeadersThatLieAreRefusedWithTheReason) {
  const Folder folder;
  const std::string data(24, '\0');
  const auto refused = [&](const std::string& header) {
    return model_refusal(folder.write("m.safetensors", safetensors_of(header, data)));
  };
  const auto entry = [](const std::string& facts) { return "{\"weight_hh_l0\": {" + facts + "}}"; };
  const std::string type = R"("dtype": "F32", )", shape = R"("shape": [6, 1], )",
                    range = R"("data_offsets": [0, 24])";
  const std::pair<std::string, std::string> cases[] = {
      {"{\"weight", "header: "},
      {"{]", "header: "},
      {"{\"a\":{\"b\":[[[[1]]]]}}", "nested"},
      {"{" + std::string(5000, '['), "header: "},
      {"{\"a\": 1}", "no JSON object"},
      {entry(R"("dtype": "BF16", )" + shape + range), "\"BF16\", expected F32 or F64"},
      {entry(shape + range), "expected F32 or F64"},
      {entry(type + range), "has no shape"},
      {entry(type + R"("shape": [6, 1])"), "no data_offsets"},
      {entry(type + shape + R"("data_offsets": [0, -24])"), "no data_offsets"},
      {entry(type + shape + R"("data_offsets": [0, 24.0])"), "no data_offsets"},
      {entry(type + shape + R"("data_offsets": [0, 25])"), "of which there are 24"},
      {entry(type + shape + R"("data_offsets": [24, 0])"), "of which there are 24"},
      {entry(type + shape + R"("data_offsets": [0, 20])"), "expected the 20 of its header"},
      {entry(type + shape + R"("data_offsets": [4, 24])"), "starts at byte 4"},
      {entry(type + R"("shape": [6, -1], )" + range), "in its shape"},
      {entry(type + R"("shape": [6, "\n"], )" + range), "in its shape"},
      {entry(type + R"("shape": [18446744073709551615, 6], )" + range), "in its shape"},
      {entry(type + R"("shape": [4294967296, 4294967296], )" + range), "no 64 bits"},
      {entry(type + R"("shape": [5, 1], )" + range), "has 24 bytes of data, expected 20"},
      {entry(type + R"("shape": [], )" + R"("data_offsets": [0, 24])"), "expected 4"},
      {"{\"a\": {" + type + shape + range + "}, \"a\": {" + type + shape + range + "}}", "twice"},
      {"{\"a\": {" + range + "}, \"b\": {" + range + "}}", "starts at byte 0 of the data, expected 24"},
  };
  for (const auto& [header, part] : cases) {
    const std::string text = refused(header);
    EXPECT_EQ(text.find(folder.at("m.safetensors") + ": "), 0U) << header;
    expect_part(text, part);
  }
  std::string huge = safetensors_of("{}", "");
  huge.replace(0, 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F");
  expect_part(model_refusal(folder.write("m.safetensors", huge)),
              "9223372036854775807 bytes, but only 2 follow");
}

TEST(Npz, MembersThatLieAreRefusedWithTheReason) {
  const Folder folder;
  const auto refused = [&](const std::string& bytes) { return model_refusal(folder.write("m.npz", bytes)); };
  rondo::Rnn rnn = small_network();
  Files members;
  for (const auto& [name, view] : parameters_of(rnn, "")) members.emplace_back(name + ".npy", npy_of(view));
  EXPECT_EQ(refused(zip_of(members)), "");

  Files bad = members;
  bad[1].second = "\x93NUMPX";
  expect_part(refused(zip_of(bad)), "m.npz: member \"weight_hh_l0.npy\": starts with");
  bad = members;
  bad.push_back(members[0]);  // there twice, which libzip itself refuses
  EXPECT_NE(refused(zip_of(bad)), "");
  // Sizes in the directory are claims: too small, too large, beyond the cap.
  EXPECT_NE(refused(zip_of(members, 50)), "");
  EXPECT_NE(refused(zip_of(members, 1 << 20)), "");
  expect_part(refused(zip_of(members, 0xFFFFFFF0)), "would take 4294967280 bytes");
  // One changed byte of data, which the checksum tells.
  std::string changed = zip_of(members);
  const std::size_t at = changed.find("\x93NUMPY") + 120;
  changed[at] = static_cast<char>(changed[at] ^ 1);
  expect_part(refused(changed), "member");
  EXPECT_EQ(refused("PK, and then something else").find(folder.at("m.npz") + ": is no zip file"), 0U);
}

// Compressed members, whose true size only unpacking shows, by libzip; the sizes that are claimed then
// changed.
TEST(Npz, CompressedMembersHaveToBeAsLongAsTheySay) {
  const Folder folder;
  const std::string path = folder.at("m.npz");
  rondo::Rnn rnn({.cell = rondo::Cell::kGru, .input_size = 20, .hidden_size = 30}, rondo::Device{});
  std::ranges::fill(rnn.parameters().span<float>(), 0.0F);  // which are stored where they do not compress
  Files members;
  for (const auto& [name, view] : parameters_of(rnn, "")) members.emplace_back(name + ".npy", npy_of(view));
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    ASSERT_GE(zip_file_add(archive, name.c_str(), source, 0), 0);
  }
  ASSERT_EQ(zip_close(archive), 0);
  ASSERT_EQ(model_refusal(path), "");
  const std::string whole = read(path), size = little_endian(members[0].second.size(), 4);
  for (const int change : {-1, 1, 1000}) {
    std::string changed = whole;
    std::size_t places = 0;
    for (std::size_t at = 0; (at = changed.find(size, at)) != std::string::npos; ++at, ++places) {
      const auto claimed =
          static_cast<std::uint64_t>(static_cast<std::int64_t>(members[0].second.size()) + change);
      changed.replace(at, 4, little_endian(claimed, 4));
    }
    ASSERT_GE(places, 2U) << "in the member's own header and in the directory";
    folder.write("m.npz", changed);
    expect_part(model_refusal(path), change < 0 ? "holds more bytes than the" : "holds fewer bytes than the");
  }
}

TEST(Model, NamesAndShapesThatMakeNoNetworkAreRefused) {
  const Folder folder;
  const auto refused = [&](const Views& views) {
    return model_refusal(folder.write("m.safetensors", safetensors_of(views)));
  };
  rondo::Rnn rnn = small_network();
  const Views good = parameters_of(rnn, "");
  const auto changed = [&](std::size_t at, const char* name, const rondo::Tensor& tensor) {
    Views views = good;
    views[at] = {name, tensor};
    return refused(views);
  };
  using rondo::DType;
  expect_part(changed(0, "weight_ih_l0", filled(DType::kF32, {9}, 1)),
              "weight_ih_l0\": has shape [9], expected two");
  expect_part(changed(0, "weight_ih_l0", filled(DType::kF32, {8, 2}, 1)), "[8, 2], expected [9, 2]");
  expect_part(changed(0, "weight_ih_l0", filled(DType::kF32, {0, 0}, 1)), "at least 1");
  expect_part(changed(0, "weight_xx_l0", filled(DType::kF32, {9, 2}, 1)), "lacks weight_ih_l0");
  expect_part(changed(1, "weight_hh_l0", filled(DType::kF32, {6, 3}, 1)), "expected 4*H rows for an LSTM");
  expect_part(changed(1, "weight_hh_l0", filled(DType::kF32, {0, 3}, 1)), "at least 1");
  expect_part(changed(2, "bias_ih_l0", filled(DType::kF32, {8}, 1)),
              "bias_ih_l0\": has shape [8], expected [9]");
  expect_part(changed(2, "bias_ih_l999999", filled(DType::kF32, {9}, 1)),
              "4 tensors of a network, expected 4000000");
  Views reversed;  // which PyTorch has beside the forward direction alone
  for (const auto& [name, view] : good) reversed.emplace_back(name + "_reverse", view);
  expect_part(refused(reversed), "lacks weight_hh_l0");
  expect_part(changed(2, "weight_hr_l0", filled(DType::kF32, {2, 3}, 1)),
              "weight_hr tensors, which only an LSTM has");
  Views normalised;  // an RNN of one gate
  const rondo::Tensor square = filled(DType::kF32, {3, 3}, 1), factors = filled(DType::kF32, {3}, 1);
  for (const char* name : {"weight_ih_l0", "weight_hh_l0"}) normalised.emplace_back(name, square);
  for (const char* name : {"norm_ih_l0", "norm_hh_l0"}) normalised.emplace_back(name, factors);
  expect_part(refused(normalised), "holds no network that Rondo has: RnnConfig: layer_norm is set for rnn");
  expect_part(changed(2, "weight_ch_l0", filled(DType::kF32, {9}, 1)),
              "weight_ch tensors, which only an LSTM has");
  expect_part(changed(2, "enc.bias_ih_l0", filled(DType::kF32, {9}, 1)), "holds 2 networks");
  expect_part(refused({}), "holds no weight_ih_l0");
  const std::string path = folder.write("m.safetensors", safetensors_of(good));
  expect_part(refusal([&] { (void)load_model({.path = path, .cell = "lstm"}); }),
              "expected 4*H rows for --cell lstm");
  expect_part(refusal([&] { (void)load_model({.path = path, .prefix = "a."}); }), "only \"\"");
}

TEST(Model, ChoosesBetweenNetworksByPrefixAndTakesOtherTensorsForWhatTheyAre) {
  const Folder folder;
  rondo::Rnn first({.cell = rondo::Cell::kLstm, .input_size = 2, .hidden_size = 3}, rondo::Device{});
  rondo::Rnn second({.cell = rondo::Cell::kSimpleRnn, .input_size = 4, .hidden_size = 5}, rondo::Device{});
  const rondo::Tensor head = filled(rondo::DType::kF32, {2, 2}, 1);
  Views views = parameters_of(first, "encoder.");
  for (const auto& view : parameters_of(second, "decoder.rnn.")) views.push_back(view);
  views.emplace_back("head.weight", head);
  for (const std::string& path :
       {folder.write("m.safetensors", safetensors_of(views)), folder.write("m.npz", npz_of(views))}) {
    EXPECT_EQ(load_model({.path = path, .prefix = "encoder."}).config.cell, rondo::Cell::kLstm);
    const Model model = load_model({.path = path, .prefix = "decoder.rnn."});
    EXPECT_EQ(model.config, second.config());
    ASSERT_EQ(model.notes.size(), 1U);
    expect_part(model.notes[0], "rnn_relu");
    const Model relu = load_model({.path = path, .cell = "rnn_relu", .prefix = "decoder.rnn."});
    EXPECT_EQ(relu.config.activation, rondo::Activation::kRelu);
    EXPECT_TRUE(relu.notes.empty());
  }
}

}  // namespace
}  // namespace cli::testing
