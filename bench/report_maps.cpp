// Maps of H by N: which of two is faster, and the line where they meet.
#include <algorithm>
#include <cmath>
#include <set>

#include "bench/report_parts.h"

namespace bench {
namespace {

using Ratio = std::function<std::optional<double>(const Case&, const Runners&)>;

std::string sizes_title(const Case& what) {
  std::string title = cell_name(what.cell) + " " + what.phase;
  if (what.phase != "step") title += ", T " + std::to_string(what.t);
  if (what.i > 0) title += ", I " + std::to_string(what.i);
  if (what.layers > 1) title += ", " + std::to_string(what.layers) + " layers";
  if (what.bidirectional) title += ", both ways";
  if (what.dtype != "f32") title += ", " + what.dtype;
  return title;
}

// The ends of the colours: far enough for nearly all, and no further than a factor of 100.
double limit_of(const std::vector<report::HeatMap>& maps) {
  double largest = 0;
  for (const report::HeatMap& map : maps) {
    for (const auto& cell : map.cells) largest = std::max(largest, std::abs(cell.value));
  }
  for (double factor : {2.0, 4.0, 10.0, 30.0}) {
    if (largest <= std::log10(factor) * 1.05) return std::log10(factor);
  }
  return 2;
}

report::Ticks scale_of(double limit, const std::string& low, const std::string& high) {
  const double half = std::pow(10, limit / 2), full = std::pow(10, limit);
  return {{-limit, low + " " + times_text(full) + "×"},
          {-limit / 2, times_text(half) + "×"},
          {0, "alike"},
          {limit / 2, times_text(half) + "×"},
          {limit, high + " " + times_text(full) + "×"}};
}

std::size_t place_of(const std::set<std::int64_t>& sizes, std::int64_t size) {
  return static_cast<std::size_t>(std::distance(sizes.begin(), sizes.find(size)));
}

// The smaller of the ratio and its inverse is left to the colour.
std::string cell_text(double ratio) { return times_text(ratio < 1 ? 1 / ratio : ratio); }

report::HeatMap map_of(const Results& results, const Group& group, const Ratio& ratio) {
  report::HeatMap map{
      .title = sizes_title(group.what), .x_label = "N, rows of the batch", .y_label = "H, hidden units"};
  std::set<std::int64_t> batches, units;
  for (const Case& what : group.cases) {
    if (!ratio(what, results.cases.at(what))) continue;
    batches.insert(what.n);
    units.insert(what.h);
  }
  for (std::int64_t n : batches) map.columns.push_back(std::to_string(n));
  for (std::int64_t h : units) map.rows.push_back(std::to_string(h));
  for (const Case& what : group.cases) {
    const std::optional<double> value = ratio(what, results.cases.at(what));
    if (!value) continue;
    map.cells.push_back(
        {place_of(batches, what.n), place_of(units, what.h), std::log10(*value), cell_text(*value)});
  }
  return map;
}

std::vector<report::HeatMap> maps_of(const Results& results, const Ratio& ratio) {
  std::vector<report::HeatMap> maps;
  const auto wanted = [&](const Case& what) {
    return what.option.empty() && ratio(what, results.cases.at(what)).has_value();
  };
  for (const Group& group : groups(results, Vary::kHAndN, wanted))
    maps.push_back(map_of(results, group, ratio));
  return maps;
}

// They share their colours, so that one can be held against the other. `low` is where the ratio is below one.
std::vector<std::string> drawn(std::vector<report::HeatMap> maps, const std::string& low,
                               const std::string& high, bool hatched) {
  std::vector<std::string> svgs;
  const double limit = limit_of(maps);
  for (report::HeatMap& map : maps) {
    map.limit = limit;
    map.scale = scale_of(limit, low, high);
    map.hatched = hatched;
    map.low_color = low == "GPU" ? report::palette::kOrange : report::palette::kBlue;
    map.high_color = low == "GPU" ? report::palette::kBlue : report::palette::kGreen;
    svgs.push_back(draw(map));
  }
  return svgs;
}

std::string gpu_sentence(const GpuHalf& gpu) {
  if (gpu.from == GpuHalf::From::kPublished) {
    return " Hatched: the GPU's times, copies included, are " + gpu.name + "; the CPU's are measured.";
  }
  if (gpu.from == GpuHalf::From::kOtherRun) {
    return " Hatched: the GPU's times are from another machine, " + gpu.name + ".";
  }
  return " Both are measured in this run; the GPU is " + gpu.name + ".";
}

std::optional<double> gpu_over_cpu(const Results& results, const Case& what, const Runners& runners) {
  const auto cpu = best_cpu_us(runners), gpu = gpu_us(results, what);
  if (!cpu || !gpu) return std::nullopt;
  return *gpu / *cpu;
}

std::optional<double> all_over_one(const Runners& runners) {
  const Row* one = find_row(runners, "cpu/1");
  const Row* all = find_row(runners, "cpu");
  if (one == nullptr || all == nullptr || all->threads < 2) return std::nullopt;
  return all->us / one->us;
}

// The least H of a batch from which on the ratio stays below one; "": it does not.
std::string from_size(const report::HeatMap& map, std::size_t column) {
  std::map<std::size_t, double> values;
  for (const auto& cell : map.cells) {
    if (cell.column == column) values[cell.row] = cell.value;
  }
  std::string from;
  for (auto it = values.rbegin(); it != values.rend() && it->second < 0; ++it) from = map.rows[it->first];
  return from;
}

// "LSTM inference, T 50: from H = 256 at N = 1, from H = 32 at N = 128"
std::string crossing(const report::HeatMap& map) {
  std::string text = map.title + ":";
  for (const std::size_t column : {std::size_t{0}, map.columns.size() - 1}) {
    const std::string from = from_size(map, column);
    text += (column == 0 ? " " : ", ") + (from.empty() ? "for no H" : "from H = " + from) +
            " at N = " + map.columns[column];
  }
  return text;
}

std::string crossings(const std::vector<report::HeatMap>& maps, const std::string& who) {
  std::string text;
  for (const report::HeatMap& map : maps) {
    if (map.title.starts_with("LSTM")) text += (text.empty() ? "" : "; ") + crossing(map);
  }
  return text.empty() ? "" : who + " by size, " + text + ".";
}

std::vector<report::HeatMap> crossover_maps(const Results& results) {
  return maps_of(results, [&](const Case& what, const Runners& runners) {
    return gpu_over_cpu(results, what, runners);
  });
}

std::vector<report::HeatMap> thread_maps(const Results& results) {
  return maps_of(results, [](const Case&, const Runners& runners) { return all_over_one(runners); });
}

// How often, and how much on average.
std::string share_sentence(const std::vector<double>& speedups, const std::string& who,
                           const std::string& than) {
  const auto faster = std::count_if(speedups.begin(), speedups.end(), [](double s) { return s > 1; });
  const double mean = geometric_mean(speedups);
  return who + " faster than " + than + " in " + std::to_string(faster) + " of " +
         std::to_string(speedups.size()) + " cases; as a geometric mean of all, " +
         (mean >= 1 ? report::fixed(mean, 2) + " times as fast."
                    : report::fixed(1 / mean, 2) + " times as slow.");
}

}  // namespace

Plots crossover_plots(const Results& results) {
  if (results.gpu.from == GpuHalf::From::kNone) return {};
  const auto maps = crossover_maps(results);
  if (maps.empty()) return {};
  const bool hatched = results.gpu.from != GpuHalf::From::kSameRun;
  return {
      {.name = "crossover",
       .heading =
           hatched && !results.gpu.measured() ? "CPU or GPU? (GPU predicted, not measured)" : "CPU or GPU?",
       .panels = drawn(maps, "GPU", "CPU", hatched),
       .caption = "How many times faster the faster one is: blue where the CPU is (with one or all of its "
                  "threads, whichever is faster), orange where the GPU is. On the dark line they meet." +
                  gpu_sentence(results.gpu)}};
}

Plots thread_plots(const Results& results) {
  const auto maps = thread_maps(results);
  if (maps.empty()) return {};
  const std::string threads = std::to_string(results.context().threads());
  return {
      {.name = "threads",
       .heading = "One thread or all " + threads + "?",
       .panels = drawn(maps, "all", "one", false),
       .caption = "How many times faster the faster one is: blue where all " + threads +
                  " threads are, green where one alone is. On the dark line they meet. Both are measured."}};
}

std::vector<std::string> headlines_of_maps(const Results& results) {
  std::vector<double> gpu, threads;
  for (const auto& [what, runners] : results.cases) {
    if (!what.option.empty()) continue;
    if (const auto ratio = gpu_over_cpu(results, what, runners)) gpu.push_back(1 / *ratio);
    if (const auto ratio = all_over_one(runners)) threads.push_back(1 / *ratio);
  }
  std::vector<std::string> lines;
  if (!gpu.empty()) {
    lines.push_back(share_sentence(gpu, "The GPU (" + results.gpu.name + ") is", "the CPU"));
    lines.push_back(crossings(crossover_maps(results), "The GPU is faster"));
  }
  if (!threads.empty()) {
    const std::string all = "All " + std::to_string(results.context().threads()) + " threads are";
    lines.push_back(share_sentence(threads, all, "one"));
    lines.push_back(crossings(thread_maps(results), all + " faster"));
  }
  std::erase(lines, "");
  return lines;
}

}  // namespace bench
