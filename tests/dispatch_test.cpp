// The size heuristic as a pure function: fake devices, fake costs, known answers.
#include "core/dispatch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "rondo/rondo.h"

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

Request request(std::int64_t t, std::int64_t n, std::int64_t h, std::int64_t layers = 1) {
  Request r;
  r.config = {.cell = Cell::kLstm, .input_size = h, .hidden_size = h, .num_layers = layers};
  r.max_t = t;
  r.max_n = n;
  return r;
}

// Costs whose terms can be told apart by eye; what no test looks at costs next to nothing.
constexpr double kFree = 1e-12, kFast = 1e12;
const Calibration kPlain{.cpu = {.call_us = 1,
                                 .step_us = kFree,
                                 .flops_per_us = 1000,
                                 .l1_bytes_per_us = kFast,
                                 .l2_bytes_per_us = kFast,
                                 .far_bytes_per_us = kFast,
                                 .elements_per_us = kFast,
                                 .training_factor = 3,
                                 .handover_us = kFree,
                                 .meeting_us = kFree},
                         .cuda = {.call_us = 100,
                                  .step_us = 5,
                                  .flops_per_us = 1e6,
                                  .weight_bytes_per_us = 1e9,
                                  .training_factor = 3,
                                  .copy_us = 10,
                                  .copy_bytes_per_us = 1000},
                         .origin = "made-up figures"};

Choice choose(const Request& r, DeviceChoice forced = {}, int threads = 1) {
  const Candidate both[] = {candidate(kCpu), candidate(kGpu)};
  return choose_device(r, both, forced, kPlain, threads);
}

Work work(std::int64_t t, std::int64_t n, std::int64_t h, std::int64_t layers = 1) {
  return work_of(request(t, n, h, layers));
}
double cpu(const Work& w, int threads = 1) { return predict_us(w, kPlain.cpu, threads); }
double gpu_without_copies(Work w) {
  w.data_on_host = false;
  return predict_us(w, kPlain.cuda);
}

TEST(Predict, IsTheSumOfItsTerms) {
  // LSTM, H = I = 10, N = 1: a step is 2 * 4 * 100 = 800 flops, as many as its share of the input product.
  EXPECT_NEAR(cpu(work(20, 1, 10)), 1 + 20 * (0.8 + 0.8), 1e-8);
  // The floor of 5 us a step hides the product; the input product has none.
  EXPECT_NEAR(gpu_without_copies(work(20, 1, 10)), 100 + 20 * (5 + 0.0008), 1e-8);
  // Three layers of the same width, and two directions whose second layer reads twice the width.
  EXPECT_NEAR(cpu(work(20, 1, 10, 3)), 3 * (1 + 20 * 1.6), 1e-8);
  EXPECT_NEAR(gpu_without_copies(work(20, 1, 10, 3)), 100 + 3 * 20 * (5 + 0.0008), 1e-8);
  Work both = work(20, 1, 10, 2);
  both.config.direction = Direction::kBidirectional;
  EXPECT_NEAR(cpu(both), 2 * (1 + 20 * (0.8 + 0.8)) + 2 * (1 + 20 * (0.8 + 1.6)), 1e-8);
  // A step and the pointwise part of its 40 gates.
  CpuCost slow = kPlain.cpu;
  slow.step_us = 2;
  slow.elements_per_us = 10;
  EXPECT_NEAR(predict_us(work(20, 1, 10), slow, 1), 1 + 20 * (0.8 + 0.8 + 2 + 4), 1e-8);
}

TEST(Predict, TrainingIsTwoCallsAndAFactor) {
  Work w = work(20, 1, 10);
  w.phase = Phase::kTraining;
  EXPECT_NEAR(cpu(w), 2 + 3 * 20 * 1.6, 1e-8);
  EXPECT_NEAR(gpu_without_copies(w), 200 + 3 * 20 * (5 + 0.0008), 1e-8);
  w.config.checkpoint_every = 5;  // and the forward pass once more
  EXPECT_NEAR(cpu(w), 3 + 4 * 20 * 1.6, 1e-8);
  EXPECT_NEAR(gpu_without_copies(w), 300 + 4 * 20 * (5 + 0.0008), 1e-8);
}

