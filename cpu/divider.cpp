// The divisions of passes of the latest sizes, and what their times taught.
#include "cpu/divider.h"

#include "core/settings.h"
#include "cpu/team.h"

namespace rondo::cpu {

Divider::Divider(const RnnConfig& config)
    : config_(config),
      cost_(calibration_for(Device::Kind::kCpu).cpu),
      tries_(division_trials()),
      calls_(config.num_layers * num_directions(config)) {
  for (const Phase phase : {Phase::kInference, Phase::kTraining}) {
    const double rows = std::min(cost_.handover_us, cost_.training_handover_us) /
                        predict_us({config_, phase, 1, 1}, cost_, 1);
    alone_[static_cast<int>(phase)] = static_cast<std::int64_t>(std::min(rows, 1e9));
  }
}

void Divider::find(const Sequence& sequence, Phase phase, bool from_zeros, bool backward) {
  const std::int64_t n = sequence.n, t = n == 0 ? 0 : (sequence.total() + n - 1) / n;
  const bool own_threads = executor() == nullptr;
  // Threads on one CPU would wait for one another's turns.
  const Sizes sizes{t, n, from_zeros, own_threads, {num_threads(), own_threads && available_cpus() > 1}};
  Decided& found = decided(sizes, phase);
  division_ = &found.ways.all[found.choice.way()];
  if (!found.choice.learns()) return;
  const bool training = phase == Phase::kTraining;
  calls_a_pass_ = (training ? 2 : 1) * calls_;
  if (backward && found.pass.calls < calls_) return;  // its forward pass was counted with another one
  if (training && !backward && found.pass.calls >= calls_) found.pass = {};  // that one had no backward
  learner_ = &found;
  missed_ = false;
  with_fewer_threads_ = calls_with_fewer_threads();
  start_ = Clock::now();
}

Divider::Decided& Divider::decided(const Sizes& sizes, Phase phase) {
  Kept& kept = kept_[static_cast<int>(phase)];
  if (kept.decided[kept.last].sizes == sizes) return kept.decided[kept.last];
  for (int i = 0; i < Kept::kMost; ++i) {
    if (kept.decided[i].sizes == sizes) return kept.decided[kept.last = i];
  }
  kept.last = (kept.last + 1) % Kept::kMost;
  const Work work{
      .config = config_, .phase = phase, .t = sizes.t, .n = sizes.n, .from_zeros = sizes.from_zeros};
  Decided& made = kept.decided[kept.last] = {sizes, divisions(work, cost_, sizes.threads), {}, {}};
  // What an executor's threads do beside this is not ours to learn.
  if (!tries_ || !sizes.own_threads) return made;
  static_assert(Divisions::kMost <= WayChoice::kMost);
  double predicted[Divisions::kMost];
  for (int i = 0; i < made.ways.count; ++i) predicted[i] = made.ways.all[i].us;
  made.choice.start({predicted, static_cast<std::size_t>(made.ways.count)});
  return made;
}

void Divider::count(std::int64_t calls) {
  Pass& pass = learner_->pass;
  pass.ns += (Clock::now() - start_).count();
  pass.missed = pass.missed || missed_ || calls_with_fewer_threads() != with_fewer_threads_;
  pass.calls += calls;
  if (pass.calls < calls_a_pass_) return;
  if (pass.missed) {
    learner_->choice.missed();
  } else {
    learner_->choice.took(pass.ns);
  }
  pass = {};
}

}  // namespace rondo::cpu
