// The program `rondo` as it is called: its refusals, what it lists, and what it says of itself.
#include <sys/stat.h>
#include <zip.h>

#include "npy.h"
#include "npz.h"
#include "program_call.h"

namespace cli::testing {
namespace {

// A small network and its input, for what is refused.
class Refusals : public ::testing::Test {
 protected:
  Refusals() {
    model = folder.write("m.npz", npz_of(parameters_of(rnn, "")));
    x = folder.write("x.npy", npy_of(filled(DType::kF32, {4, 2, 3}, 1)));
    out = folder.at("out.npz");
  }
  std::string forward(const std::string& more = "") const {
    return "run " + model + " " + x + " -o " + out + " " + more;
  }
  void expect(const std::string& arguments, const std::string& part) const {
    expect_refused(arguments, part);
    EXPECT_FALSE(std::filesystem::exists(out));
  }

  Folder folder;
  rondo::Rnn rnn{config_of(Cell::kGru, 1, Direction::kForward), rondo::Device{}};
  std::string model, x, out;
};

TEST_F(Refusals, AFileOfWrongTypeOrShapeIsNamed) {
  const auto file = [&](const rondo::Tensor& tensor) { return folder.write("f.npy", npy_of(tensor)); };
  const std::string f = folder.at("f.npy");
  const auto expect_x = [&](const Tensor& tensor, const std::string& part) {
    expect("run " + model + " " + file(tensor) + " -o " + out, f + ": has " + part);
  };
  expect_x(filled(DType::kF32, {4, 2, 4}, 1), "shape [4, 2, 4], expected [T, N, I=3]");
  expect_x(filled(DType::kF32, {4, 3}, 1), "shape [4, 3], expected [T, N, I=3]");
  expect_x(filled(DType::kF32, {0, 2, 3}, 1), "shape [0, 2, 3], expected T of at least 1");
  expect_x(Tensor(DType::kI64, {4, 2, 3}), "elements of type i64, expected f32 or f64");
  const auto expect_option = [&](const char* option, const Tensor& tensor, const std::string& part) {
    expect(forward(std::string(option) + " " + file(tensor)), f + ": " + part);
  };
  expect_option("--h0", filled(DType::kF32, {1, 2, 4}, 1), "has shape [1, 2, 4], expected [L*D=1, N=2, H=5]");
  expect_option("--c0", filled(DType::kF32, {1, 2, 5}, 1), "is a cell state, which gru does not have");
  expect_option("--lengths", filled(DType::kF32, {2}, 1), "has elements of type f32, expected i32 or i64");
  expect_option("--lengths", Tensor(DType::kI64, {3}), "has shape [3], expected [N=2]");
  Tensor lengths(DType::kI64, {2});
  lengths.span<std::int64_t>()[1] = 5;
  expect_option("--lengths", lengths, "row 1 has length 5, expected 0 to T=4");
  lengths.span<std::int64_t>()[1] = -1;
  expect_option("--lengths", lengths, "row 1 has length -1");
  expect_option("--mask", Tensor(DType::kI32, {4, 2}), "has elements of type i32, expected bool or u8");
  expect_option("--mask", Tensor(DType::kU8, {2, 4}), "has shape [2, 4], expected [T=4, N=2]");
  expect_option("--resets", Tensor(DType::kU8, {4}), "has shape [4], expected [T=4, N=2]");
  expect("grad " + model + " " + x + " " + file(filled(DType::kF32, {4, 2, 4}, 1)) + " -o " + out,
         f + ": has shape [4, 2, 4], expected [T=4, N=2, D*H=5]");
}

TEST_F(Refusals, DamagedFilesAreNamedWithThePlace) {
  const std::string bytes = read(x), bad = folder.at("bad.npy"), member = read(model);
  const auto expect_bytes = [&](const std::string& text, const std::string& part) {
    folder.write("bad.npy", text);
    expect("run " + model + " " + bad + " -o " + out, bad + ": " + part);
  };
  expect_bytes(bytes.substr(0, 4), "starts with");
  expect_bytes(bytes.substr(0, 7), "ends after 7 bytes");
  expect_bytes(bytes.substr(0, 9), "ends after 9 bytes");
  expect_bytes(bytes.substr(0, 20), "says that its NPY header has");
  expect_bytes(bytes.substr(0, bytes.size() - 1), "has 95 bytes of data, expected 96");
  expect_bytes("", "starts with \"\"");
  expect_bytes(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0, 3)}", ""),
               "has shape");
  folder.write("bad.npy", member.substr(0, member.size() / 2));
  expect("info " + bad, bad + ": is no zip file");
  folder.write("bad.npy", safetensors_of("{\"weight_hh_l0\": {\"dtype\": \"F32\"}}", ""));
  expect("info " + bad, bad + ": tensor \"weight_hh_l0\": has no data_offsets");
  expect("info " + folder.at("none"), folder.at("none") + ": there is no such file");
  expect("info /dev/zero", "/dev/zero: is not a regular file");
}

