// forecast: predicts a daily series by recurrent networks, and by linear models from the same inputs.
#include "forecast.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "program.h"
#include "progress.h"

namespace examples {
using namespace report;
namespace {

constexpr NetworkKind kNetworks[] = {NetworkKind::kDense, NetworkKind::kSimpleRnn, NetworkKind::kLstm,
                                     NetworkKind::kGru};

void add_flags(CLI::App* app, ForecastOptions* o) {
  app->add_option("--csv", o->csv,
                  "CSV file with a header (default: daily minimum temperatures, Melbourne 1981-1990)");
  app->add_option("--column", o->column, "column to predict")->capture_default_str();
  app->add_option("--horizon", o->horizon, "rows ahead")->check(CLI::Range(1, 3650))->capture_default_str();
  app->add_option("--hidden", o->network.hidden, "units of each network")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_option("--epochs", o->network.epochs, "passes over the training part")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app->add_option("--batch", o->network.batch, "windows between two updates")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--rate", o->network.rate, "Adam's learning rate at the start")
      ->check(CLI::Range(1e-8, 1.0))
      ->capture_default_str();
  app->add_option("--dropout", o->network.dropout, "dropout on the inputs of the recurrent networks")
      ->check(CLI::Range(0.0, 0.95))
      ->capture_default_str();
  app->add_option("--seeds", o->seeds, "how many times each network is trained")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app->add_option("--seed", o->seed, "the first of the seeds")->capture_default_str();
  app->add_option("--device", o->device,
                  "auto, cpu, cuda or cuda:N (default: the variable RONDO_DEVICE, else auto)");
  app->add_option("--out", o->out, "folder for result.json and forecast.html")->capture_default_str();
  app->footer(
      "Examples:\n"
      "  forecast                                           tomorrow's minimum temperature\n"
      "  forecast --horizon 7                               that of the same day next week\n"
      "  forecast --csv sales.csv --column units --out run1 your own series, a row a day\n"
      "Ctrl-C stops the training and still writes the report; a second one stops at once.");
}

// Persistence and the linear models; with the seasonal one where there are dates.
std::vector<ModelResult> simple_models(const Series1d& series, const Split& split) {
  std::vector<ModelResult> models;
  const auto add = [&](const std::string& name, bool linear, Forecast forecast) {
    ModelResult model;
    model.name = name;
    model.linear = linear;
    model.rmse = mean_interval({rmse(series, split, forecast)});
    model.forecasts.push_back(std::move(forecast));
    models.push_back(std::move(model));
  };
  add("persistence", false, persistence(series, split));
  add("AR(30)", true, autoregression(series, split, 30, 0));
  if (series.has_dates()) add("AR(7) + season", true, autoregression(series, split, 7, 2));
  return models;
}

// Squared errors of each day of the test, the mean over the forecasts.
std::vector<double> squared_errors(const ModelResult& model, const Series1d& series, const Split& split) {
  std::vector<double> errors(std::size_t(split.end - split.test));
  for (const Forecast& forecast : model.forecasts) {
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const double error = forecast[i] - series.values[std::size_t(split.test) + i];
      errors[i] += error * error / double(model.forecasts.size());
    }
  }
  return errors;
}

// A difference of mean squared errors as one of their roots, a^2 - b^2 = (a - b)(a + b).
Interval excess_over(const ModelResult& model, const ModelResult& other, const Series1d& series,
                     const Split& split) {
  const std::vector<double> a = squared_errors(model, series, split),
                            b = squared_errors(other, series, split);
  Interval interval = difference_interval(a, b);
  double sum_a = 0, sum_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum_a += a[i], sum_b += b[i];
  const double scale = std::sqrt(sum_a / double(a.size())) + std::sqrt(sum_b / double(b.size()));
  if (scale == 0) return {};
  return {interval.mean / scale, interval.low / scale, interval.high / scale};
}

// Trains every network with every seed. Seeds are the outer loop: after Ctrl-C each network has a figure.
void train_networks(const ForecastOptions& o, const Series1d& series, const Split& split,
                    ForecastResult* result) {
  const std::size_t first = result->models.size();
  for (NetworkKind kind : kNetworks) {
    ModelResult model;
    model.name = to_string(kind);
    model.network = kind;
    result->models.push_back(std::move(model));
  }
  Progress progress(std::int64_t(std::size(kNetworks)) * o.seeds * o.network.epochs *
                    batches_per_epoch(split, o.network));
  for (int s = 0; s < o.seeds && !result->interrupted; ++s) {
    for (std::size_t k = 0; k < std::size(kNetworks) && !result->interrupted; ++k) {
      ModelResult& model = result->models[first + k];
      const std::string label =
          "seed " + std::to_string(s + 1) + " of " + std::to_string(o.seeds) + ", " + model.name;
      const auto after_batch = [&] {
        progress.advance(label);
        return !StopRequest::requested();
      };
      NetworkRun run =
          train_network(kNetworks[k], series, split, o.network, o.seed + std::uint64_t(s), after_batch);
      result->interrupted = !run.complete;
      if (!run.complete) break;
      result->device = run.device;
      result->reason = run.reason;
      model.forecasts.push_back(run.forecast);
      model.runs.push_back(std::move(run));
    }
  }
  std::erase_if(result->models, [](const ModelResult& m) { return m.forecasts.empty(); });
}

ForecastResult compare(const ForecastOptions& o, const Series1d& series, const Split& split) {
  const Stopwatch watch;
  ForecastResult result;
  result.device = "none";
  result.reason = "no network was trained";
  result.models = simple_models(series, split);
  train_networks(o, series, split, &result);
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    if (result.models[i].linear &&
        (!result.models[result.best_linear].linear ||
         result.models[i].rmse.mean < result.models[result.best_linear].rmse.mean)) {
      result.best_linear = i;
    }
  }
  for (ModelResult& model : result.models) {
    if (!model.network) continue;
    std::vector<double> all;
    for (const Forecast& forecast : model.forecasts) all.push_back(rmse(series, split, forecast));
    model.rmse = mean_interval(all);
    model.excess = excess_over(model, result.models[result.best_linear], series, split);
  }
  result.seconds = watch.seconds();
  return result;
}

