// Backends that are opened at run time: what a good one gives, and the sentence for each that is refused.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "rondo/calibration.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

constexpr Device kCuda{Device::Kind::kCuda, 0};
constexpr Device kCuda1{Device::Kind::kCuda, 1};
const RnnConfig kConfig{.cell = Cell::kGru, .input_size = 3, .hidden_size = 5};

std::string folder(const std::string& name) { return RONDO_MODULES "/" + name; }

void set_variable(const char* name, const char* value) {
  value == nullptr ? unsetenv(name) : setenv(name, value, 1);
}

// Runs a check in a process of its own, with RONDO_BACKEND_DIR (null: unset): modules are opened once.
template <class Check>
void in_new_process(const char* directory, Check check) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        set_variable("RONDO_BACKEND_DIR", directory);
        set_variable("RONDO_DEVICE", nullptr);
        check();
        std::exit(::testing::Test::HasFailure() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "")
      << "see the failure above, which is of the child process";
}

// The message of the DeviceError that a call throws.
template <class Call>
std::string device_error(Call&& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected a DeviceError";
  return {};
}

void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

std::string reason_of(Device device) {
  for (const DeviceInfo& info : list_devices()) {
    if (info.device == device) return info.usable ? "usable" : info.reason;
  }
  return "not listed";
}

void run_once(Rnn& rnn) { (void)rnn.forward(Tensor(DType::kF32, {4, 2, 3})); }

// The reason is the same wherever it is told, and the CPU goes on working.
void expect_refused(const char* directory, const std::vector<std::string>& parts) {
  in_new_process(directory, [&] {
    const std::string reason = reason_of(kCuda);
    expect_parts(reason, parts);
    EXPECT_EQ(reason_of(kCuda1), "not listed");
    const Support support = supports(kConfig, Phase::kInference, kCuda);
    EXPECT_FALSE(support.ok);
    expect_parts(support.reason, {"cuda:0", reason});
    expect_parts(supports(kConfig, Phase::kTraining, kCuda1).reason, {"cuda:1", reason});

    Rnn rnn(kConfig);
    run_once(rnn);
    EXPECT_EQ(rnn.device(), Device());
    expect_parts(rnn.explain(), {"only device", "cuda:0: " + reason});
    set_variable("RONDO_DEVICE", "cuda");
    expect_parts(device_error([] { Rnn forced(kConfig); }), {"cuda:0", reason});
    expect_parts(device_error([] { Plan plan(kConfig, {.device = kCuda}); }), {"cuda:0", reason});
  });
}

void expect_folder_refused(const std::string& name, std::vector<std::string> parts) {
  parts.push_back(folder(name) + "/librondo_cuda.so");
  expect_refused(folder(name).c_str(), parts);
}

TEST(Module, ListsItsDevicesWithTheCpuInFront) {
  in_new_process(folder("good").c_str(), [] {
    const std::vector<DeviceInfo> devices = list_devices();
    ASSERT_EQ(devices.size(), 3u);
    EXPECT_EQ(devices[0].device, Device());
    EXPECT_EQ(devices[1].device, kCuda);
    EXPECT_TRUE(devices[1].usable);
    EXPECT_EQ(devices[1].name, "Fake GPU");
    EXPECT_EQ(devices[2].device, kCuda1);
    EXPECT_FALSE(devices[2].usable);
    EXPECT_EQ(devices[2].reason, "the driver is older than this fake");
  });
}

TEST(Module, SaysWhatItSupports) {
  in_new_process(folder("good").c_str(), [] {
    RnnConfig doubles = kConfig;
    doubles.dtype = DType::kF64;
    EXPECT_TRUE(supports(kConfig, Phase::kTraining, kCuda).ok);
    EXPECT_EQ(supports(doubles, Phase::kTraining, kCuda).reason, "the fake runs f32 alone");
    expect_parts(supports(kConfig, Phase::kInference, kCuda1).reason, {"cuda:1", "older than this fake"});
    expect_parts(device_error([&] { Plan plan(doubles, {.device = kCuda}); }), {"the fake runs f32 alone"});
  });
}

// Arrays that the fake takes for its device's, and a plan of it.
struct OnFake {
  template <class View>
  static View there(View view) {
    view.device = kCuda;
    return view;
  }
  Plan plan{kConfig, {.phase = Phase::kTraining, .max_t = 4, .max_n = 2, .device = kCuda}};
  Tensor parameters{DType::kF32, {parameter_count(kConfig)}}, x{DType::kF32, {4, 2, 3}},
      y{DType::kF32, {4, 2, 5}};
  PackedWeights weights = plan.pack(there(ConstTensorView(parameters)));

