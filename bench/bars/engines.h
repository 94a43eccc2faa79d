// Rondo and its peers as child processes, each on a number of threads, that are asked in rounds.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bench/bars/record.h"
#include "bench/peer_process.h"

namespace bench::bars {

// Rounds of a row: each engine answers once a round, in an order that changes from round to round, and rests
// while others are measured.
class Engines {
 public:
  // threads: those that will be asked for.
  explicit Engines(const std::set<int>& threads);
  const Json& peers() const { return peers_; }  // name, version, note: also of those that cannot run

  struct Effort {
    int rounds;
    double seconds;
    unsigned seed;
  };
  // Adds rounds or an error for each engine on each of `threads`. False after stopped() has become true.
  bool time(Row& row, const std::set<int>& threads, const Effort& effort,
            const std::function<bool()>& stopped);

 private:
  struct Engine {
    std::string runner;
    int threads;
    PeerProcess process;
  };
  static void ask(Engine& engine, Row& row, double seconds);

  std::vector<Engine> engines_;
  Json peers_ = Json::array();
};

}  // namespace bench::bars