void print_result(const ForecastResult& result) {
  std::printf("%-16s %9s   95 %% interval over seeds\n", "model", "test RMSE");
  for (const ModelResult& model : result.models) {
    std::printf("%-16s %9.3f", model.name.c_str(), model.rmse.mean);
    if (model.forecasts.size() > 1) {
      std::printf("   %.3f to %.3f (%zu seeds)", model.rmse.low, model.rmse.high, model.forecasts.size());
    }
    std::printf("\n");
  }
  std::printf("\n");
  for (const ModelResult& model : result.models) {
    if (model.network) std::printf("%s\n", verdict(model, result.models[result.best_linear]).c_str());
  }
}

int run_forecast(ForecastOptions o) {
  prepare_folder(o.out);
  o.network.device = o.device.empty() ? rondo::device_from_environment() : rondo::parse_device(o.device);
  const std::string path = o.csv.empty() ? RONDO_EXAMPLE_DATA "/daily-min-temperatures.csv" : o.csv;
  const Series1d series = read_csv(path, o.column);
  const Split split = split_series(series, o.horizon);
  std::printf("%s, column %s: %lld rows; training %lld, validation %lld, test %lld; %lld ahead\n\n",
              path.c_str(), o.column.c_str(), (long long)split.end,
              (long long)(split.validation - split.first), (long long)(split.test - split.validation),
              (long long)(split.end - split.test), (long long)o.horizon);
  std::fflush(stdout);
  StopRequest::install();
  const ForecastResult result = compare(o, series, split);
  print_result(result);

  const std::filesystem::path folder = o.out;
  write_file(folder / "result.json", forecast_json(result, o));
  write_file(folder / "forecast.html", forecast_page(result, o, series, split));
  std::printf("\ndevice: %s (%s)\n%.1f s%s\n%s\n%s\n", result.device.c_str(), result.reason.c_str(),
              result.seconds, result.interrupted ? ", stopped by the user" : "",
              (folder / "result.json").c_str(), (folder / "forecast.html").c_str());
  return result.interrupted ? 130 : 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  CLI::App app("Predicts a daily series by recurrent networks, and by linear models from the same inputs.",
               "forecast");
  examples::ForecastOptions options;
  examples::add_flags(&app, &options);
  return examples::run_program(app, argc, argv, [&] { return examples::run_forecast(options); });
}