TEST(Predict, AProjectionMakesTheStateSmallerAndAddsAProduct) {
  Work w = work(20, 1, 10);
  w.config.projection_size = 4;
  EXPECT_NEAR(cpu(w), 1 + 20 * (0.8 + 2 * (4 * 10 * 4 + 10 * 4) / 1000.0), 1e-8);
}

TEST(Predict, WeightsThatHaveToBeReadAgainBoundAStep) {
  CpuCost slow = kPlain.cpu;
  slow.l1_bytes_per_us = 100;  // 4 * 100 weights of 4 bytes, of W too: 16 us a step, and once
  EXPECT_NEAR(predict_us(work(5, 1, 10), slow, 1), 1 + 5 * 16 + 16, 1e-8);
  CudaCost narrow = kPlain.cuda;
  narrow.weight_bytes_per_us = 100;
  Work resident = work(5, 1, 10);
  resident.data_on_host = false;
  EXPECT_NEAR(predict_us(resident, narrow), 100 + 5 * (16 + 0.0008), 1e-8);
}

TEST(Predict, TheCacheIsTheOneThatHoldsAThreadsShare) {
  CpuCost slow = kPlain.cpu;
  slow.flops_per_us = kFast;
  slow.l1_bytes_per_us = 1000;
  slow.l2_bytes_per_us = 100;
  slow.far_bytes_per_us = 10;
  const auto steps = [&](std::int64_t h, int threads) {
    return predict_us(work(1001, 1, h), slow, threads) - predict_us(work(1, 1, h), slow, threads);
  };
  const auto bytes = [](double h) { return 4 * h * h * 4; };
  EXPECT_NEAR(steps(44, 1) / (1000 * bytes(44) / 1000), 1, 1e-6);      // 31 KB
  EXPECT_NEAR(steps(48, 1) / (1000 * bytes(48) / 100), 1, 1e-6);       // 37 KB
  EXPECT_NEAR(steps(48, 2) / (1000 * bytes(48) / 2 / 1000), 1, 1e-6);  // 18 KB a thread
  EXPECT_NEAR(steps(256, 1) / (1000 * bytes(256) / 100), 1, 1e-6);     // 1 MB
  EXPECT_NEAR(steps(272, 1) / (1000 * bytes(272) / 10), 1, 1e-6);
  EXPECT_NEAR(steps(272, 2) / (1000 * bytes(272) / 2 / 100), 1, 1e-6);
}

TEST(Predict, CountsTheBytesOfEachType) {
  CpuCost slow = kPlain.cpu;
  slow.l1_bytes_per_us = 100;
  Work typed = work(5, 1, 10);
  for (const DType dtype : {DType::kF64, DType::kF16, DType::kBf16}) {
    typed.config.dtype = dtype;
    const double bytes = static_cast<double>(element_bytes(dtype));
    EXPECT_NEAR(predict_us(typed, slow, 1), 1 + 6 * 16 * bytes / 4, 1e-8) << to_string(dtype);
    EXPECT_NEAR(cpu(typed), 1 + 5 * 1.6 * bytes / 4, 1e-8) << to_string(dtype);
  }
  EXPECT_EQ(element_bytes(DType::kF64), 8);
  EXPECT_EQ(element_bytes(DType::kF16), 2);
  EXPECT_EQ(element_bytes(DType::kBf16), 2);
  EXPECT_NEAR(predict_copies_us(typed, kPlain.cuda), 4 * 10 + 0.24, 1e-9);  // of 120 elements
}