// A member of 256 MiB of zeros in less than 1 MiB.
TEST_F(Refusals, AZipBombIsNotUnpacked) {
  const std::string path = folder.at("bomb.npz");
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  ASSERT_NE(archive, nullptr);
  const std::string head = npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (16384, 4096)}", "");
  std::vector<char> zeros(1 << 20);
  std::vector<zip_buffer_fragment_t> pieces(256,
                                            {reinterpret_cast<zip_uint8_t*>(zeros.data()), zeros.size()});
  pieces.insert(pieces.begin(),
                {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(head.data())), head.size()});
  zip_source_t* source = zip_source_buffer_fragment(archive, pieces.data(), pieces.size(), 0);
  ASSERT_EQ(zip_file_add(archive, "weight_hh_l0.npy", source, 0), 0);
  ASSERT_EQ(zip_close(archive), 0);
  ASSERT_LT(std::filesystem::file_size(path), 1U << 20);
  expect("info " + path, path + ": member \"weight_hh_l0.npy\": would take 268435");
}

// Counts in a zip's directory are claims too: 2^40 members.
TEST_F(Refusals, AZipDirectoryThatLiesTakesNoMemory) {
  const std::string whole = read(model), end = whole.substr(whole.size() - 22);
  const std::uint64_t begin = whole.size() - 22;
  const std::string many = little_endian(std::uint64_t{1} << 40, 8);
  const std::string wide =
      "PK\6\6" + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) + little_endian(0, 8) +
      many + many +
      little_endian(static_cast<unsigned char>(end[12]) |
                        static_cast<std::uint64_t>(static_cast<unsigned char>(end[13])) << 8,
                    8) +
      little_endian(0, 8);
  const std::string locator = "PK\6\7" + little_endian(0, 4) + little_endian(begin, 8) + little_endian(1, 4);
  const std::string last = "PK\5\6" + std::string(4, '\xFF') + std::string(12, '\xFF') + little_endian(0, 2);
  const std::string path = folder.write("lies.npz", whole.substr(0, begin) + wide + locator + last);
  const Finished run = call("info " + path, RONDO_SANITIZED ? "" : "ulimit -v 1000000;");
  EXPECT_EQ(run.status, 2) << run.err;
  EXPECT_EQ(run.err.find("rondo: " + path + ": is no zip file"), 0U) << run.err;
}

TEST_F(Refusals, ResultsAreWholeOrAbsent) {
  expect_refused(forward("--h0 " + folder.at("none")), "none: there is no such file");
  EXPECT_FALSE(std::filesystem::exists(out));
  folder.write("out.npz", "what was there");
  const std::size_t files = folder.files();
  // A file that may not grow beyond 1 KiB: the results do not fit.
  folder.write("x.npy", npy_of(filled(DType::kF32, {200, 2, 3}, 1)));
  const Finished full = call(forward(), "trap '' XFSZ; ulimit -f 1;");
  EXPECT_EQ(full.status, 1) << full.err;
  EXPECT_NE(full.err.find(out + ": cannot be written: "), std::string::npos) << full.err;
  EXPECT_EQ(read(out), "what was there");
  EXPECT_EQ(folder.files(), files) << "something half written is left";
  expect_ok(forward());
  EXPECT_EQ(results(out).size(), 2U);

  expect_refused("run " + model + " " + x + " -o " + model, "m.npz: is read by this call");
  const std::string pipe = folder.at("pipe.npz");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const Finished to_pipe = call("run " + model + " " + x + " -o " + pipe);
  EXPECT_EQ(to_pipe.status, 1);
  EXPECT_NE(to_pipe.err.find(pipe + ": cannot be written: it is there and is not"), std::string::npos)
      << to_pipe.err;
  EXPECT_TRUE(std::filesystem::is_fifo(pipe)) << "what is not a regular file was replaced";
  EXPECT_EQ(call("run " + model + " " + x + " -o " + folder.at("none/out.npz")).status, 1);
  EXPECT_EQ(call("run " + model + " " + x + " -o " + folder.at("out")).status, 2);
}

