// The forecast's result.json and its page.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "forecast.h"
#include "tools/report/report.h"

namespace examples {
using namespace report;
namespace {

const char* color_of(const ModelResult& model) {
  if (!model.network) return model.linear ? palette::kInk : palette::kMuted;
  switch (*model.network) {
    case NetworkKind::kDense:
      return palette::kOrange;
    case NetworkKind::kSimpleRnn:
      return palette::kPurple;
    case NetworkKind::kLstm:
      return palette::kGreen;
    case NetworkKind::kGru:
      break;
  }
  return palette::kBlue;
}

const ModelResult* best_of(const ForecastResult& result, bool networks) {
  const ModelResult* best = nullptr;
  for (const ModelResult& model : result.models) {
    if (model.network.has_value() != networks) continue;
    if (best == nullptr || model.rmse.mean < best->rmse.mean) best = &model;
  }
  return best;
}

void add_scores(const ForecastResult& result, Page* page) {
  const ModelResult& linear = result.models[result.best_linear];
  RangeChart chart;
  chart.x_label = "RMSE on the test, lower is better";
  Table table{{"Model", "Test RMSE", "95 % interval over seeds",
               "Against " + linear.name + " (95 % interval over days)"},
              {},
              {}};
  double lowest = linear.rmse.mean;
  for (const ModelResult& model : result.models) lowest = std::min(lowest, model.rmse.mean);
  for (const ModelResult& model : result.models) {
    chart.rows.push_back({model.name, color_of(model), model.rmse.mean, model.rmse.low, model.rmse.high});
    const bool several = model.forecasts.size() > 1;
    table.rows.push_back({model.name, fixed(model.rmse.mean, 3),
                          several ? fixed(model.rmse.low, 3) + " to " + fixed(model.rmse.high, 3) : "",
                          model.network ? fixed(model.excess.mean, 3) + " (" + fixed(model.excess.low, 3) +
                                              " to " + fixed(model.excess.high, 3) + ")"
                                        : ""});
    table.highlighted.push_back(model.rmse.mean == lowest);
  }
  page->heading("Who predicts best");
  page->chart(chart,
              "Root of the mean squared error over the test. Bars are 95 % intervals of the mean over seeds; "
              "persistence and the linear models have no seed.");
  page->table(table);
  for (const ModelResult& model : result.models) {
    if (model.network) page->paragraph(verdict(model, linear));
  }
}

void add_forecast(const ForecastResult& result, const Series1d& series, const Split& split, Page* page) {
  const ModelResult* network = best_of(result, true);
  const ModelResult& shown = network != nullptr ? *network : result.models[result.best_linear];
  Chart chart;
  chart.height = 400;
  chart.x_label = series.has_dates() ? "" : "row";
  chart.y_label = series.column;
  Series observed{"observed", palette::kMuted, Mark::kThinLine, {}, {}};
  Series forecast{shown.name + (shown.network ? ", first seed" : ""), color_of(shown), Mark::kLine, {}, {}};
  const std::int64_t count = split.end - split.test;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t t = split.test + i;
    observed.x.push_back(double(t));
    observed.y.push_back(series.values[std::size_t(t)]);
    forecast.x.push_back(double(t));
    forecast.y.push_back(shown.forecasts[0][std::size_t(i)]);
    if (series.has_dates() && i % std::max<std::int64_t>(1, count / 8) == 0) {
      chart.x_ticks.emplace_back(double(t), series.dates[std::size_t(t)]);
    }
  }
  chart.series = {observed, forecast};
  page->heading("The test, as it was and as it was predicted");
  page->chart(chart, "Each point is predicted from the 30 values that end " + std::to_string(split.horizon) +
                         (split.horizon == 1 ? " row" : " rows") +
                         " before it. None of this was seen in training.");
}

void add_curves(const ForecastResult& result, Page* page) {
  Chart chart;
  chart.x_label = "epoch";
  chart.y_label = "validation RMSE, mean of the seeds";
  for (const ModelResult& model : result.models) {
    if (!model.network) continue;
    Series series{model.name, color_of(model), Mark::kLinePoints, {}, {}};
    for (std::size_t e = 0; e < model.runs[0].validation.size(); ++e) {
      double sum = 0;
      for (const NetworkRun& run : model.runs) sum += run.validation[e] / double(model.runs.size());
      series.x.push_back(double(e + 1));
      series.y.push_back(sum);
    }
    chart.series.push_back(std::move(series));
  }
  if (chart.series.empty()) return;
  page->heading("Learning curves");
  page->chart(chart,
              "Of each run, the parameters of the epoch with the lowest validation RMSE make the forecast.");
}

}  // namespace

