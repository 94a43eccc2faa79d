// Staging through pinned slots on the host: a device that does each copy as late as it may.
#include "cuda/staging.h"

#include <gtest/gtest.h>

#include <deque>
#include <numeric>
#include <set>

namespace rondo::testing {
namespace {

// Carries copies out when they are waited for, or when it is told to; until then their sources may be spoilt.
class LateLane {
 public:
  std::byte* allocate_pinned(std::size_t bytes) {
    auto* memory = new std::byte[bytes];
    pinned_.insert(memory);
    return memory;
  }
  void release_pinned(std::byte* memory) noexcept {
    if (memory == nullptr) return;
    EXPECT_TRUE(asked_.empty()) << "memory goes that a copy still needs";
    EXPECT_EQ(pinned_.erase(memory), 1U);
    delete[] memory;
  }
  void copy(void* to, const void* from, std::size_t bytes) {
    if (fails_after-- == 0) throw DeviceError("late lane: the copy failed");
    asked_.push_back({to, from, bytes});
    ++copies;
  }
  void mark(int slot) { marks_[slot] = copies; }
  void wait(int slot) {
    if (done_ < marks_[slot]) ++waits;
    run(marks_[slot]);
  }
  void run(std::int64_t until = INT64_MAX) {
    for (; !asked_.empty() && done_ < until; ++done_) {
      std::memcpy(asked_.front().to, asked_.front().from, asked_.front().bytes);
      asked_.pop_front();
    }
  }
  std::size_t pinned() const { return pinned_.size(); }

  std::int64_t copies = 0;
  std::int64_t waits = 0;  // for copies that were not done yet
  std::int64_t fails_after = -1;

