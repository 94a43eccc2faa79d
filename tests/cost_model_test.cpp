// The cost model as a pure function: known answers, and that no prediction falls when a size grows.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "plain_costs.h"

namespace rondo::testing {
namespace {

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

TEST(Predict, FromZerosTheFirstForwardStepDoesWithoutR) {
  Work w = work(20, 1, 10);
  w.from_zeros = true;
  EXPECT_NEAR(cpu(w), 1 + 20 * 0.8 + 19 * 0.8, 1e-8);
  w.phase = Phase::kTraining;
  EXPECT_NEAR(cpu(w), 2 + 3 * 20 * 1.6 - 0.8, 1e-8);
  w.phase = Phase::kInference;
  w.config.projection_size = 5;  // h is half as wide; its product with 10 of o tanh(c) stays
  EXPECT_NEAR(cpu(w), 1 + 20 * (0.8 + 0.1) + 19 * 0.4, 1e-8);
  w.config.projection_size = 0;
  w.t = 1;
  EXPECT_NEAR(cpu(w), 1 + 0.8, 1e-8);
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
  cost.handover_us = cost.training_handover_us = 7;
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
  cost.handover_us = cost.training_handover_us = 1e9;
  EXPECT_EQ(choose_threads(large, cost, 6), 1);
  // Few rows: what counts is the meeting after each step, or how few units there are.
  cost = kPlain.cpu;
  Work one_row = work(50, 1, 64);
  one_row.config.input_size = 1;
  EXPECT_EQ(choose_threads(one_row, cost, 6), 6);
  cost.meeting_us = 100;
  cost.handover_us = cost.training_handover_us = 30;
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
  free.handover_us = free.training_handover_us = free.meeting_us = free.call_us = kFree;
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
              w.config.projection_size = t == 1 && n == 8 && cell == Cell::kLstm ? 4 : 0;
              w.from_zeros = n == 8 || h == 45;
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

}  // namespace
}  // namespace rondo::testing