std::string verdict(const ModelResult& network, const ModelResult& best_linear) {
  const Interval& excess = network.excess;
  const std::string size = fixed(std::abs(excess.mean), 3) + (excess.mean < 0 ? " lower" : " higher");
  const std::string start = network.name + ": RMSE " + size + " than " + best_linear.name +
                            " (95 % interval of the difference " + fixed(excess.low, 3) + " to " +
                            fixed(excess.high, 3) + "): ";
  if (excess.high < 0) return start + "better than every linear model here.";
  if (excess.low > 0) return start + "a linear model does better.";
  return start + "a linear model does as well.";
}

std::string forecast_json(const ForecastResult& result, const ForecastOptions& o) {
  nlohmann::json rmse = nlohmann::json::object(), intervals = rmse, seeds = rmse, verdicts = rmse;
  for (const ModelResult& model : result.models) {
    rmse[model.name] = model.rmse.mean;
    if (!model.network) continue;
    intervals[model.name] = {model.rmse.low, model.rmse.high};
    seeds[model.name] = model.forecasts.size();
    verdicts[model.name] = verdict(model, result.models[result.best_linear]);
  }
  const nlohmann::json json = {{"task", "forecast"},
                               {"seconds", result.seconds},
                               {"device", result.device},
                               {"reason", result.reason},
                               {"test_rmse", rmse},
                               {"test_rmse_interval", intervals},
                               {"seeds", seeds},
                               {"verdict", verdicts},
                               {"interrupted", result.interrupted},
                               {"settings",
                                {{"csv", o.csv},
                                 {"column", o.column},
                                 {"horizon", o.horizon},
                                 {"hidden", o.network.hidden},
                                 {"epochs", o.network.epochs},
                                 {"batch", o.network.batch},
                                 {"rate", o.network.rate},
                                 {"dropout", o.network.dropout},
                                 {"first_seed", o.seed}}}};
  return json.dump(2) + "\n";
}

std::string forecast_page(const ForecastResult& result, const ForecastOptions& o, const Series1d& series,
                          const Split& split) {
  const std::string source =
      o.csv.empty()
          ? "Daily minimum temperature, Melbourne 1981-1990, in \u00b0C (Australian Bureau of Meteorology)"
          : "Column " + o.column + " of " + o.csv;
  Page page(o.horizon == 1 ? "One step ahead" : std::to_string(o.horizon) + " steps ahead",
            source + (result.interrupted ? ". Stopped before its end." : "."));
  const ModelResult *network = best_of(result, true), *simple = best_of(result, false);
  std::vector<std::pair<std::string, std::string>> facts;
  if (network != nullptr) facts.emplace_back("Best network: " + network->name, fixed(network->rmse.mean, 3));
  facts.emplace_back("Best without a network: " + simple->name, fixed(simple->rmse.mean, 3));
  facts.emplace_back("Training time", fixed(result.seconds, 1) + " s");
  facts.emplace_back("Device", result.device);
  page.facts(facts);
  add_scores(result, &page);
  add_forecast(result, series, split, &page);
  add_curves(result, &page);
  page.heading("What was run");
  page.paragraph("Every model reads the same 30 values" +
                 std::string(series.has_dates()
                                 ? "; the networks also sine and cosine of each one's day of the year, the "
                                   "seasonal model two annual pairs of the target's day"
                                 : "") +
                 ". Networks: " + std::to_string(o.network.hidden) + " units, Adam at " +
                 nlohmann::json(o.network.rate).dump() + " falling to zero along a half cosine over " +
                 std::to_string(o.network.epochs) + " epochs, batches of " + std::to_string(o.network.batch) +
                 ", input dropout " + fixed(o.network.dropout, 2) + " (recurrent networks). " +
                 std::to_string(split.validation - split.first) + " targets for training, then " +
                 std::to_string(split.test - split.validation) + " for the choice of the epoch, then " +
                 std::to_string(split.end - split.test) +
                 " for the test. The linear models are fitted to all targets before the test.");
  page.paragraph("Device: " + result.reason);
  return page.html();
}

}  // namespace examples
