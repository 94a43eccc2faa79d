// Steps of some rows of a state: live streams that join, leave, start anew and pause share each step, and
// each has the very bits that it has alone.
#include <algorithm>
#include <numeric>

#include "network_fixture.h"
#include "rejected.h"

namespace rondo {
namespace {

using testing::copy_of;
using testing::expect_rejected;
using testing::random_tensor;
using testing::same_bits;

constexpr std::int64_t kI = 3, kH = 9, kLayers = 2;

class Streams : public testing::EachNetwork {
 protected:
  DType dtype() const { return GetParam().dtype; }
  RnnConfig config() const { return GetParam().config(kI, kH, kLayers); }
};
INSTANTIATE_TEST_SUITE_P(Each, Streams, ::testing::ValuesIn(testing::network_kinds()), testing::kind_name);

// One stream's state, [L, 1, width], out of that of all.
Tensor row_of(ConstTensorView state, std::int64_t row) {
  const std::int64_t width = state.shape[2];
  const std::vector<double> all = testing::values_of(state);
  std::vector<double> one;
  for (std::int64_t l = 0; l < state.shape[0]; ++l) {
    const auto from = all.begin() + (l * state.shape[1] + row) * width;
    one.insert(one.end(), from, from + width);
  }
  return testing::make_tensor(state.dtype, {state.shape[0], 1, width}, one);
}

// What comes in at an event of a stream: the same in the crowd and alone.
std::vector<double> input_of(std::int64_t stream, std::int64_t event, DType dtype) {
  return testing::RandomFill(static_cast<std::uint64_t>(stream * 1000 + event)).values(kI, 1, dtype);
}

// A stream lives in a row of the pool until it leaves; another one may take the row then.
struct Stream {
  std::int64_t id, row, events = 0;
  std::vector<std::int64_t> resets;  // events before which it started anew
  std::vector<std::vector<double>> outputs;
  Tensor h, c;  // when it left
};

class Crowd {
 public:
  Crowd(Rnn& rnn, std::int64_t rows, std::uint64_t seed)
      : rnn_(rnn), pool_(rnn.make_state(rows)), random_(seed) {
    free_.resize(static_cast<std::size_t>(rows));
    std::iota(free_.begin(), free_.end(), 0);
  }
  void tick() {
    while (!free_.empty() && random_.unit() < 0.9) join();
    std::vector<std::int64_t> now;  // of live_
    for (std::int64_t i = 0; i < std::ssize(live_); ++i) {
      if (random_.unit() < 0.1) {
        pool_.reset_row(live_[i].row);
        live_[i].resets.push_back(live_[i].events);
      }
      if (random_.unit() < 0.7) now.push_back(i);  // the others pause
    }
    for (std::int64_t i = std::ssize(now); i > 1; --i) std::swap(now[i - 1], now[random_.integer(0, i - 1)]);
    step(now);
    for (std::int64_t i = std::ssize(live_); i-- > 0;) {
      if (random_.unit() < 0.05) leave(i);
    }
  }
  void close() {
    while (!live_.empty()) leave(std::ssize(live_) - 1);
  }
  const std::vector<Stream>& gone() const { return gone_; }

 private:
  void join() {
    pool_.reset_row(free_.back());
    live_.push_back({next_++, free_.back(), 0, {}, {}, {}, {}});
    free_.pop_back();
  }
  void step(const std::vector<std::int64_t>& now) {
    std::vector<double> x;
    std::vector<std::int64_t> rows;
    for (const std::int64_t i : now) {
      const std::vector<double> in = input_of(live_[i].id, live_[i].events++, rnn_.config().dtype);
      x.insert(x.end(), in.begin(), in.end());
      rows.push_back(live_[i].row);
    }
    const std::int64_t n = std::ssize(rows);
    const Tensor x_t = testing::make_tensor(rnn_.config().dtype, {n, kI}, x);
    const std::vector<std::int32_t> narrow(rows.begin(), rows.end());
    const bool wide = random_.coin();
    const std::vector<double> y = testing::values_of(
        rnn_.step(x_t, pool_,
                  wide ? ConstTensorView(rows.data(), Shape{n}) : ConstTensorView(narrow.data(), Shape{n})));
    ASSERT_EQ(std::ssize(y), n * kH);
    for (std::int64_t i = 0; i < n; ++i)
      live_[now[i]].outputs.emplace_back(y.begin() + i * kH, y.begin() + (i + 1) * kH);
  }
  void leave(std::int64_t i) {
    Stream& one = live_[i];
    one.h = row_of(pool_.h(), one.row);
    if (!pool_.c().absent()) one.c = row_of(pool_.c(), one.row);
    free_.push_back(one.row);
    gone_.push_back(std::move(one));
    live_.erase(live_.begin() + i);
  }