  void forward(Tape* tape) {
    ForwardArgs args;
    args.x = there(ConstTensorView(x));
    args.y = there(TensorView(y));
    args.tape = tape;
    plan.forward(weights, args);
  }
};

TEST(Module, ItsPlanRuns) {
  in_new_process(folder("good").c_str(), [] {
    OnFake fake;
    EXPECT_EQ(fake.plan.path(), "fake kernels");
    fake.forward(nullptr);
    for (const float value : fake.y.span<float>()) EXPECT_EQ(value, 42.0F);
  });
}

// A type that is two types on the two sides of the boundary would not be caught as itself.
TEST(Module, ItsExceptionsAreThoseOfTheProgram) {
  in_new_process(folder("good").c_str(), [] {
    EXPECT_EQ(device_error([] { Plan plan(kConfig, {.max_t = 4, .max_n = 65, .device = kCuda}); }),
              "fake: make_plan: out of memory at 65 rows");
    OnFake fake;
    Tape tape;
    fake.forward(&tape);
    EXPECT_EQ(device_error([&] { fake.plan.backward(fake.weights, tape, {}); }),
              "fake: backward: the device fell off the bus");
  });
}

TEST(Module, IsOneOfTheChoicesUnderAuto) {
  in_new_process(folder("good").c_str(), [] {
    Rnn rnn(kConfig);
    run_once(rnn);
    EXPECT_EQ(rnn.device(), Device()) << "so small a network does not pay for copies";
    expect_parts(rnn.explain(), {"cpu (1 thread): predicted", "fastest", "cuda:0: predicted", "of it copies",
                                 "cuda:1: the driver is older than this fake"});
  });
}

// Saves a calibration of the fake's own, changes the file's text, and gives the folder to the library.
void save_tuned(const std::string& from = "", const std::string& to = "") {
  Calibration tuned = published_calibration();
  tuned.origin = "tuned long ago";
  tuned.cpu.call_us *= 2;
  tuned.cuda.call_us *= 3;
  static const std::string cache = ::testing::TempDir() + "rondo modules " + std::to_string(getpid());
  set_variable("XDG_CACHE_HOME", cache.c_str());
  save_calibration(tuned, calibration_file());
  std::ifstream in(calibration_file());
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (const auto at = from.empty() ? std::string::npos : text.find(from); at != std::string::npos) {
    text.replace(at, from.size(), to);
  }
  std::ofstream(calibration_file()) << text;
}

TEST(Module, ACalibrationOfItsDevicesIsForThoseAlone) {
  const Calibration published = published_calibration();
  in_new_process(folder("good").c_str(), [&] {
    save_tuned();
    EXPECT_EQ(calibration().cuda.call_us, 3 * published.cuda.call_us);
    EXPECT_EQ(calibration().origin, "tuned long ago");
    EXPECT_EQ(load_calibration(calibration_file()).cuda.call_us, 3 * published.cuda.call_us);
    Rnn rnn(kConfig);
    run_once(rnn);
    expect_parts(rnn.explain(), {"coefficients: tuned long ago"});
    std::filesystem::remove_all(calibration_file().parent_path().parent_path());
  });
  in_new_process(folder("good").c_str(), [&] {
    save_tuned("Fake GPU", "Sold GPU");
    std::vector<std::string> lines;
    set_log([&](const std::string& line) { lines.push_back(line); });
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(calibration().cpu.call_us, 2 * published.cpu.call_us);
      EXPECT_EQ(calibration().cuda.call_us, published.cuda.call_us);
      EXPECT_EQ(calibration().origin, "tuned long ago for the CPU, published figures for GPUs");
    }
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty())
      expect_parts(lines[0], {"tuning.json cannot be used: it is for", "Sold GPU", "Fake GPU"});
    set_log(nullptr);
    std::filesystem::remove_all(calibration_file().parent_path().parent_path());
  });
}

TEST(Module, AForcedDeviceIsTakenOrRefusedByItsOwnReason) {
  in_new_process(folder("good").c_str(), [] {
    set_variable("RONDO_DEVICE", "cuda:0");
    EXPECT_EQ(Rnn(kConfig).device(), kCuda);
    set_variable("RONDO_DEVICE", "cuda:1");
    expect_parts(device_error([] { Rnn rnn(kConfig); }), {"cuda:1", "older than this fake"});
    set_variable("RONDO_DEVICE", "cuda:7");
    expect_parts(device_error([] { Rnn rnn(kConfig); }), {"cuda:7", "only cpu, cuda:0, cuda:1"});
  });
}

