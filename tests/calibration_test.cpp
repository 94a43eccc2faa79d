// Coefficients of the cost model: their file, what is wrong with one, and what plans make of them.
#include "rondo/calibration.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/cost_model.h"
#include "rondo/rondo.h"

namespace rondo::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// A folder of its own for caches, in which every coefficient of a file differs from the published one.
class CalibrationFile : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
    setenv("RONDO_DEVICE", "cpu", 1);
    other_ = published_calibration();
    double factor = 1.25;
    for (const auto& [name, value] : kCpuCoefficients) other_.cpu.*value *= factor += 0.125;
    for (const auto& [name, value] : kCudaCoefficients) other_.cuda.*value *= factor += 0.125;
    other_.origin = "tuned 2026-11-20";
  }
  void TearDown() override {
    set_calibration(std::nullopt);
    set_log(nullptr);
    unsetenv("RONDO_DEVICE");
    fs::remove_all(folder_);
  }
  static std::string text(const fs::path& file) {
    std::ostringstream out;
    out << std::ifstream(file, std::ios::binary).rdbuf();
    return out.str();
  }
  static void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  // The whole file, changed.
  std::string changed(const std::function<void(Json&)>& change) const {
    save_calibration(other_, folder_ / "whole.json");
    Json all = Json::parse(text(folder_ / "whole.json"));
    change(all);
    return all.dump();
  }
  static std::string refusal(const fs::path& file) {
    try {
      (void)load_calibration(file);
    } catch (const InvalidArgument& error) {
      ADD_FAILURE() << error.what();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    ADD_FAILURE() << "expected a std::runtime_error";
    return {};
  }
  fs::path folder_ = fs::path(::testing::TempDir()) / ("rondo calibration " + std::to_string(getpid()));
  Calibration other_;
};

TEST_F(CalibrationFile, LiesInTheUsersCache) {
  EXPECT_EQ(calibration_file(), folder_ / "rondo" / "tuning.json");
  const std::string home = getenv("HOME") != nullptr ? getenv("HOME") : "";
  setenv("HOME", "/somebody", 1);
  for (const char* unusable : {"", "relative/cache"}) {
    setenv("XDG_CACHE_HOME", unusable, 1);
    EXPECT_EQ(calibration_file(), "/somebody/.cache/rondo/tuning.json") << unusable;
  }
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(calibration_file(), "/somebody/.cache/rondo/tuning.json");
  unsetenv("HOME");
  EXPECT_EQ(calibration_file(), "");
  if (!home.empty()) setenv("HOME", home.c_str(), 1);
}

TEST_F(CalibrationFile, IsReadAsItWasWritten) {
  const fs::path file = folder_ / "new" / "folder" / "tuning.json";
  save_calibration(other_, file);
  save_calibration(other_, file);  // in place of the one that is there
  const Calibration read = load_calibration(file);
  for (const auto& [name, value] : kCpuCoefficients) EXPECT_EQ(read.cpu.*value, other_.cpu.*value) << name;
  EXPECT_EQ(read.origin, "tuned 2026-11-20");
  EXPECT_EQ(read.cuda.call_us, published_calibration().cuda.call_us) << "RONDO_DEVICE=cpu looks at no GPU";
  EXPECT_FALSE(Json::parse(text(file)).contains("cuda"));
  EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), {}), 1) << "nothing is left beside it";
}

