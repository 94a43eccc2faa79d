// Predictions of the library's cost model, and a search for the sizes at which they cross.
#include "advise.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <vector>

#include "rondo/rondo.h"

namespace cli {
namespace {

constexpr std::int64_t kMostProbed = 1 << 16;

rondo::RnnConfig config_of(const AdviseOptions& o) {
  rondo::RnnConfig config;
  config.cell = o.cell == "lstm"  ? rondo::Cell::kLstm
                : o.cell == "gru" ? rondo::Cell::kGru
                                  : rondo::Cell::kSimpleRnn;
  config.activation = o.cell == "rnn_relu" ? rondo::Activation::kRelu : rondo::Activation::kTanh;
  config.input_size = o.i;
  config.hidden_size = o.h;
  config.num_layers = o.layers;
  if (o.bidirectional) config.direction = rondo::Direction::kBidirectional;
  config.dtype = o.dtype == "f64" ? rondo::DType::kF64 : rondo::DType::kF32;
  return config;
}

// The device of the least predicted time, those counted that are missing or not usable here: what would be
// chosen, were they usable. Those that refuse the network are not.
rondo::Device fastest(const rondo::Advice& advice) {
  const rondo::Advice::Prediction* best = nullptr;
  for (const rondo::Advice::Prediction& p : advice.devices) {
    if (!p.support.ok && p.info.usable) continue;
    if (best == nullptr || p.us < best->us) best = &p;
  }
  return best == nullptr ? advice.device : best->info.device;
}

// "cpu up to N = 37, cuda:0 from N = 38": by doubling, then halving the step in which the choice changed.
// winner: none where the sizes are too large to count.
std::string flips(const std::string& letter,
                  const std::function<std::optional<rondo::Device>(std::int64_t)>& winner) {
  rondo::Device now = winner(1).value();
  std::string text = rondo::to_string(now);
  std::int64_t last = 1;
  bool flipped = false;
  for (std::int64_t size = 2; size <= kMostProbed; size *= 2) {
    const std::optional<rondo::Device> then = winner(size);
    if (!then) break;
    if (*then != now) {
      std::int64_t low = last, high = size;
      while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (winner(middle) == now ? low : high) = middle;
      }
      text += " up to " + letter + " = " + std::to_string(low) + ", " + rondo::to_string(*then) + " from " +
              letter + " = " + std::to_string(high);
      now = *then;
      flipped = true;
    }
    last = size;
  }
  return flipped ? text : text + " for every " + letter + " from 1 to " + std::to_string(last);
}

}  // namespace

void print_advice(const AdviseOptions& o) {
  const char* asked = std::getenv("RONDO_DEVICE");
  const std::string environment = asked == nullptr ? "" : asked;
  unsetenv("RONDO_DEVICE");  // what the library chooses by itself is asked for here
  const rondo::RnnConfig config = config_of(o);
  const rondo::Phase phase = o.phase == "training" ? rondo::Phase::kTraining : rondo::Phase::kInference;
  const rondo::Advice advice = rondo::advise(config, phase, o.t, o.n);
  std::printf("%s, %s, T = %ld, N = %ld, %d threads\n", rondo::to_string(config).c_str(), o.phase.c_str(),
              o.t, o.n, rondo::num_threads());
  bool all_usable = true;
  for (const rondo::Advice::Prediction& p : advice.devices) {
    all_usable = all_usable && p.info.usable;
    std::printf("  %-8s %12.1f us", rondo::to_string(p.info.device).c_str(), p.us);
    if (p.copies_us > 0) std::printf(", %.1f us of it copies", p.copies_us);
    std::printf("%s\n", p.support.ok ? "" : "; it cannot be used");
  }
  std::printf("choice: %s (%s)\n", rondo::to_string(advice.device).c_str(), advice.reason.c_str());
  const auto winner = [&](std::int64_t t, std::int64_t n) -> std::optional<rondo::Device> {
    try {
      return fastest(rondo::advise(config, phase, t, n));
    } catch (const rondo::InvalidArgument&) {
      return {};
    }
  };
  const std::string by_n = flips("N", [&](std::int64_t n) { return winner(o.t, n); });
  const std::string by_t = flips("T", [&](std::int64_t t) { return winner(t, o.n); });
  std::printf("least predicted time%s, T = %ld: %s\n", all_usable ? "" : ", were every device usable", o.t,
              by_n.c_str());
  std::printf("least predicted time%s, N = %ld: %s\n", all_usable ? "" : ", were every device usable", o.n,
              by_t.c_str());
  if (!environment.empty()) std::printf("RONDO_DEVICE=%s overrides the choice\n", environment.c_str());
}

}  // namespace cli