TEST(Module, IsOpenedOnceByWhicheverThreadIsFirst) {
  in_new_process(folder("good").c_str(), [] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([] { EXPECT_EQ(list_devices().size(), 3u); });
    for (std::thread& thread : threads) thread.join();
    set_variable("RONDO_BACKEND_DIR", folder("null").c_str());
    EXPECT_EQ(reason_of(kCuda), "usable") << "the variable is read at the first use alone";
  });
}

TEST(Module, KeepsItsSymbolsToItselfAndIsNeverUnloaded) {
  in_new_process(folder("good").c_str(), [] {
    const std::string file = folder("good") + "/librondo_cuda.so";
    const auto opened = [&] { return dlopen(file.c_str(), RTLD_NOW | RTLD_NOLOAD); };
    EXPECT_EQ(opened(), nullptr) << "before the first use";
    EXPECT_EQ(reason_of(kCuda), "usable");
    EXPECT_EQ(dlsym(RTLD_DEFAULT, "rondo_make_backend"), nullptr);
    void* handle = opened();
    ASSERT_NE(handle, nullptr);
    for (int times = 0; times < 2; ++times) dlclose(handle);  // ours, and the library's
    EXPECT_NE(opened(), nullptr);
    EXPECT_EQ(reason_of(kCuda), "usable");
  });
}

TEST(Module, OfAnotherBuildIsRefusedBeforeAnythingInItIsCalled) {
  const std::string ours = "this is rondo " + std::string(version()) + ", contract ";
  const std::string next = "install the module that came with this library";
  expect_folder_refused("wrong_version", {"is of rondo 0.0.9, contract ", ours, next});
  expect_folder_refused("wrong_contract", {"contract 0123456789abcdef, ", ours, next});
  expect_folder_refused("wrong_abi", {"C++ ABI 7/7, ", ours, next});
  expect_folder_refused("no_stamp", {"has no symbol rondo_build_stamp", next});
}

TEST(Module, WhoseFactoryFailsSaysHow) {
  expect_folder_refused("no_factory", {"has no symbol rondo_make_backend", "install the module"});
  expect_folder_refused("throwing", {"cannot start: fake: initialise: the driver answers 999"});
  expect_folder_refused("throwing_number", {"throws what is no std::exception", "install the module"});
  expect_folder_refused("null", {"made no backend", "install the module"});
  expect_folder_refused("wrong_kind", {"is a backend for cpu, expected one for cuda:0"});
}

TEST(Module, WithoutDevicesIsNamed) {
  expect_refused(folder("no_devices").c_str(), {"librondo_cuda.so lists no device"});
}

TEST(Module, ThatTheLoaderRefusesIsToldInTheLoadersWords) {
  expect_folder_refused("text", {"invalid ELF header", "install the module that came with this library"});
  expect_folder_refused("folder", {"install the module that came with this library"});
  expect_folder_refused("undefined_symbol", {"undefined symbol: rondo_nowhere", "install the module"});
  expect_folder_refused("missing_dependency",
                        {"needs what cannot be loaded: librondo_vendor.so.9: ", "install it, or add"});
}

TEST(ModuleDirectory, WithoutAModuleIsTheNormalCase) {
  expect_folder_refused("empty", {"this installation has no CUDA backend: ", " does not exist"});
  expect_folder_refused("not_there", {"this installation has no CUDA backend: ", " does not exist"});
}

TEST(ModuleDirectory, BesideTheLibraryUnlessItIsGiven) {
  const std::string file = RONDO_DEFAULT_MODULES "/librondo_cuda.so";
  if (std::filesystem::exists(file)) GTEST_SKIP() << "this build has a CUDA backend: " << file;
  expect_refused(nullptr, {"this installation has no CUDA backend: " + file + " does not exist"});
}

TEST(ModuleDirectory, HasToBeAbsolute) {
  for (const std::string text : {"", ".", "good", "./good", "../opened/good"}) {
    expect_refused(text.c_str(), {"RONDO_BACKEND_DIR is \"" + text + "\"", "absolute path", "unset it"});
  }
}

// The current directory holds a module that would work.
TEST(ModuleDirectory, IsNeverTheCurrentOne) {
  in_new_process("", [] {
    std::filesystem::current_path(folder("good"));
    expect_parts(reason_of(kCuda), {"RONDO_BACKEND_DIR is \"\""});
  });
  in_new_process(nullptr, [] {
    std::filesystem::current_path(folder("good"));
    for (const DeviceInfo& info : list_devices()) EXPECT_NE(info.name, "Fake GPU");
  });
}

}  // namespace
}  // namespace rondo::testing