TEST_F(Refusals, DtypeConvertsFilesOfTheOtherType) {
  const Tensor wide = filled(DType::kF64, {4, 2, 3}, 1);
  folder.write("x.npy", npy_of(wide));
  expect_ok(forward());
  EXPECT_EQ(results(out).at("y").dtype, DType::kF32);
  expect_ok(forward("--dtype f64"));
  rondo::RnnConfig config = rnn.config();
  config.dtype = DType::kF64;
  rondo::Rnn twin(config, rondo::Device{});
  const auto from = rnn.parameters().span<float>();
  std::ranges::copy(from, twin.parameters().span<double>().begin());
  expect_same(results(out), "y", twin.forward(wide).y);
}

TEST_F(Refusals, WhatIsPrinted) {
  const Finished devices = call("devices"), info = call("info " + model), version = call("--version");
  EXPECT_EQ(devices.status + info.status + version.status, 0);
  EXPECT_EQ(devices.out.find("cpu "), 0U) << devices.out;
  EXPECT_NE(devices.out.find("\ncuda:0 "), std::string::npos) << devices.out;
  for (const char* part : {"NPZ: gru(reset_after) I=3 H=5 L=1 forward f32\n", "150 parameters\n",
                           "weight_hh_l0 ", "[15, 5]\n"}) {
    EXPECT_NE(info.out.find(part), std::string::npos) << info.out;
  }
  EXPECT_EQ(version.out, std::string(rondo::version()) + "\n");
  for (const char* each : {"", "devices", "info", "advise", "run", "grad"}) {
    const Finished help = call(std::string(each) + " --help");
    EXPECT_EQ(help.status, 0) << each;
    EXPECT_NE(help.out.find("\n  rondo " + std::string(each)), std::string::npos)
        << "no example: " << help.out;
  }
  EXPECT_EQ(call("run --masks f").status, 2);
  EXPECT_EQ(call("").status, 2);
  expect_refused(forward("--device gpu"), "device is \"gpu\", expected auto, cpu, cuda");
}

TEST(Advise, SaysTheTimesTheChoiceAndWhereItFlips) {
  const Finished run = call("advise --cell lstm --t 100 --n 1 --i 256 --h 256 --threads 2");
  ASSERT_EQ(run.status, 0) << run.err;
  for (const char* part : {"lstm I=256 H=256 L=1 forward f32, inference, T = 100, N = 1, 2 threads\n",
                           "\n  cpu  ", "\n  cuda:0 ", "\nchoice: ", "published figures"}) {
    EXPECT_NE(run.out.find(part), std::string::npos) << part << " is not in: " << run.out;
  }
  // By the published figures the two cross between T = 1 and 65,536: on both sides of the size that is named,
  // the prediction of the library itself is what the line says.
  const std::string mark = "N = 1: cpu up to T = ";
  const std::size_t at = run.out.find(mark);
  ASSERT_NE(at, std::string::npos) << run.out;
  const std::int64_t low = std::stol(run.out.substr(at + mark.size()));
  EXPECT_NE(run.out.find("cuda:0 from T = " + std::to_string(low + 1)), std::string::npos) << run.out;
  rondo::set_num_threads(2);
  rondo::RnnConfig config{.cell = Cell::kLstm, .input_size = 256, .hidden_size = 256};
  const auto faster_on_cpu = [&](std::int64_t t) {
    const auto devices = rondo::advise(config, rondo::Phase::kInference, t, 1).devices;
    return devices.at(0).us <= devices.at(1).us;
  };
  EXPECT_TRUE(faster_on_cpu(low));
  EXPECT_FALSE(faster_on_cpu(low + 1));
  rondo::set_num_threads(0);

  const Finished forced = call("advise --h 64", "export RONDO_DEVICE=cpu;");
  EXPECT_NE(forced.out.find("RONDO_DEVICE=cpu overrides"), std::string::npos) << forced.out;
}

}  // namespace
}  // namespace cli::testing