TEST(Predict, ThreadsDivideRowsOrUnits) {
  CpuCost cost = kPlain.cpu;
  cost.meeting_us = 1;
  // 64 rows: 16 for each of four threads, which do not meet. A step is 800 flops a row.
  EXPECT_NEAR(cpu(work(20, 64, 10), 4), 1 + 20 * 16 * 1.6, 1e-6);
  // Of 12 rows no thread has fewer than four in the steps; the input product is divided evenly.
  EXPECT_NEAR(cpu(work(20, 12, 10), 4), 1 + 20 * (4 * 0.8 + 3 * 0.8), 1e-6);
  // One row of 64 units: a step of 32.768 us is shared, and ends with a meeting.
  EXPECT_NEAR(predict_us(work(20, 1, 64), cost, 4), 1 + 20 * (32.768 / 4 + 1 + 32.768 / 4), 1e-6);
  // Of 32 units no thread has fewer than a cache line of 16.
  EXPECT_NEAR(predict_us(work(20, 1, 32), cost, 8), 1 + 20 * (8.192 / 2 + 1 + 8.192 / 8), 1e-6);
  Work normal = work(20, 1, 64);
  normal.config.layer_norm = true;  // a row has to be whole: its steps are one thread's
  EXPECT_NEAR(predict_us(normal, cost, 4), 1 + 20 * (32.768 + 32.768 / 4), 1e-6);
}

TEST(Predict, HandoversAndMeetingsAreCountedByPass) {
  CpuCost cost = kPlain.cpu;
  cost.handover_us = 7;
  cost.meeting_us = 1;
  Work rows = work(20, 64, 10), units = work(20, 1, 640);
  const auto above = [&](const Work& w, double more) {
    EXPECT_NEAR(predict_us(w, cost, 4) - cpu(w, 4), more, 1e-6) << to_string(w.phase);
  };
  above(rows, 2 * 7);  // the input product, and the steps
  above(units, 2 * 7 + 20);
  rows.phase = units.phase = Phase::kTraining;
  above(rows, 6 * 7);  // the steps of backward, and three products of gradients
  above(units, 6 * 7 + 2 * 20);
}

TEST(ChooseThreads, IsOneOrAllByWhatAHandoverCosts) {
  CpuCost cost = kPlain.cpu;
  const Work large = work(50, 32, 64);
  EXPECT_EQ(choose_threads(large, cost, 6), 6);
  EXPECT_EQ(choose_threads(large, cost, 1), 1);
  EXPECT_EQ(choose_threads(large, cost, 0), 1);
  cost.handover_us = 1e9;
  EXPECT_EQ(choose_threads(large, cost, 6), 1);
  // Few rows: what counts is the meeting after each step, or how few units there are.
  cost = kPlain.cpu;
  Work one_row = work(50, 1, 64);
  one_row.config.input_size = 1;
  EXPECT_EQ(choose_threads(one_row, cost, 6), 6);
  cost.meeting_us = 100;
  cost.handover_us = 30;
  EXPECT_EQ(choose_threads(one_row, cost, 6), 1);
}

TEST(ChooseThreads, OfThreadsThatCannotMeetOnlyRowsAreDivided) {
  const Work few = work(50, 1, 64), many = work(50, 32, 64);
  EXPECT_EQ(choose_division(few, kPlain.cpu, {4, true}).loop, Loop::kUnits);
  EXPECT_EQ(choose_division(few, kPlain.cpu, {4, false}).loop, Loop::kOne);
  CpuCost cost = kPlain.cpu;
  cost.meeting_us = 0.1;
  EXPECT_EQ(choose_division(many, cost, {4, true}).loop, Loop::kRows);
  EXPECT_EQ(choose_division(many, cost, {4, false}).loop, Loop::kRows);
}

