// RONDO_DEVICE, the list of devices, what each supports, and how a network chooses and explains.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>

#include "rejected.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

constexpr Device kCpu{Device::Kind::kCpu, 0};
constexpr Device cuda(int index) { return {Device::Kind::kCuda, index}; }

// RONDO_DEVICE for the life of a test.
class DeviceVariable {
 public:
  explicit DeviceVariable(const char* value) {
    const char* before = std::getenv("RONDO_DEVICE");
    if (before != nullptr) before_ = before;
    set(value);
  }
  ~DeviceVariable() { set(before_ ? before_->c_str() : nullptr); }
  DeviceVariable(const DeviceVariable&) = delete;
  DeviceVariable& operator=(const DeviceVariable&) = delete;

 private:
  static void set(const char* value) {
    value == nullptr ? unsetenv("RONDO_DEVICE") : setenv("RONDO_DEVICE", value, 1);
  }
  std::optional<std::string> before_;
};

bool has_usable_cuda() {
  for (const DeviceInfo& info : list_devices()) {
    if (info.device.kind == Device::Kind::kCuda && info.usable) return true;
  }
  return false;
}

void run_once(Rnn& rnn) { (void)rnn.forward(filled(rnn.config().dtype, {kT, kN, kI})); }

// The message of the DeviceError that a call throws.
template <class Call>
std::string device_error(Call&& call) {
  try {
    call();
  } catch (const DeviceError& e) {
    return e.what();
  }
  ADD_FAILURE() << "expected a DeviceError";
  return {};
}

TEST(ParseDevice, LegalValues) {
  EXPECT_EQ(parse_device("auto"), DeviceChoice());
  EXPECT_EQ(parse_device("cpu"), DeviceChoice(kCpu));
  EXPECT_EQ(parse_device("cuda"), DeviceChoice(cuda(0)));
  EXPECT_EQ(parse_device("cuda:0"), DeviceChoice(cuda(0)));
  EXPECT_EQ(parse_device("cuda:12"), DeviceChoice(cuda(12)));
}

TEST(ParseDevice, NamesAndBack) {
  for (const Device device : {kCpu, cuda(0), cuda(3)})
    EXPECT_EQ(parse_device(to_string(device)), DeviceChoice(device));
  EXPECT_EQ(to_string(kCpu), "cpu");
  EXPECT_EQ(to_string(cuda(1)), "cuda:1");
}

const char* const kIllegal[] = {"gpu",
                                "CPU",
                                "cpu:0",
                                " cpu",
                                "cpu ",
                                "cuda:",
                                "cuda:-1",
                                "cuda:x",
                                "cuda:1x",
                                "cuda: 1",
                                "cuda:1.5",
                                "cuda1",
                                "cuda:99999999999999999999"};

TEST(ParseDevice, AnythingElseListsTheLegalValues) {
  for (const char* text : kIllegal) {
    expect_rejected([&] { (void)parse_device(text); },
                    {std::string("\"") + text + "\"", "auto", "cpu", "cuda", "cuda:N"});
  }
  expect_rejected([] { (void)parse_device(""); }, {"\"\"", "auto", "cpu", "cuda:N"});
}

TEST(DeviceVariable, IsReadAtEveryCall) {
  const DeviceVariable unset(nullptr);
  EXPECT_EQ(device_from_environment(), DeviceChoice());
  for (const auto& [text, choice] : {std::pair{"", DeviceChoice()},
                                     {"auto", DeviceChoice()},
                                     {"cpu", DeviceChoice(kCpu)},
                                     {"cuda", DeviceChoice(cuda(0))},
                                     {"cuda:2", DeviceChoice(cuda(2))}}) {
    const DeviceVariable variable(text);
    EXPECT_EQ(device_from_environment(), choice) << text;
  }
}

TEST(DeviceVariable, AnIllegalValueIsNamedWithItsSource) {
  for (const char* text : kIllegal) {
    const DeviceVariable variable(text);
    expect_rejected([] { (void)device_from_environment(); }, {"RONDO_DEVICE", text, "auto", "cpu", "cuda:N"});
    expect_rejected([] { Rnn rnn(valid_config()); }, {"RONDO_DEVICE", text});
  }
}

TEST(DeviceVariable, CpuIsTakenAndExplained) {
  const DeviceVariable variable("cpu");
  Rnn rnn(valid_config());
  run_once(rnn);
  EXPECT_EQ(rnn.device(), kCpu);
  EXPECT_NE(rnn.explain().find("cpu"), std::string::npos) << rnn.explain();
  EXPECT_NE(rnn.explain().find("asked for"), std::string::npos) << rnn.explain();
}

TEST(DeviceVariable, CodeOverridesIt) {
  const DeviceVariable variable("cuda");
  Rnn rnn(valid_config(), kCpu);
  run_once(rnn);
  EXPECT_EQ(rnn.device(), kCpu);
}