 private:
  std::deque<Copy> asked_;
  std::set<std::byte*> pinned_;
  std::int64_t marks_[cuda::Staging<LateLane>::kSlots] = {};
  std::int64_t done_ = 0;
};
using LateStaging = cuda::Staging<LateLane>;

std::vector<std::uint8_t> numbered(std::size_t bytes, unsigned start) {
  std::vector<std::uint8_t> values(bytes);
  for (std::size_t i = 0; i < bytes; ++i) values[i] = static_cast<std::uint8_t>((start + i) * 7 + i / 251);
  return values;
}

TEST(Staging, TheSourceMayChangeOnceItWasSent) {
  LateLane lane;
  LateStaging staging(lane);
  staging.reserve(100);
  std::vector<std::vector<std::uint8_t>> there(9, std::vector<std::uint8_t>(100));
  for (unsigned i = 0; i < there.size(); ++i) {
    std::vector<std::uint8_t> source = numbered(100, i);
    staging.send(there[i].data(), source.data(), source.size());
    std::fill(source.begin(), source.end(), 0xEE);
    // A slot is waited for when it is taken again, none before.
    EXPECT_EQ(lane.waits, std::max(0, static_cast<int>(i) + 1 - LateStaging::kSlots));
  }
  lane.run();
  for (unsigned i = 0; i < there.size(); ++i) EXPECT_EQ(there[i], numbered(100, i)) << "send " << i;
}

TEST(Staging, MoreThanWasReservedIsAFault) {
  LateLane lane;
  LateStaging staging(lane);
  std::vector<std::uint8_t> there(5000), source(5000);
  EXPECT_THROW(staging.send(there.data(), source.data(), 1), std::logic_error);
  staging.reserve(1000);
  EXPECT_THROW(staging.send(there.data(), source.data(), staging.slot_bytes() + 1), std::logic_error);
  staging.send(there.data(), source.data(), staging.slot_bytes());
  EXPECT_EQ(lane.copies, 1);
  lane.run();
}

TEST(Staging, ReservingMoreKeepsWhatIsOnItsWay) {
  LateLane lane;
  LateStaging staging(lane);
  staging.reserve(10);
  EXPECT_GE(staging.slot_bytes(), 10U);
  std::vector<std::uint8_t> small(10), large(5000);
  staging.send(small.data(), numbered(10, 1).data(), 10);
  staging.reserve(5000);
  EXPECT_EQ(lane.pinned(), 1U);
  const std::size_t bytes = staging.slot_bytes();
  staging.reserve(20);
  EXPECT_EQ(staging.slot_bytes(), bytes) << "less than there is changes nothing";
  staging.send(large.data(), numbered(5000, 2).data(), 5000);
  lane.run();
  EXPECT_EQ(small, numbered(10, 1));
  EXPECT_EQ(large, numbered(5000, 2));
}

TEST(Staging, EndsAfterTheLastCopyAndGivesItsMemoryBack) {
  LateLane lane;
  std::vector<std::uint8_t> there(10);
  {
    LateStaging staging(lane);
    staging.reserve(10);
    staging.send(there.data(), numbered(10, 1).data(), 10);
  }
  EXPECT_EQ(there, numbered(10, 1));
  EXPECT_EQ(lane.pinned(), 0U);
}

class StagedSizes : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, StagedSizes,
                         ::testing::Values(1, LateStaging::kChunkBytes - 1, LateStaging::kChunkBytes,
                                           LateStaging::kChunkBytes + 1,
                                           LateStaging::kSlots* LateStaging::kChunkBytes,
                                           11 * LateStaging::kChunkBytes + 17));

TEST_P(StagedSizes, ArraysCrossInChunks) {
  const std::size_t bytes = GetParam();
  const auto chunks =
      static_cast<std::int64_t>((bytes + LateStaging::kChunkBytes - 1) / LateStaging::kChunkBytes);
  LateLane lane;
  LateStaging staging(lane);
  staging.reserve(LateStaging::kChunkBytes);
  std::vector<std::uint8_t> source = numbered(bytes, 3), there(bytes), back(bytes);
  staging.send_chunks({there.data(), source.data(), bytes});
  std::fill(source.begin(), source.end(), 0xEE);
  EXPECT_EQ(lane.copies, chunks);
  lane.run();
  EXPECT_EQ(there, numbered(bytes, 3));
  const Copy copy{back.data(), there.data(), bytes};
  staging.fetch({&copy, 1});
  EXPECT_EQ(lane.copies, 2 * chunks);
  EXPECT_EQ(back, numbered(bytes, 3));
}

TEST(Staging, SeveralArraysAreFetchedTogether) {
  LateLane lane;
  LateStaging staging(lane);
  staging.reserve(LateStaging::kChunkBytes);
  const std::size_t sizes[] = {40, 3 * LateStaging::kChunkBytes + 5, 7, 0, LateStaging::kChunkBytes, 100};
  std::vector<std::vector<std::uint8_t>> there, back;
  std::vector<Copy> copies;
  for (const std::size_t bytes : sizes) {
    there.push_back(numbered(bytes, static_cast<unsigned>(bytes)));
    back.emplace_back(bytes);
  }
  for (std::size_t i = 0; i < there.size(); ++i) {
    copies.push_back({back[i].data(), there[i].data(), there[i].size()});
  }
  staging.fetch(copies);
  EXPECT_EQ(back, there);

  // Few enough for the slots: all are asked for before the first is waited for.
  lane.waits = 0;
  staging.fetch({copies.data() + 4, 2});
  EXPECT_EQ(lane.waits, 2);
}

TEST(Staging, AFetchThatFailedLeavesNothingBehind) {
  LateLane lane;
  LateStaging staging(lane);
  staging.reserve(100);
  std::vector<std::uint8_t> there = numbered(100, 1), other = numbered(100, 2), second(100);
  auto gone = std::make_unique<std::vector<std::uint8_t>>(100);
  const Copy both[] = {{gone->data(), there.data(), 100}, {gone->data(), there.data(), 100}};
  lane.fails_after = 1;
  EXPECT_THROW(staging.fetch(both), DeviceError);
  std::uint8_t* const old = gone->data();
  std::fill(old, old + 100, 0xEE);
  const Copy all[] = {{second.data(), other.data(), 100}};
  for (int i = 0; i < LateStaging::kSlots; ++i) staging.fetch(all);
  EXPECT_EQ(second, other);
  EXPECT_EQ(*gone, std::vector<std::uint8_t>(100, 0xEE)) << "the array of the failed fetch was written later";
}

}  // namespace
}  // namespace rondo::testing
