// Which of a few ways passes take, learnt from the times of those before.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

namespace rondo::cpu {

// Ways are numbered by rising predicted time, and 0 is the best until times say otherwise. Now and then a few
// passes look at another way: soon when the best has become slower than that one was, else once the passes
// since the last look have earned what that one cost, so that looking takes about 1 % of the time for each
// of the others.
class WayChoice {
 public:
  static constexpr int kMost = 4;
  // Afresh, with at most kMost predictions. Ways that are predicted to take much longer are never looked at.
  void start(std::span<const double> predicted) {
    constexpr double kFactor = 3, kPassesForEach = 16;
    *this = WayChoice();
    for (const double us : predicted) {
      const double more = us / predicted[0] - 1;
      if (more >= kFactor - 1) break;
      ways_[count_++].due = static_cast<std::int64_t>(kPassesForEach * more);
    }
  }
  bool learns() const { return count_ > 1; }
  int way() const { return way_; }  // of the next pass
  bool untried() const { return passes_ == 0; }

  // How long a pass took that went this way.
  void took(std::int64_t ns) {
    ++passes_;
    const std::int64_t best_ns = ways_[best_].ns;
    const bool looks = way_ != best_;
    if (looks) {
      cost_ns_ += ns - best_ns;
      const bool much_slower = 2 * (ns - (fresh_ ? kWakingNs : 0)) > 3 * best_ns;
      if (much_slower || (!fresh_ && seen_ == 0 && slower(ns, best_ns))) return end_look(ns);
    }
    // The first one finds threads asleep, and in their caches what another way left.
    if (std::exchange(fresh_, false)) {
      if (!looks && looked_ != best_) pay_for_look(ns - best_ns);
      return;
    }
    last_ns_[seen_++ % kSeen] = ns;
    if (!looks && mean_ns_ > 0) count(ns);
    if (seen_ < kSeen) return;
    const std::int64_t now_ns = median();
    if (!looks) {
      if (mean_ns_ == 0) mean_ns_ = now_ns;
      ways_[best_].ns = std::max(now_ns, mean_ns_);
      look();
    } else if (faster(now_ns, best_ns)) {
      crown(now_ns);
    } else {
      end_look(now_ns);
    }
  }
  // A pass could not go this way: its time says nothing.
  void missed() {
    ++passes_;
    if (way_ == best_) return;
    rest(ways_[way_], kRest);
    looked_ = best_;
    go(best_);
  }

 private:
  static constexpr int kSeen = 3;
  static constexpr std::int64_t kRest = 32, kLongestRest = 1 << 17;  // passes
  // By how much the next rest may be longer: what another program took from one look says little of the next.
  static constexpr std::int64_t kGrowth = 4;
  static constexpr std::int64_t kWakingNs = 100'000;
  // For how long the mean of the best way remembers: programs that want the same CPU take turns of some ms.
  static constexpr std::int64_t kMemoryNs = 40'000'000;
  // How many passes in a row show that the best way is not the best any more: after a moment of another
  // program's a few find threads asleep.
  static constexpr int kSlow = 8;
  // A way that was the best briefly, again and again, is looked at after so long at the latest.
  static constexpr std::int64_t kLongestRestNs = 2'000'000'000;
  struct Way {
    std::int64_t ns = 0;        // when it was last taken; 0: never
    std::int64_t due = 0;       // the pass from which on it may be looked at again
    std::int64_t rested = 0;    // or from this one on, if it seems to be the faster
    std::int64_t rest = kRest;  // the last one
  };
  // By more than times of the same way differ.
  static bool faster(std::int64_t ns, std::int64_t than_ns) { return 33 * ns < 32 * than_ns; }
  // So that no more passes need show it. Where chance did, the next look will tell.
  static bool slower(std::int64_t ns, std::int64_t than_ns) { return 8 * ns > 9 * than_ns; }
  std::int64_t median() const {
    const auto& [a, b, c] = last_ns_;
    return std::max(std::min(a, b), std::min(std::max(a, b), c));
  }
  std::int64_t remembered() const {  // passes
    return std::max<std::int64_t>(16, kMemoryNs / (mean_ns_ + 1));
  }
  // No pass alone counts for more than half of the mean: a program may come by once.
  void count(std::int64_t ns) {
    const std::int64_t passes = remembered();
    mean_ns_ += std::min((ns - mean_ns_) / passes, mean_ns_ / 2);
  }
  void rest(Way& way, std::int64_t passes) {
    way.rest = std::min(passes, kLongestRest);
    way.due = passes_ + way.rest;
    way.rested = passes_ + kRest;
  }
  void go(int way) {
    way_ = way;
    fresh_ = true;
    seen_ = slow_ = 0;
  }
  // At the way that was the fastest of those that are due, if there is one.
  void look() {
    const auto overtakes = [&](const Way& way) {
      return way.ns > 0 && passes_ >= way.rested && faster(way.ns, ways_[best_].ns);
    };
    slow_ = std::any_of(ways_, ways_ + count_, overtakes) ? slow_ + 1 : 0;
    int to = best_;
    for (int i = 0; i < count_; ++i) {
      const Way& way = ways_[i];
      const bool looks = passes_ >= way.due || (slow_ >= kSlow && overtakes(way));
      if (i != best_ && looks && (to == best_ || way.ns < ways_[to].ns)) to = i;
    }
    if (to == best_) return;
    cost_ns_ = 0;
    looked_ = to;
    go(to);
  }
  void end_look(std::int64_t ns) {
    ways_[way_].ns = ns;
    go(best_);
  }
  void pay_for_look(std::int64_t return_ns) {
    Way& way = ways_[looked_];
    const std::int64_t earned = 100 * (cost_ns_ + return_ns) / std::max<std::int64_t>(1, ways_[best_].ns);
    rest(way, std::clamp(earned, kRest, kGrowth * way.rest));
    looked_ = best_;
  }
  // The way that is looked at is the best. The one before rests for longer each time that it reigned briefly.
  void crown(std::int64_t ns) {
    Way& before = ways_[best_];
    const bool briefly = passes_ - crowned_ < kGrowth * std::max(before.rest, remembered());
    const std::int64_t longest = std::max(kGrowth * kRest, kLongestRestNs / (ns + 1));
    rest(before, briefly ? std::min(kGrowth * before.rest, longest) : kRest);
    looked_ = best_ = way_;
    ways_[best_].ns = mean_ns_ = ns;
    crowned_ = passes_;
  }

  Way ways_[kMost];
  int count_ = 0, best_ = 0, way_ = 0;
  int looked_ = 0;  // at which way, until that is paid for; else the best
  std::int64_t passes_ = 0;
  std::int64_t crowned_ = 0;  // the pass that made the best way the best
  std::int64_t mean_ns_ = 0;  // of the best way; 0: not known
  std::int64_t cost_ns_ = 0;  // of the look beyond what the best way would have taken
  // Of the passes since the way changed.
  bool fresh_ = true;
  int seen_ = 0;
  int slow_ = 0;  // the last ones in a row after which another way seemed to be the faster
  std::int64_t last_ns_[kSeen] = {};
};

}  // namespace rondo::cpu