  Rnn& rnn_;
  State pool_;
  testing::RandomFill random_;
  std::vector<std::int64_t> free_;
  std::vector<Stream> live_, gone_;
  std::int64_t next_ = 0;
};

void expect_as_alone(Rnn& rnn, const Stream& s) {
  State state = rnn.make_state(1);
  for (std::int64_t event = 0; event < s.events; ++event) {
    if (std::count(s.resets.begin(), s.resets.end(), event) > 0) state.reset();
    const Tensor x =
        testing::make_tensor(rnn.config().dtype, {1, kI}, input_of(s.id, event, rnn.config().dtype));
    ASSERT_EQ(testing::values_of(rnn.step(x, state)), s.outputs[event])
        << "stream " << s.id << ", event " << event;
  }
  // Of a stream that started anew after its last event nothing is left.
  if (std::count(s.resets.begin(), s.resets.end(), s.events) > 0) state.reset();
  EXPECT_TRUE(same_bits(state.h(), s.h)) << "stream " << s.id;
  if (!s.c.absent()) {
    EXPECT_TRUE(same_bits(state.c(), s.c)) << "stream " << s.id;
  }
}

TEST_P(Streams, ThousandsShareStepsAndHaveTheBitsThatTheyHaveAlone) {
  Rnn rnn(config(), Device{});
  Crowd crowd(rnn, 200, 11);
  for (int i = 0; i < 150; ++i) {
    crowd.tick();
    if (HasFatalFailure()) return;
  }
  crowd.close();
  EXPECT_GT(crowd.gone().size(), 1000U);
  for (const Stream& stream : crowd.gone()) {
    expect_as_alone(rnn, stream);
    if (HasFailure()) return;
  }
}

TEST_P(Streams, OtherRowsStayAsTheyAre) {
  Rnn rnn(config(), Device{});
  State state = rnn.make_state(5);
  (void)rnn.step(random_tensor(dtype(), {5, kI}, 1), state);
  const Tensor before = copy_of(state.h());
  const std::int64_t rows[] = {3, 0};
  (void)rnn.step(random_tensor(dtype(), {2, kI}, 2), state, {rows, Shape{2}});
  for (std::int64_t row = 0; row < 5; ++row) {
    const bool stepped = row == 3 || row == 0;
    EXPECT_EQ(same_bits(row_of(state.h(), row), row_of(before, row)), !stepped) << "row " << row;
  }
}

TEST_P(Streams, AllRowsInOrderAreAPlainStep) {
  Rnn rnn(config(), Device{});
  State some = rnn.make_state(4), all = rnn.make_state(4);
  const std::int32_t rows[] = {0, 1, 2, 3};
  for (std::uint64_t i = 0; i < 3; ++i) {
    const Tensor x = random_tensor(dtype(), {4, kI}, i);
    const Tensor y = copy_of(rnn.step(x, all));
    EXPECT_TRUE(same_bits(rnn.step(x, some, {rows, Shape{4}}), y));
  }
  EXPECT_TRUE(same_bits(some.h(), all.h()));
}

TEST_P(Streams, NobodyIsAStepToo) {
  Rnn rnn(config(), Device{});
  State state = rnn.make_state(3);
  const Tensor before = copy_of(state.h());
  const std::int64_t none = 0;
  const ConstTensorView y = rnn.step(Tensor(dtype(), {0, kI}), state, {&none, Shape{0}});
  EXPECT_EQ(to_string(y.shape), "[0, 9]");
  EXPECT_TRUE(same_bits(state.h(), before));
}

// What a step of one state returns outlives steps of others, and the making of larger ones.
TEST_P(Streams, AResultLastsUntilTheNextStepOfItsOwnState) {
  Rnn rnn(config(), Device{});
  State one = rnn.make_state(3), other = rnn.make_state(3);
  const std::int64_t rows[] = {2, 0};
  const ConstTensorView y = rnn.step(random_tensor(dtype(), {2, kI}, 1), one, {rows, Shape{2}});
  const Tensor before = copy_of(y);
  (void)rnn.step(random_tensor(dtype(), {2, kI}, 2), other, {rows, Shape{2}});
  State larger = rnn.make_state(500);
  (void)rnn.step(random_tensor(dtype(), {2, kI}, 3), larger, {rows, Shape{2}});
  EXPECT_TRUE(same_bits(y, before));
}

TEST_P(Streams, WithoutRowsAllTakePart) {
  Rnn rnn(config(), Device{});
  State some = rnn.make_state(3), all = rnn.make_state(3);
  const Tensor x = random_tensor(dtype(), {3, kI}, 1);
  EXPECT_TRUE(same_bits(rnn.step(x, some, ConstTensorView()), rnn.step(x, all)));
}

// A refused step leaves the state as it was, and the next one is not confused by the rows of the refused.
TEST_P(Streams, WrongRowsAreRefused) {
  Rnn rnn(config(), Device{});
  State state = rnn.make_state(4);
  (void)rnn.step(random_tensor(dtype(), {4, kI}, 1), state);
  const Tensor before = copy_of(state.h()), x = random_tensor(dtype(), {3, kI}, 2);
  const auto step = [&](std::vector<std::int64_t> rows) {
    (void)rnn.step(x, state, {rows.data(), Shape{std::ssize(rows)}});
  };
  expect_rejected([&] { step({1, 2, 1}); }, {"step", "row 1", "twice"});
  expect_rejected([&] { step({1, 2, 4}); }, {"rows[2] is 4", "expected 0 to 3"});
  expect_rejected([&] { step({-1, 2, 3}); }, {"rows[0] is -1", "expected 0 to 3"});
  expect_rejected([&] { step({1, 2}); }, {"x_t has shape [3, 3]", "N=2"});
  const double real[] = {0, 1, 2};
  expect_rejected(
      [&] {
        (void)rnn.step(x, state, {real, Shape{3}});
      },
      {"rows is f64", "expected i32 or i64"});
  EXPECT_TRUE(same_bits(state.h(), before));
  step({1, 2, 3});
  EXPECT_FALSE(same_bits(state.h(), before));
}

}  // namespace
}  // namespace rondo