TEST_F(CalibrationFile, ThatIsDamagedIsRefusedByASentenceAndLeftAlone) {
  const std::string whole = changed([](Json&) {});
  const auto without = [&](const char* part, const char* name) {
    return changed([&](Json& all) { (part == nullptr ? all : all[part]).erase(name); });
  };
  const auto with = [&](const char* part, const char* name, const Json& value) {
    return changed([&](Json& all) { (part == nullptr ? all : all[part])[name] = value; });
  };
  const struct {
    std::string text, problem;
  } cases[] = {
      {"", "it is not JSON"},
      {whole.substr(0, whole.size() / 2), "it is not JSON"},
      {std::string(60000, '['), "it is not JSON"},
      {whole + std::string(70000, ' '), "bytes, expected at most 65536"},
      {"[1, 2]", "it is not an object"},
      {without(nullptr, "format"), "it has no \"format\""},
      {with(nullptr, "format", "rondo-tuning 2"),
       "its format is \"rondo-tuning 2\", expected \"rondo-tuning 1\""},
      {with(nullptr, "origin", 7), "\"origin\" of it is 7, expected text"},
      {without(nullptr, "cpu"), "it has no \"cpu\""},
      {with(nullptr, "cpu", "fast"), "\"cpu\" is not an object"},
      {without("cpu", "key"), "\"cpu\" has no \"key\""},
      {without("cpu", "meeting_us"), "\"cpu\" has no \"meeting_us\""},
      {with("cpu", "call_us", 0), "\"call_us\" of \"cpu\" is 0, expected a positive number"},
      {with("cpu", "call_us", -1.5), "\"call_us\" of \"cpu\" is -1.5"},
      {with("cpu", "step_us", "1"), "\"step_us\" of \"cpu\" is \"1\""},
      {with("cpu", "step_us", nullptr), "\"step_us\" of \"cpu\" is null"},
      {"{\"format\": \"rondo-tuning 1\", \"origin\": \"\", \"cpu\": {\"key\": \"\", \"call_us\": 1e999}}",
       "it is not JSON"},
      {with(nullptr, "cuda", Json{{"key", ""}}), "\"cuda\" has no \"call_us\""},
      {with("cpu", "key", "rondo 0.0.9; Z80"), "it is for \"rondo 0.0.9; Z80\", this is \"rondo "},
  };
  for (const auto& [damaged, problem] : cases) {
    const fs::path file = folder_ / "damaged.json";
    write(file, damaged);
    const std::string message = refusal(file);
    EXPECT_EQ(message.find(file.string() + " cannot be used: "), 0U) << message;
    EXPECT_NE(message.find(problem), std::string::npos) << message << "\nlacks " << problem;
    EXPECT_EQ(text(file), damaged);
  }
  EXPECT_NE(refusal(folder_ / "none.json").find("there is no such file"), std::string::npos);
  EXPECT_NE(refusal(folder_).find("it is not a regular file"), std::string::npos);
}

TEST_F(CalibrationFile, IsWrittenWholeOrNotAtAll) {
  write(folder_ / "file", "not a folder");
  EXPECT_THROW(save_calibration(other_, folder_ / "file" / "tuning.json"), std::runtime_error);
  fs::create_directories(folder_ / "taken" / "by a folder");
  EXPECT_THROW(save_calibration(other_, folder_ / "taken"), std::runtime_error);
  Calibration broken = other_;
  broken.cpu.step_us = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(save_calibration(broken, folder_ / "broken.json"), InvalidArgument);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_)) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"file", "taken"}));
  // Where nobody, root neither, may write.
  for (const char* file : {"/proc/rondo/tuning.json", "/proc/tuning.json"}) {
    EXPECT_THROW(save_calibration(other_, file), std::runtime_error) << file;
  }
}

