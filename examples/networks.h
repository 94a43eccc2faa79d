// The networks that forecast a series, and their training.
#pragma once

#include <rondo/rondo.h>

#include <functional>
#include <string>
#include <vector>

#include "linear.h"
#include "series.h"

namespace examples {

enum class NetworkKind { kDense, kSimpleRnn, kLstm, kGru };
std::string to_string(NetworkKind kind);  // "dense net", "SimpleRNN", "LSTM", "GRU"

// Epochs, batch and rate: of 10, 15, 25 by 32, 64 by 1e-3, 2e-3, 4e-3 what did best, in the mean of all four
// networks, on the daily temperatures without their last year, which is the test.
struct NetworkOptions {
  std::int64_t hidden = 24;
  int epochs = 25;
  std::int64_t batch = 64;
  double rate = 4e-3;    // falls to zero along a half cosine
  double dropout = 0.1;  // on the inputs of the recurrent networks
  double clip = 1;
  rondo::DeviceChoice device;
};

struct NetworkRun {
  std::vector<double> training, validation;  // RMSE after each epoch, in units of the series
  int best_epoch = 0;                        // the one with the lowest validation RMSE
  Forecast forecast;                         // of the test, with that epoch's parameters
  std::string device, reason;
  bool complete = false;  // false: stopped by the user before the last epoch
};

// Trains on the targets before the validation part. The test is looked at once, after the last epoch.
// after_batch is called after each one; false from it stops the training.
NetworkRun train_network(NetworkKind kind, const Series1d& series, const Split& split,
                         const NetworkOptions& options, std::uint64_t seed,
                         const std::function<bool()>& after_batch);
std::int64_t batches_per_epoch(const Split& split, const NetworkOptions& options);

}  // namespace examples
