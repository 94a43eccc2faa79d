// How the calls of a plan's passes are divided among threads: as predicted, then as the times of passes say.
#pragma once

#include <chrono>

#include "core/cost_model.h"
#include "core/stack.h"
#include "cpu/choice.h"

namespace rondo::cpu {

class Divider {
 public:
  explicit Divider(const RnnConfig& config);
  Divider(const Divider&) = delete;

  // Around each call of a layer and direction, or around several of them. A call without an end is not learnt
  // from. In between, division() is that of the call: the same in all calls of a pass, forward and backward,
  // since each finds in the caches what those before left there.
  void begin(const Sequence& sequence, Phase phase, bool from_zeros, bool backward) {
    static constexpr Division kAlone{};
    learner_ = nullptr;
    if (alone(sequence.total(), phase)) {
      division_ = &kAlone;
    } else {
      find(sequence, phase, from_zeros, backward);
    }
  }
  const Division& division() const { return *division_; }
  // Whether so many flat rows take one thread whatever their steps.
  bool alone(std::int64_t flat_rows, Phase phase) const {
    return flat_rows <= alone_[static_cast<int>(phase)];
  }
  bool untried() const { return learner_ == nullptr || learner_->choice.untried(); }
  // The call could not be divided so. That the team was others' it sees by itself.
  void missed() { missed_ = true; }
  void end(std::int64_t calls = 1) {
    if (learner_ != nullptr) count(calls);
  }

 private:
  using Clock = std::chrono::steady_clock;
  // A pass so far.
  struct Pass {
    std::int64_t calls = 0, ns = 0;
    bool missed = false;
  };
  struct Sizes {
    std::int64_t t = -1, n = -1;
    bool from_zeros = false, own_threads = true;
    Threads threads;
    bool operator==(const Sizes&) const = default;
  };
  struct Decided {
    Sizes sizes;
    Divisions ways;
    WayChoice choice;
    Pass pass;
  };
  void find(const Sequence& sequence, Phase phase, bool from_zeros, bool backward);
  Decided& decided(const Sizes& sizes, Phase phase);
  void count(std::int64_t calls);

  RnnConfig config_;
  CpuCost cost_;  // in use when the plan was made
  bool tries_;
  std::int64_t calls_;     // of a forward or a backward pass
  std::int64_t alone_[2];  // by phase: so many flat rows take less time than to give any of them away
  // The latest few, by phase: passes of the same sizes follow one another, or take turns.
  struct Kept {
    static constexpr int kMost = 4;
    Decided decided[kMost];
    int last = 0;
  };
  Kept kept_[2];
  // Of the call that runs.
  const Division* division_ = nullptr;
  Decided* learner_ = nullptr;  // null: nothing is learnt
  std::int64_t calls_a_pass_ = 0;
  bool missed_ = false;
  std::uint32_t with_fewer_threads_ = 0;  // of the calling thread's calls, when this one began
  Clock::time_point start_;
};

}  // namespace rondo::cpu