// Each axis by itself, through the edges of caches and blocks of rows and units.
TEST(Predict, NeverFallsWhenASizeGrows) {
  CpuCost turned = published_calibration().cpu;  // as no machine is
  std::swap(turned.l1_bytes_per_us, turned.far_bytes_per_us);
  CpuCost free = published_calibration().cpu;
  free.handover_us = free.meeting_us = free.call_us = kFree;
  const CpuCost costs[] = {published_calibration().cpu, kPlain.cpu, turned, free};
  const CudaCost gpus[] = {published_calibration().cuda, kPlain.cuda};
  const std::int64_t sizes[] = {1,  2,  3,   4,   5,   6,   7,   8,   9,   11,  12,  13,  15, 16,
                                17, 24, 31,  32,  33,  44,  45,  46,  47,  48,  63,  64,  65, 90,
                                91, 96, 128, 129, 181, 182, 255, 256, 257, 512, 513, 1024};
  const std::int64_t few[] = {1, 2, 3, 5};
  std::vector<Work> bases;
  for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      for (const std::int64_t t : {1, 30}) {
        for (const std::int64_t n : {1, 7, 8, 33}) {
          for (const std::int64_t h : {8, 45, 64, 300}) {
            for (const Cell cell : {Cell::kLstm, Cell::kGru}) {
              Work w = work(t, n, h, 2);
              w.config.cell = cell;
              w.config.layer_norm = t == 30 && n == 7;
              w.config.dtype = dtype;
              w.phase = phase;
              bases.push_back(w);
            }
          }
        }
      }
    }
  }
  for (Work& w : bases) {
    const auto grows = [&](std::int64_t& axis, std::span<const std::int64_t> values, const char* name) {
      const std::int64_t before = axis;
      std::vector<double> last(64, 0);
      for (const std::int64_t value : values) {
        axis = value;
        std::size_t i = 0;
        const auto expect_no_less = [&](double us, const char* what) {
          EXPECT_GE(us, last[i] * (1 - 1e-12)) << what << " at " << name << " = " << value << ", "
                                               << to_string(w.config) << " T=" << w.t << " N=" << w.n;
          last[i++] = us;
        };
        for (const CpuCost& cost : costs) {
          for (const int threads : {1, 2, 3, 16, 64}) {
            expect_no_less(predict_us(w, cost, threads), "the time");
            expect_no_less(choose_division(w, cost, {threads}).us, "the chosen time");
          }
        }
        for (const CudaCost& cost : gpus) expect_no_less(predict_us(w, cost), "a GPU's time");
      }
      axis = before;
    };
    grows(w.t, sizes, "T");
    grows(w.n, sizes, "N");
    grows(w.config.input_size, sizes, "I");
    grows(w.config.hidden_size, sizes, "H");
    grows(w.config.num_layers, few, "L");
    Work both = w;
    both.config.direction = Direction::kBidirectional;
    for (const CpuCost& cost : costs) EXPECT_GT(predict_us(both, cost, 2), predict_us(w, cost, 2));
    EXPECT_GT(predict_us(both, gpus[0]), predict_us(w, gpus[0]));
  }
}

TEST(Predict, SizesBeyondIntDoNotOverflow) {
  const double t = cpu(work(std::int64_t{1} << 33, 1 << 20, 4096, 1000));
  EXPECT_GT(t, 1e18);
  EXPECT_TRUE(std::isfinite(t));
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
    (void)choose_device(request(1, 1, 8), candidates, forced, kPlain, 1);
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
  const Choice choice = choose_device(request(200, 64, 256), broken, {}, kPlain, 1);
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
    EXPECT_EQ(choose_device(r, turned, {}, kPlain, 1).device, first.device);
    EXPECT_EQ(choose(r).reason, first.reason);
  }
}

TEST(ChooseDevice, PublishedFiguresGiveThePublishedCrossover) {
  const Candidate both[] = {candidate(kCpu), candidate(kGpu)};
  const auto device = [&](const Request& r, int threads) {
    return choose_device(r, both, {}, published_calibration(), threads).device;
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
