// What the forecast program was asked for, what it found, and the report of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "linear.h"
#include "networks.h"
#include "series.h"

namespace examples {

struct ForecastOptions {
  std::string csv, column = "Temp", device, out = ".";
  std::int64_t horizon = 1;
  int seeds = 5;
  std::uint64_t seed = 1;
  NetworkOptions network;
};

struct ModelResult {
  std::string name;
  std::optional<NetworkKind> network;  // absent: persistence or a linear model
  bool linear = false;
  std::vector<Forecast> forecasts;  // one; of a network one a seed
  std::vector<NetworkRun> runs;     // of a network, one a seed
  Interval rmse;                    // over the seeds
  Interval excess;                  // of a network: RMSE above that of the best linear model, over the days
};

struct ForecastResult {
  std::vector<ModelResult> models;
  std::size_t best_linear = 0;
  double seconds = 0;
  bool interrupted = false;
  std::string device, reason;
};

// "GRU: 0.01 lower than AR(30), within what the days of the test decide by chance: a linear model does as
// well."
std::string verdict(const ModelResult& network, const ModelResult& best_linear);
std::string forecast_json(const ForecastResult& result, const ForecastOptions& options);
std::string forecast_page(const ForecastResult& result, const ForecastOptions& options,
                          const Series1d& series, const Split& split);

}  // namespace examples