TEST(DeviceVariable, CudaWhereNoneIsUsableSaysWhatIsMissing) {
  if (has_usable_cuda()) GTEST_SKIP() << "a CUDA device is usable here";
  for (const char* text : {"cuda", "cuda:3"}) {
    const DeviceVariable variable(text);
    const std::string message = device_error([] {
      Rnn rnn(valid_config());
      run_once(rnn);
    });
    EXPECT_NE(message.find("cuda:"), std::string::npos) << message;
    EXPECT_NE(message.find("CUDA"), std::string::npos) << message;
  }
  const std::string plan =
      device_error([] { Plan p(valid_config(), {.max_t = 2, .max_n = 2, .device = cuda(0)}); });
  EXPECT_NE(plan.find("cuda:0"), std::string::npos) << plan;
}

TEST(DeviceVariable, AutoWithOnlyACpuSaysSo) {
  if (has_usable_cuda()) GTEST_SKIP() << "a CUDA device is usable here";
  for (const char* text : {"auto", ""}) {
    const DeviceVariable variable(text);
    Rnn rnn(valid_config());
    const std::string before = rnn.explain();
    run_once(rnn);
    EXPECT_EQ(rnn.device(), kCpu);
    EXPECT_NE(rnn.explain().find("only device"), std::string::npos) << rnn.explain();
    EXPECT_NE(rnn.explain().find("cuda:0"), std::string::npos) << rnn.explain();
    EXPECT_NE(rnn.explain(), before);
  }
}

TEST(Explain, NamesDevicePathReasonAndTimes) {
  const DeviceVariable variable("auto");
  Rnn rnn(valid_config());
  run_once(rnn);
  for (const char* part : {"cpu", "predicted", " us", "thread"}) {
    EXPECT_NE(rnn.explain().find(part), std::string::npos) << part << " is not in: " << rnn.explain();
  }
}

TEST(ListDevices, TheCpuIsUsableAndTheOthersSayWhyNot) {
  const std::vector<DeviceInfo> devices = list_devices();
  ASSERT_FALSE(devices.empty());
  EXPECT_EQ(devices.front().device, kCpu);
  EXPECT_TRUE(devices.front().usable);
  EXPECT_FALSE(devices.front().name.empty());
  std::set<std::string> names;
  for (const DeviceInfo& info : devices) {
    EXPECT_TRUE(names.insert(to_string(info.device)).second) << to_string(info.device) << " is listed twice";
    EXPECT_EQ(info.usable, info.reason.empty()) << to_string(info.device) << ": " << info.reason;
  }
  EXPECT_TRUE(names.contains("cuda:0")) << "a device that this build knows of, usable or not";
}

// This program links the library statically; tests/modules has the programs that open backends.
TEST(ListDevices, AStaticLibraryOpensNoBackend) {
  for (const DeviceInfo& info : list_devices()) {
    if (info.device.kind != Device::Kind::kCuda) continue;
    EXPECT_EQ(info.reason,
              "this program links rondo statically; the CUDA backend needs the shared library: "
              "link librondo.so instead");
  }
}

TEST(Supports, TheCpuRunsEveryConfiguration) {
  for (const Cell cell : {Cell::kSimpleRnn, Cell::kLstm, Cell::kGru}) {
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
        RnnConfig config = valid_config(cell);
        config.dtype = dtype;
        config.num_layers = 3;
        config.direction = Direction::kBidirectional;
        config.dropout = config.recurrent_dropout = config.layer_dropout = 0.5;
        const Support support = supports(config, phase);
        EXPECT_TRUE(support.ok) << support.reason;
        EXPECT_TRUE(support.reason.empty()) << support.reason;
      }
    }
  }
}

TEST(Supports, TheCpuRefusesTypesOf16BitsWithASentence) {
  for (const auto& [dtype, name] : {std::pair{DType::kF16, "f16"}, std::pair{DType::kBf16, "bf16"}}) {
    RnnConfig config = valid_config();
    config.dtype = dtype;
    const std::string sentence = std::string("the CPU backend computes in f32 and f64, not in ") + name;
    const Support support = supports(config, Phase::kTraining);
    EXPECT_FALSE(support.ok);
    EXPECT_EQ(support.reason, sentence);
    const auto expect_refused = [&](const auto& call, const std::string& message) {
      try {
        call();
        ADD_FAILURE() << "accepted, expected DeviceError";
      } catch (const DeviceError& error) {
        EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
      }
    };
    expect_refused([&] { Plan plan(config, {.max_t = 2, .max_n = 2}); }, "cpu: " + sentence);
    const Tensor x(dtype, {kT, kN, kI});
    const DeviceVariable none_asked_for("auto");
    for (const DeviceChoice choice : {DeviceChoice(Device{}), DeviceChoice()}) {
      Rnn rnn(config, choice);
      rnn.initialize(Initializer::kPyTorch, 1);
      expect_refused([&] { (void)rnn.forward(x); }, sentence);
    }
  }
}

