// Rounds of rows that are about Rondo itself.
#include "bench/bars/alone.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "bench/bars/engines.h"
#include "bench/options.h"
#include "rondo/rondo.h"

namespace bench::bars {
namespace {

constexpr int kCalls = 20000;  // of step in a round: 20 of them are above the 99.9th percentile
constexpr int kMostMemoryRounds = 3;
constexpr double kMostSeconds = 120;  // for an answer

double median_us(Workload& workload, double seconds) {
  return bench::measure([&] { workload.run(); }, [] {}, lasting(seconds)).median_us;
}

// Both in turn, and the first of a round is the second of the next.
bool time_pair(Row& row, const std::string& option, const std::string& name, const Effort& effort,
               const Stopped& stopped) {
  rondo::set_num_threads(1);
  const auto with = make_option_workload(row.shape, option), plain = make_option_workload(row.shape, "");
  for (int round = 0; round < effort.rounds; ++round) {
    for (const bool option_now : {round % 2 == 0, round % 2 != 0}) {
      if (stopped()) return false;
      row.rounds[option_now ? name : "plain"].push_back(
          median_us(option_now ? *with : *plain, effort.seconds));
    }
  }
  return true;
}

// The value of one process that is started for it; NaN where row has an error for it now.
double ask_once(PeerProcess process, Row& row, const std::string& runner, const std::string& question) {
  const nlohmann::json answer = process.ask(question, kMostSeconds);
  if (answer.contains("value") && answer.at("value").is_number()) return answer.at("value");
  row.errors[runner] = answer.value("error", "no value in its answer: " + answer.dump());
  row.rounds.erase(runner);
  return std::nan("");
}

void add_once(PeerProcess process, Row& row, const std::string& runner, const std::string& question,
              double unit) {
  if (row.errors.contains(runner)) return;
  const double value = ask_once(std::move(process), row, runner, question);
  if (!std::isnan(value)) row.rounds[runner].push_back(value / unit);
}

}  // namespace

bool time_option(Row& row, const std::string& option, const Effort& effort, const Stopped& stopped) {
  return time_pair(row, option, "option", effort, stopped);
}

bool time_ragged(Row& row, const Effort& effort, const Stopped& stopped) {
  const std::vector<std::int64_t> lengths = ragged_lengths(row.shape.t, row.shape.n);
  const auto valid = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  const double share = valid / static_cast<double>(row.shape.t * row.shape.n);
  Row timed{.shape = row.shape};
  if (!time_pair(timed, kRaggedOption, "ragged", effort, stopped)) return false;
  for (const double us : timed.rounds.at("ragged")) row.rounds["ragged"].push_back(us);
  for (const double us : timed.rounds.at("plain"))
    row.rounds["full batch, valid share"].push_back(us * share);
  return true;
}

bool time_calls(Row& row, const Effort& effort, const Stopped& stopped) {
  using Clock = std::chrono::steady_clock;
  rondo::set_num_threads(1);
  rondo::Rnn rnn(config_of(row.shape), rondo::Device{});
  rondo::State state = rnn.make_state(row.shape.n);
  const rondo::Tensor x(rondo::DType::kF32, {row.shape.n, row.shape.i});
  std::vector<double> us(kCalls);
  for (int round = 0; round < effort.rounds; ++round) {
    if (stopped()) return false;
    for (int call = 0; call < kCalls / 20; ++call) rnn.step(x, state);
    for (double& one : us) {
      const Clock::time_point start = Clock::now();
      rnn.step(x, state);
      one = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    }
    std::sort(us.begin(), us.end());
    row.rounds["median"].push_back(us[kCalls / 2]);
    row.rounds["p99.9"].push_back(us[kCalls - kCalls / 1000]);
  }
  return true;
}

bool time_start(Row& row, const Effort& effort, const Stopped& stopped) {
  const std::string shape = row_text(row.shape) + " --threads " + std::to_string(rondo::num_threads());
  for (int round = 0; round < effort.rounds; ++round) {
    if (stopped()) return false;
    add_once(own_process(), row, "plan", shape + " --once plan", 1);
    add_once(own_process(), row, "first call", shape + " --once call", 1);
  }
  return true;
}

bool measure_memory(Row& row, const Effort& effort, const Stopped& stopped) {
  const std::string question = row_text(row.shape) + " --threads 1 --once memory";
  for (int round = 0; round < std::min(effort.rounds, kMostMemoryRounds); ++round) {
    if (stopped()) return false;
    add_once(own_process(), row, "rondo MB", question, 1e6);
    bool found = false;
    for (PeerProcess& peer : known_peers(peer_folders())) {
      if (peer.name() != "pytorch") continue;
      found = true;
      add_once(std::move(peer), row, "pytorch MB", question, 1e6);
    }
    if (!found) row.errors["pytorch MB"] = "there is no bench/peers/pytorch.py";
  }
  return true;
}

}  // namespace bench::bars
