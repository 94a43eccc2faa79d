// Engines in rounds.
#include "bench/bars/engines.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include "rondo/device.h"

namespace bench::bars {
namespace {

constexpr double kMostSeconds = 60;  // for an answer

constexpr const char* kBare = "bare";

}  // namespace

PeerProcess own_process() { return PeerProcess(kOwn, {own_program().string()}); }

Engines::Engines(const std::set<int>& threads) {
  std::set<std::string> present;
  for (PeerProcess& peer : known_peers(peer_folders())) {
    if (peer.name() == "pytorch") continue;  // no bar is over its times
    const nlohmann::json about = peer.about();
    const bool runs = !about.contains("error");
    peers_.push_back({{"name", peer.name()},
                      {"version", runs ? Json(about.at("version")) : Json()},
                      {"note", runs ? Json("") : Json(about.at("error"))}});
    if (runs) present.insert(peer.name());
  }
  for (const int count : threads) {
    engines_.push_back({runner_name(kOwn, count), count, own_process(), true, count == 1});
    for (PeerProcess& peer : known_peers(peer_folders())) {
      const std::string name = peer.name();
      if (present.contains(name)) {
        engines_.push_back({runner_name(name, count), count, std::move(peer), true, false});
      }
    }
  }
  const std::filesystem::path bare = own_program().parent_path() / "rondo-bench-bare";
  engines_.push_back({runner_name(kBare, 1), 1, PeerProcess(kBare, {bare.string()}), false, true});
}

void Engines::ask(Engine& engine, Row& row, double seconds) {
  const std::string question = row_text(row.shape) + " --threads " + std::to_string(engine.threads) +
                               " --seconds " + std::to_string(seconds);
  const nlohmann::json answer = engine.process.ask(question, kMostSeconds);
  engine.process.end();
  const double us = answer.value("median_us", 0.0);
  if (answer.contains("error")) {
    row.errors[engine.runner] = answer.at("error");
  } else if (!(us > 0)) {
    row.errors[engine.runner] = "no time in its answer: " + answer.dump();
  } else {
    row.rounds[engine.runner].push_back(us);
  }
}

bool Engines::time(Row& row, Who who, const std::set<int>& threads, const Effort& effort,
                   const Stopped& stopped) {
  std::vector<Engine*> order;
  for (Engine& engine : engines_) {
    if (!threads.contains(engine.threads) || !(who == Who::kPeers ? engine.peer : engine.bare)) continue;
    if (engine.threads > rondo::num_threads()) {
      row.errors[engine.runner] = "this machine gives " + std::to_string(rondo::num_threads()) + " CPU";
    }
    order.push_back(&engine);
  }
  std::minstd_rand random(effort.seed + 1);
  for (int round = 0; round < effort.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (Engine* engine : order) {
      if (stopped()) return false;
      if (!row.errors.contains(engine->runner)) ask(*engine, row, effort.seconds);
    }
  }
  // One that failed in a later round has no complete rounds.
  for (const auto& [runner, why] : row.errors) row.rounds.erase(runner);
  return true;
}

}  // namespace bench::bars
