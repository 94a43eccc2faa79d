// Drawn dropout masks: their statistics, what they depend on and what not.
#include "visible_masks.h"

namespace rondo {
namespace {

using testing::agreement;
using testing::expect_frequency;
using testing::expect_independent;
using testing::kMaskKinds;
using testing::MaskKind;
using testing::VisibleMasks;

std::vector<double> part(const std::vector<double>& v, std::size_t first, std::size_t count) {
  return {v.begin() + first, v.begin() + first + count};
}
// Every second element, from `first` on, of `stride` elements.
std::vector<double> strided(const std::vector<double>& v, std::size_t first, std::size_t stride) {
  std::vector<double> out;
  for (std::size_t i = first; i < v.size(); i += stride) out.push_back(v[i]);
  return out;
}

TEST(Dropout, DropsAtItsRateAndKeepsTheMean) {
  for (MaskKind kind : kMaskKinds) {
    for (double rate : {0.1, 0.5, 0.75}) {
      double zeros = 0, sum = 0;
      std::size_t draws = 0;
      for (std::uint64_t offset = 0; offset < 20; ++offset) {
        const VisibleMasks v{.kind = kind, .rate = rate, .n = 16, .offset = offset};
        for (double factor : v.draw()) {
          zeros += factor == 0 ? 1 : 0;
          sum += factor;
          ++draws;
          if (factor != 0) {
            ASSERT_DOUBLE_EQ(factor, 1 / (1 - rate)) << to_string(kind);
          }
        }
      }
      const auto count = static_cast<double>(draws);
      expect_frequency(zeros / count, rate, draws, to_string(kind));
      EXPECT_NEAR(sum / count, 1, 5 * std::sqrt(rate / (1 - rate) / count)) << to_string(kind);
    }
  }
}

TEST(Dropout, OneMaskServesTheWholeSequenceOrEachStepHasItsOwn) {
  for (MaskKind kind : kMaskKinds) {
    const VisibleMasks v{.kind = kind, .t = 4, .n = 16};
    const std::vector<double> masks = v.draw();
    const std::size_t step = 16 * 64;
    for (std::size_t t = 1; t < 4; ++t) {
      const std::vector<double> first = part(masks, 0, step), now = part(masks, t * step, step);
      if (kind == MaskKind::kLayerPerStep) {
        expect_independent(first, now, 0.5, "steps 0 and " + std::to_string(t));
      } else {
        EXPECT_EQ(agreement(first, now), 1) << to_string(kind) << " at step " << t;
      }
    }
  }
}

TEST(Dropout, UnitsAndRowsAreIndependent) {
  for (MaskKind kind : kMaskKinds) {
    const VisibleMasks v{.kind = kind, .n = 128};
    const std::vector<double> m = v.draw();
    for (std::size_t distance : {1, 2, 4, 8, 16, 32}) {  // within a draw, between draws, between vectors
      const std::vector<double> a = part(m, 0, m.size() - distance),
                                b = part(m, distance, m.size() - distance);
      expect_independent(a, b, 0.5, to_string(kind) + ", units at distance " + std::to_string(distance));
    }
    for (std::size_t rows : {1, 2, 8, 64}) {
      const std::size_t distance = rows * 64;
      const std::vector<double> a = part(m, 0, m.size() - distance),
                                b = part(m, distance, m.size() - distance);
      expect_independent(a, b, 0.5, to_string(kind) + ", rows at distance " + std::to_string(rows));
    }
    for (std::size_t unit = 0; unit < 4; ++unit) {
      const std::vector<double> lane = strided(m, unit, 4);
      expect_frequency(agreement(lane, std::vector<double>(lane.size(), 0)), 0.5, lane.size(),
                       "units 4k + c");
    }
  }
}

TEST(Dropout, SeedsAndOffsetsGiveNewMasks) {
  for (MaskKind kind : kMaskKinds) {
    const VisibleMasks first{.kind = kind, .n = 32, .seed = 7, .offset = 100};
    const std::vector<double> m = first.draw();
    EXPECT_EQ(m, first.draw()) << "the same seed and offset";
    for (std::uint64_t difference : {1ull, 2ull, 1ull << 31, 1ull << 32, 1ull << 63}) {
      VisibleMasks other = first;
      other.offset ^= difference;
      expect_independent(m, other.draw(), 0.5, to_string(kind) + ", another offset");
      other = first;
      other.seed ^= difference;
      expect_independent(m, other.draw(), 0.5, to_string(kind) + ", another seed");
    }
    VisibleMasks swapped = first;
    std::swap(swapped.seed, swapped.offset);
    expect_independent(m, swapped.draw(), 0.5, to_string(kind) + ", seed and offset swapped");
  }
}

TEST(Dropout, KindsAndDirectionsAreIndependent) {
  std::vector<std::vector<double>> drawn;
  for (MaskKind kind : {MaskKind::kInput, MaskKind::kRecurrent, MaskKind::kLayerPerSequence}) {
    drawn.push_back(VisibleMasks{.kind = kind, .n = 32}.draw());
  }
  expect_independent(drawn[0], drawn[1], 0.5, "input and recurrent");
  expect_independent(drawn[0], drawn[2], 0.5, "input and layer");
  expect_independent(drawn[1], drawn[2], 0.5, "recurrent and layer");
  for (MaskKind kind : {MaskKind::kInput, MaskKind::kRecurrent}) {
    const VisibleMasks v{.kind = kind, .n = 32, .direction = Direction::kBidirectional};
    std::vector<double> reverse;
    const std::vector<double> forward = v.draw(&reverse);
    expect_independent(forward, reverse, 0.5, to_string(kind) + ", the two directions");
  }
}

// The output of two layers of identities is the product of their input masks: were both the same, half
// of it would be zero instead of three quarters.
TEST(Dropout, LayersAreIndependent) {
  VisibleMasks v{.kind = MaskKind::kInput, .n = 64};
  RnnConfig c = v.config();
  c.num_layers = 2;
  Rnn rnn(c, Device{});
  for (const ParameterInfo& p : parameter_layout(c)) {
    std::vector<double> identity(static_cast<std::size_t>(p.shape.count()), 0);
    for (std::int64_t j = 0; j < 64 && p.name.starts_with("weight_ih"); ++j) identity[j * 64 + j] = 1;
    testing::store(rnn.parameter(p.name), identity);
  }
  const Tensor x = testing::make_tensor(DType::kF64, {1, 64, 64}, std::vector<double>(64 * 64, 1));
  Tape tape;
  const std::vector<double> y = testing::values_of(rnn.forward(x, {.tape = &tape}).y);
  expect_frequency(agreement(y, std::vector<double>(y.size(), 0)), 0.75, y.size(), "both layers");
}

TEST(Dropout, ARowKeepsItsMaskWhateverTheOthersAre) {
  for (MaskKind kind : kMaskKinds) {
    const VisibleMasks full{.kind = kind, .t = 3, .n = 4};
    const std::vector<double> masks = full.draw();
    VisibleMasks ragged = full;
    ragged.lengths = {1, 3, 0, 2};
    const std::vector<double> cut = ragged.draw();
    VisibleMasks fewer = full;
    fewer.n = 2;
    const std::vector<double> small = fewer.draw();
    for (std::int64_t t = 0; t < 3; ++t) {
      for (std::int64_t n = 0; n < 4; ++n) {
        const std::vector<double> row = part(masks, (t * 4 + n) * 64, 64);
        if (t < ragged.lengths[n]) {
          EXPECT_EQ(row, part(cut, (t * 4 + n) * 64, 64)) << to_string(kind) << " ragged, row " << n;
        }
        if (n < 2) {
          EXPECT_EQ(row, part(small, (t * 2 + n) * 64, 64)) << to_string(kind) << " N = 2, row " << n;
        }
      }
    }
  }
}

TEST(Dropout, LayoutElementTypeAndThreadsDrawTheSame) {
  for (MaskKind kind : kMaskKinds) {
    const VisibleMasks v{.kind = kind, .t = 3, .n = 5, .width = 33};
    const std::vector<double> masks = v.draw();
    VisibleMasks other = v;
    other.dtype = DType::kF32;
    EXPECT_EQ(masks, other.draw()) << to_string(kind) << ": 1 / (1 - 0.5) is exact in both types";
    other = v;
    other.layout = Layout::kBatchMajor;
    const Tensor batch_major = testing::make_tensor(DType::kF64, {5, 3, 33}, other.draw());
    EXPECT_EQ(masks, testing::values_of(testing::transposed(batch_major))) << to_string(kind);
    for (int threads : {1, 2, 4}) {
      set_num_threads(threads);
      EXPECT_EQ(masks, v.draw()) << to_string(kind) << ", " << threads << " threads";
    }
    set_num_threads(0);
  }
}

TEST(Dropout, RateOneGivesZeros) {
  for (MaskKind kind : kMaskKinds) {
    for (double factor : VisibleMasks{.kind = kind, .rate = 1, .t = 2}.draw())
      ASSERT_EQ(factor, 0) << to_string(kind);
  }
}

class DropoutOf : public testing::EachNetwork {};
INSTANTIATE_TEST_SUITE_P(Each, DropoutOf, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

TEST_P(DropoutOf, InferenceDoesNotDrop) {
  RnnConfig c = GetParam().config(5, 6, 2);
  Rnn plain(c, Device{});
  c.dropout = c.recurrent_dropout = c.layer_dropout = 0.5;
  Rnn dropping(c, Device{});
  const Tensor x = testing::random_tensor(c.dtype, {4, 3, 5}, 60);
  const ForwardResult expected = plain.forward(x);
  EXPECT_TRUE(testing::same_bits(dropping.forward(x).y, expected.y));
  Tape tape;
  EXPECT_FALSE(testing::same_bits(dropping.forward(x, {.tape = &tape}).y, expected.y));
}

TEST_P(DropoutOf, RateOneHasFiniteGradients) {
  RnnConfig c = GetParam().config(5, 6, 2);
  c.dropout = c.recurrent_dropout = c.layer_dropout = 1;
  Rnn rnn(c, Device{});
  const Tensor x = testing::random_tensor(c.dtype, {4, 3, 5}, 61),
               dy = testing::random_tensor(c.dtype, {4, 3, 6}, 62);
  Tape tape;
  const ForwardResult out = rnn.forward(x, {.tape = &tape});
  const BackwardResult back = rnn.backward(tape, {.dy = dy});
  EXPECT_EQ(testing::largest_magnitude(testing::values_of(back.dx)), 0);
  for (double v : testing::values_of(rnn.gradients())) ASSERT_TRUE(std::isfinite(v));
}

}  // namespace
}  // namespace rondo