// The CPU has no TF32: what it computes when it may use it are the bits of f32.
TEST(Supports, TheCpuComputesF32WhereTf32IsAllowed) {
  RnnConfig config = valid_config(), fast = config;
  fast.math_mode = MathMode::kTf32;
  EXPECT_EQ(to_string(fast), to_string(config) + " tf32");
  Rnn strict(config, Device{}), relaxed(fast, Device{});
  strict.initialize(Initializer::kPyTorch, 1);
  relaxed.initialize(Initializer::kPyTorch, 1);
  Tensor x(DType::kF32, {kT, kN, kI});
  for (float value = 0; float& e : x.span<float>()) e = value += 0.1F;
  Tape tapes[2];
  const ForwardResult a = strict.forward(x, {.tape = &tapes[0]}), b = relaxed.forward(x, {.tape = &tapes[1]});
  const BackwardResult da = strict.backward(tapes[0], {.dy = a.y}),
                       db = relaxed.backward(tapes[1], {.dy = b.y});
  const auto expect_same = [](std::span<const float> u, std::span<const float> v) {
    EXPECT_TRUE(std::ranges::equal(u, v));
  };
  expect_same(a.y.span<float>(), b.y.span<float>());
  expect_same(da.dx.span<float>(), db.dx.span<float>());
  expect_same(strict.gradients().span<float>(), relaxed.gradients().span<float>());
}

TEST(Supports, AMissingDeviceIsASentence) {
  for (const Device device : {cuda(77), Device{Device::Kind::kCpu, 5}}) {
    const Support support = supports(valid_config(), Phase::kInference, device);
    EXPECT_FALSE(support.ok);
    EXPECT_NE(support.reason.find(device.kind == Device::Kind::kCpu ? "cpu" : "cuda:77"), std::string::npos)
        << support.reason;
  }
  RnnConfig wrong = valid_config();
  wrong.hidden_size = 0;
  expect_rejected([&] { (void)supports(wrong, Phase::kInference); }, {"hidden_size", "0"});
}

TEST(Advise, IsTheChoiceOfANetworkThatIsPlannedForTheseSizes) {
  const DeviceVariable none_asked_for("auto");
  const Advice advice = advise(valid_config(), Phase::kInference, kT, kN);
  Rnn rnn(valid_config());
  run_once(rnn);
  EXPECT_EQ(advice.device, rnn.device());
  EXPECT_EQ(rnn.explain().find(advice.reason), 0U) << rnn.explain() << "\n" << advice.reason;
  ASSERT_EQ(advice.devices.size(), list_devices().size());
  for (const Advice::Prediction& p : advice.devices) {
    EXPECT_GT(p.us, p.copies_us) << to_string(p.info.device);
    EXPECT_EQ(p.copies_us > 0, p.info.device != kCpu) << to_string(p.info.device);
    EXPECT_NE(p.support.ok, !p.support.reason.empty()) << to_string(p.info.device);
  }
}

TEST(Advise, GrowsWithTheSizesAndThePhase) {
  const auto cpu_us = [](Phase phase, std::int64_t t, std::int64_t n) {
    return advise(valid_config(), phase, t, n, kCpu).devices.at(0).us;
  };
  const double base = cpu_us(Phase::kInference, 1000, 100);
  EXPECT_GT(cpu_us(Phase::kInference, 2000, 100), 1.9 * base);
  EXPECT_GT(cpu_us(Phase::kInference, 1000, 200), 1.1 * base);
  EXPECT_GT(cpu_us(Phase::kTraining, 1000, 100), 2 * base);
}

TEST(Advise, ObeysTheDeviceAskedForAndRefusesWhatAPlanWould) {
  const DeviceVariable asked("cuda:77");
  EXPECT_THROW((void)advise(valid_config(), Phase::kInference, kT, kN), DeviceError);
  EXPECT_EQ(advise(valid_config(), Phase::kInference, kT, kN, kCpu).device, kCpu);
  expect_rejected([&] { (void)advise(valid_config(), Phase::kInference, 0, kN, kCpu); }, {"max_t", "0"});
  RnnConfig wrong = valid_config();
  wrong.hidden_size = 0;
  expect_rejected([&] { (void)advise(wrong, Phase::kInference, kT, kN, kCpu); }, {"hidden_size", "0"});
}

TEST(Threads, TheNumberIsAskedForAndRestored) {
  const int standard = num_threads();
  EXPECT_GE(standard, 1);
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(0);
  EXPECT_EQ(num_threads(), standard);
  set_num_threads(2);
  set_num_threads(-4);
  EXPECT_EQ(num_threads(), standard);
}

}  // namespace
}  // namespace rondo::testing