// The file is read once a process, so each of these has one of its own; 0: what `body` expects came true.
template <class Body>
void in_new_process(Body body) {
  EXPECT_EXIT(
      {
        body();
        std::fflush(nullptr);
        _exit(::testing::Test::HasFailure() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(CalibrationFile, KeepsItsPartForGpusWhereTheCpuAloneIsTuned) {
  const fs::path file = folder_ / "tuning.json";
  Json cuda{{"key", "a GPU of last week"}};
  for (const auto& [name, value] : kCudaCoefficients) cuda[name] = other_.cuda.*value;
  write(file, changed([&](Json& all) { all["cuda"] = cuda; }));
  save_calibration(published_calibration(), file);
  const Json all = Json::parse(text(file));
  EXPECT_EQ(all.value("cuda", Json()), cuda);
  EXPECT_EQ(all.at("cpu").at("call_us"), published_calibration().cpu.call_us);
  write(file, "{");  // nothing in it is worth keeping
  save_calibration(other_, file);
  EXPECT_FALSE(Json::parse(text(file)).contains("cuda"));
}

TEST_F(CalibrationFile, IsTheOneInUseAndItsOriginIsInTheReason) {
  save_calibration(other_, calibration_file());
  in_new_process([&] {
    std::vector<std::string> lines;
    set_log([&](const std::string& line) { lines.push_back(line); });
    EXPECT_EQ(calibration().cpu.flops_per_us, other_.cpu.flops_per_us);
    fs::remove(calibration_file());
    EXPECT_EQ(calibration().origin, "tuned 2026-11-20") << "it is read once";
    const std::string reason = advise({.input_size = 8, .hidden_size = 8}, Phase::kInference, 10, 1).reason;
    EXPECT_NE(reason.find("; coefficients: tuned 2026-11-20"), std::string::npos) << reason;
    EXPECT_TRUE(lines.empty());
    set_calibration(published_calibration());
    EXPECT_EQ(calibration().origin, "published figures");
    set_calibration(std::nullopt);
    EXPECT_EQ(calibration().origin, "tuned 2026-11-20");
  });
}

TEST_F(CalibrationFile, ThatCannotBeUsedIsALineOfTheLog) {
  for (const std::string& text :
       {std::string("{"), changed([](Json& all) { all["cpu"]["key"] = "rondo 0.0.9; Z80"; })}) {
    write(calibration_file(), text);
    in_new_process([&] {
      std::vector<std::string> lines;
      set_log([&](const std::string& line) {
        lines.push_back(line);
        (void)calibration();  // what logs may ask
      });
      for (int i = 0; i < 2; ++i) EXPECT_EQ(calibration().origin, "published figures");
      const std::string start = calibration_file().string() + " cannot be used: ";
      EXPECT_TRUE(lines.size() == 1 && lines[0].find(start) == 0) << lines.size();
      EXPECT_EQ(CalibrationFile::text(calibration_file()), text);
    });
  }
  fs::remove(calibration_file());
  in_new_process([&] {
    set_log([&](const std::string& line) { ADD_FAILURE() << line; });
    EXPECT_EQ(calibration().origin, "published figures") << "no file is nothing to speak of";
  });
}

TEST_F(CalibrationFile, KeyHangsOnTheMachineAndNotOnTheThreadsThatAProgramSets) {
  const std::string key = calibration_key(Device::Kind::kCpu);
  EXPECT_EQ(key.find(std::string("rondo ") + version() + "; "), 0U) << key;
  set_num_threads(77);
  EXPECT_EQ(calibration_key(Device::Kind::kCpu), key);
  set_num_threads(0);
  EXPECT_EQ(calibration_key(Device::Kind::kCpu), key);
}

TEST_F(CalibrationFile, CoefficientsThatAreNotPositiveAreRefused) {
  for (const double bad :
       {0.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    for (const auto& [name, value] : kCpuCoefficients) {
      Calibration broken = other_;
      broken.cpu.*value = bad;
      EXPECT_THROW(set_calibration(broken), InvalidArgument) << name;
    }
    for (const auto& [name, value] : kCudaCoefficients) {
      Calibration broken = other_;
      broken.cuda.*value = bad;
      EXPECT_THROW(set_calibration(broken), InvalidArgument) << name;
    }
  }
  EXPECT_NE(calibration().origin, other_.origin);
}

class CountingExecutor final : public Executor {
 public:
  int concurrency() const override { return 4; }
  void run(int n, void (*task)(void* context, int index), void* context) override {
    ++runs;
    most = std::max(most, n);
    for (int i = 0; i < n; ++i) task(context, i);
  }
  int runs = 0, most = 0;
};

// A plan whose threads a host's executor runs, with its arrays.
struct OnExecutor {
  OnExecutor(const RnnConfig& config, Phase phase, std::int64_t t, std::int64_t n)
      : plan(config, {.phase = phase, .max_t = t, .max_n = n}),
        parameters(config.dtype, {parameter_count(config)}),
        x(config.dtype, {t, n, config.input_size}),
        dx(config.dtype, {t, n, config.input_size}),
        y(config.dtype, {t, n, output_size(config)}),
        workspace(DType::kF64, {static_cast<std::int64_t>(plan.workspace_bytes() / 8 + 1)}) {
    weights = plan.pack(parameters);
  }
  void run() {
    const auto room = std::as_writable_bytes(workspace.span<double>());
    Tape tape;
    const bool training = plan.options().phase == Phase::kTraining;
    plan.forward(weights, {.x = x, .y = y, .tape = training ? &tape : nullptr, .workspace = room});
    if (training)
      plan.backward(weights, tape, {.dy = y, .dx = dx, .dparameters = parameters, .workspace = room});
  }
  Plan plan;
  Tensor parameters, x, dx, y, workspace;
  PackedWeights weights;
};

TEST(PlansTake, AsManyThreadsAsTheCalibrationInUseWhenTheyWereMadeSays) {
  CountingExecutor executor;
  set_executor(&executor);
  Calibration free = published_calibration(), dear = free;
  free.cpu.handover_us = free.cpu.training_handover_us = free.cpu.meeting_us = 1e-9;
  dear.cpu.handover_us = dear.cpu.training_handover_us = 1e9;
  const RnnConfig config{.cell = Cell::kGru, .input_size = 64, .hidden_size = 64};
  for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
    set_calibration(free);
    OnExecutor shared(config, phase, 20, 32);
    EXPECT_EQ(advise(config, phase, 20, 32, Device{}).devices[0].threads, 4);
    set_calibration(dear);
    OnExecutor alone(config, phase, 20, 32);
    const Advice advice = advise(config, phase, 20, 32, Device{});
    EXPECT_EQ(advice.devices[0].threads, 1);
    EXPECT_EQ(advice.reason.find("cpu (1 thread): predicted "), 0U) << advice.reason;
    executor = {};
    alone.run();
    EXPECT_EQ(executor.runs, 0) << to_string(phase);
    shared.run();
    // Of an inference pass by rows the threads do all at once.
    if (phase == Phase::kInference) {
      EXPECT_EQ(executor.runs, 1);
    } else {
      EXPECT_GT(executor.runs, 2);
    }
    EXPECT_EQ(executor.most, 4) << to_string(phase);
  }
  set_executor(nullptr);
  set_calibration(std::nullopt);
}

TEST(PlansTake, ThreadsByTheSizesOfTheCall) {
  CountingExecutor executor;
  set_executor(&executor);
  Calibration middle = published_calibration();
  middle.cpu.handover_us = middle.cpu.training_handover_us = 20;
  set_calibration(middle);
  const RnnConfig config{.cell = Cell::kLstm, .input_size = 64, .hidden_size = 64};
  OnExecutor plan(config, Phase::kInference, 50, 64);
  executor = {};
  plan.run();
  EXPECT_GT(executor.runs, 0);
  executor = {};
  Tensor one(DType::kF32, {1, 8, 64}), y(DType::kF32, {1, 8, 64});
  plan.plan.forward(plan.weights,
                    {.x = one, .y = y, .workspace = std::as_writable_bytes(plan.workspace.span<double>())});
  EXPECT_EQ(executor.runs, 0) << "one step of eight rows is some 10 us";
  plan.run();
  EXPECT_GT(executor.runs, 0);
  set_executor(nullptr);
  set_calibration(std::nullopt);
}

}  // namespace
}  // namespace rondo::testing
