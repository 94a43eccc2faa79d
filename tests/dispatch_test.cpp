// The size heuristic as a pure function: fake devices, fake costs, known answers.
#include "core/dispatch.h"

#include <gtest/gtest.h>

#include "plain_costs.h"

namespace rondo::testing {
namespace {

constexpr Device kCpu{Device::Kind::kCpu, 0};
constexpr Device kGpu{Device::Kind::kCuda, 0};

Candidate candidate(Device device, bool usable = true, const std::string& reason = "") {
  Candidate c;
  c.info = {device, usable, "made up", reason};
  c.support = {usable, reason};
  return c;
}

Choice choose(const Request& r, DeviceChoice forced = {}, int threads = 1) {
  const Candidate both[] = {candidate(kCpu), candidate(kGpu)};
  return choose_device(r, both, forced, kPlain, {threads});
}

TEST(PredictCopies, CountsWhatHasToCross) {
  const Work r = work(20, 5, 10);  // x and y have 1,000 floats each, h_n and c_n 50
  EXPECT_NEAR(predict_copies_us(r, kPlain.cuda), 4 * 10 + 8.4, 1e-9);
  EXPECT_NEAR(predict_us(r, kPlain.cuda), gpu_without_copies(r) + 4 * 10 + 8.4, 1e-9);
  Work resident = r;
  resident.data_on_host = false;
  EXPECT_EQ(predict_copies_us(resident, kPlain.cuda), 0);
}

// The time of these arrays, of so many bytes each, at kPlain's 10 us and 1000 bytes a us.
double copies(std::initializer_list<std::int64_t> sizes) {
  double us = 0;
  for (const std::int64_t bytes : sizes) us += 10 + static_cast<double>(bytes) / 1000;
  return us;
}

TEST(PredictCopies, HasOneTermForEachArrayThatLevelOneMoves) {
  for (const Merge merge : {Merge::kConcat, Merge::kSum, Merge::kNone}) {
    Request r = request(7, 3, 16, 2);
    r.config.cell = Cell::kGru;
    r.config.input_size = 5;
    r.config.dtype = DType::kF64;
    r.config.direction = Direction::kBidirectional;
    r.config.merge = merge;
    const std::int64_t x = 7 * 3 * 5 * 8, h_n = 2 * 2 * 3 * 16 * 8;
    for (const std::int64_t steps : {7, 1}) {
      r.config.outputs = steps == 1 ? Outputs::kLast : Outputs::kSequence;
      const std::int64_t y = steps * 3 * (merge == Merge::kConcat ? 32 : 16) * 8;
      const double forward = merge == Merge::kNone ? copies({x, y, y, h_n}) : copies({x, y, h_n});
      r.phase = Phase::kInference;
      EXPECT_NEAR(predict_copies_us(work_of(r), kPlain.cuda), forward, 1e-9) << rondo::to_string(r.config);
      // dy goes there, dx and dh0 come back.
      const double backward = merge == Merge::kNone ? copies({y, y, x, h_n}) : copies({y, x, h_n});
      r.phase = Phase::kTraining;
      EXPECT_NEAR(predict_copies_us(work_of(r), kPlain.cuda), forward + backward, 1e-9)
          << rondo::to_string(r.config);
    }
  }
}

TEST(PredictCopies, AnOptimizerOnTheHostMovesGradientsAndParameters) {
  Request r = request(20, 5, 10);
  r.parameters_on_host = true;
  const std::int64_t all = 4 * 10 * (10 + 10 + 2) * 4;  // W, R and two biases of four gates
  EXPECT_EQ(predict_parameter_copies_us(work_of(r), kPlain.cuda), 0)
      << "inference sends them once, not in each pass";
  r.phase = Phase::kTraining;
  EXPECT_NEAR(predict_parameter_copies_us(work_of(r), kPlain.cuda), copies({all, all}), 1e-9);
  const Choice choice = choose(r, kGpu);
  const Candidate& gpu = choice.candidates[1];
  EXPECT_NEAR(gpu.parameter_copies_us, copies({all, all}), 1e-9);
  EXPECT_NEAR(gpu.copies_us - gpu.parameter_copies_us, predict_copies_us(work_of(r), kPlain.cuda), 1e-9);
  EXPECT_NEAR(gpu.predicted_us - gpu.copies_us, 2 * 100 + 3 * 20 * (5 + 0.004), 1e-9);
  EXPECT_EQ(choice.candidates[0].copies_us, 0) << "the host is where they are";
  // 2 * 100 + 3 * 20 * (5 + 5 * 0.0008), 2 * (40 + 8.4) and 2 * (10 + 3.52).
  EXPECT_EQ(choice.reason.find("cuda:0: predicted 624 us, 124 us of it copies (27 us of them parameters and "
                               "gradients, which lie on the host), which was asked for; cpu (1 thread): "),
            0U)
      << choice.reason;
  r.parameters_on_host = false;
  EXPECT_EQ(choose(r, kGpu).reason.find("parameters"), std::string::npos);
}

TEST(ChooseDevice, SmallWorkStaysAndLargeWorkGoes) {
  EXPECT_EQ(choose(request(1, 1, 8)).device, kCpu);
  EXPECT_EQ(choose(request(20, 1, 10)).device, kCpu);
  EXPECT_EQ(choose(request(200, 64, 256)).device, kGpu);
}

TEST(ChooseDevice, TakesThePredictedFastestAllAlongTheScale) {
  bool gone = false;
  for (std::int64_t h = 2; h <= 512; h *= 2) {
    const Choice choice = choose(request(30, 2, h));
    ASSERT_EQ(choice.candidates.size(), 2u);
    const bool gpu = choice.candidates[1].predicted_us < choice.candidates[0].predicted_us;
    EXPECT_EQ(choice.device, gpu ? kGpu : kCpu) << "H=" << h;
    EXPECT_TRUE(gpu || !gone) << "H=" << h << " went back to the CPU";
    gone = gpu;
  }
  EXPECT_TRUE(gone);
}

TEST(ChooseDevice, CopiesCanTipTheScale) {
  Request r = request(1, 30, 16);
  EXPECT_EQ(choose(r).device, kCpu) << choose(r).reason;
  EXPECT_GT(choose(r).candidates[1].copies_us, 0);
  r.data_on_host = false;
  EXPECT_EQ(choose(r).device, kGpu) << choose(r).reason;
}

TEST(ChooseDevice, ThreadsCanTipTheScale) {
  const Request r = request(20, 4, 16);
  EXPECT_EQ(choose(r, {}, 1).device, kGpu) << choose(r, {}, 1).reason;
  EXPECT_EQ(choose(r, {}, 64).device, kCpu) << choose(r, {}, 64).reason;
}

TEST(ChooseDevice, AskingOverridesTheHeuristic) {
  EXPECT_EQ(choose(request(1, 1, 8), kGpu).device, kGpu);
  const Choice slow = choose(request(200, 64, 256), kCpu);
  EXPECT_EQ(slow.device, kCpu);
  EXPECT_NE(slow.reason.find("asked for"), std::string::npos) << slow.reason;
}

std::string refusal(std::span<const Candidate> candidates, DeviceChoice forced) {
  try {
    (void)choose_device(request(1, 1, 8), candidates, forced, kPlain, {1});
  } catch (const DeviceError& e) {
    return e.what();
  }
  ADD_FAILURE() << "expected a DeviceError";
  return {};
}

TEST(ChooseDevice, AskingForWhatIsMissingSaysWhatIsMissing) {
  const Candidate broken[] = {candidate(kCpu), candidate(kGpu, false, "the driver is too old")};
  const std::string message = refusal(broken, kGpu);
  EXPECT_EQ(message, "cuda:0 was asked for and cannot be used: the driver is too old");
  const std::string other = refusal(broken, Device{Device::Kind::kCuda, 4});
  EXPECT_EQ(other.find("cuda:4 was asked for and does not exist; cpu (1 thread): "), 0U) << other;
  EXPECT_NE(other.find("the driver is too old"), std::string::npos) << other;
}

TEST(ChooseDevice, NothingThatCanRunIsAnErrorWithEveryReason) {
  const Candidate none[] = {candidate(kCpu, false, "no kernels"), candidate(kGpu, false, "no driver")};
  const std::string message = refusal(none, {});
  EXPECT_NE(message.find("no kernels"), std::string::npos) << message;
  EXPECT_NE(message.find("no driver"), std::string::npos) << message;
}

TEST(ChooseDevice, OneThatCannotIsPassedOverAndNamed) {
  const Candidate broken[] = {candidate(kCpu), candidate(kGpu, false, "the driver is too old")};
  const Choice choice = choose_device(request(200, 64, 256), broken, {}, kPlain, {1});
  EXPECT_EQ(choice.device, kCpu);
  EXPECT_NE(choice.reason.find("only device"), std::string::npos) << choice.reason;
  EXPECT_NE(choice.reason.find("the driver is too old"), std::string::npos) << choice.reason;
}

TEST(ChooseDevice, TheReasonHasBothTimesAndTheirOrigin) {
  const Choice choice = choose(request(20, 1, 10));
  for (const char* part : {"cpu", "cuda:0", "predicted", "copies", "fastest", "made-up figures"}) {
    EXPECT_NE(choice.reason.find(part), std::string::npos) << part << " is not in: " << choice.reason;
  }
}

TEST(ChooseDevice, TheOrderOfCandidatesAndEarlierCallsDoNotMatter) {
  const Candidate turned[] = {candidate(kGpu), candidate(kCpu)};
  for (std::int64_t h : {4, 16, 64, 256}) {
    const Request r = request(40, 2, h);
    const Choice first = choose(r);
    EXPECT_EQ(choose_device(r, turned, {}, kPlain, {1}).device, first.device);
    EXPECT_EQ(choose(r).reason, first.reason);
  }
}

TEST(ChooseDevice, PublishedFiguresGiveThePublishedCrossover) {
  const Candidate both[] = {candidate(kCpu), candidate(kGpu)};
  const auto device = [&](const Request& r, int threads) {
    return choose_device(r, both, {}, published_calibration(), {threads}).device;
  };
  EXPECT_EQ(published_calibration().origin, "published figures");
  // A GPU pays from about H = 512 at N = 1 where each step costs it a launch, and for large batches.
  EXPECT_EQ(device(request(1, 1, 256), 1), kCpu);
  EXPECT_EQ(device(request(100, 1, 64), 1), kCpu);
  EXPECT_EQ(device(request(100, 1, 1024), 1), kGpu);
  EXPECT_EQ(device(request(100, 64, 512), 2), kGpu);
}

}  // namespace
}  // namespace rondo::testing
