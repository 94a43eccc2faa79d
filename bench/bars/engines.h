// Rondo and its peers as child processes, each on a number of threads, that are asked in rounds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "bench/bars/effort.h"
#include "bench/bars/record.h"
#include "bench/peer_process.h"

namespace bench::bars {

// Rounds of a row: each engine answers once a round, by a new process, in an order that changes from round to
// round. Where a process's memory lies changes short times by several per cent, in all of its answers alike.
class Engines {
 public:
  // threads: those that will be asked for.
  explicit Engines(const std::set<int>& threads);
  const Json& peers() const { return peers_; }  // name, version, note: also of those that cannot run

  // Who answers: Rondo and its peers, or Rondo and the bare loop of kernels.
  enum class Who { kPeers, kBare };
  // Adds rounds or an error for each engine on each of `threads`. False when it was stopped.
  bool time(Row& row, Who who, const std::set<int>& threads, const Effort& effort, const Stopped& stopped);

 private:
  struct Engine {
    std::string runner;
    int threads;
    PeerProcess process;
    bool peer;  // answers beside other peers
    bool bare;  // answers beside the bare loop
  };
  static void ask(Engine& engine, Row& row, double seconds);

  std::vector<Engine> engines_;
  Json peers_ = Json::array();
};

PeerProcess own_process();  // this program as a child

}  // namespace bench::bars
