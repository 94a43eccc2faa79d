// Tunes, then measures both devices of a grid in turn, in rounds, and compares the choice with the smaller
// time.
#include "bench/regret.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <vector>

#include "bench/context.h"
#include "bench/write_file.h"
#include "tuning/grid.h"
#include "tuning/progress.h"
#include "tuning/tuning.h"

namespace bench {
namespace {

volatile std::sig_atomic_t interrupted = 0;

constexpr double kSlowestUs = 3e5;  // a pass on one thread, by the published figures

const char* cell_name(rondo::Cell cell) {
  return cell == rondo::Cell::kLstm ? "lstm" : cell == rondo::Cell::kGru ? "gru" : "rnn";
}

Json json_of(const tuning::Decision& decision) {
  const rondo::RnnConfig& c = decision.work.config;
  const bool training = decision.work.phase == rondo::Phase::kTraining;
  return {{"cell", cell_name(c.cell)}, {"phase", training ? "training" : "inference"},
          {"t", decision.work.t},      {"n", decision.work.n},
          {"i", c.input_size},         {"h", c.hidden_size},
          {"layers", c.num_layers},    {"bidirectional", c.direction == rondo::Direction::kBidirectional},
          {"times_us", decision.us},   {"predicted_us", decision.predicted_us},
          {"chosen", decision.chosen}, {"regret", decision.regret()}};
}

void print_row(const tuning::Decision& d, const std::vector<tuning::Side>& sides) {
  const rondo::RnnConfig& c = d.work.config;
  std::printf(
      "  %5.0f %%  %-4s %-9s T %-4ld N %-3ld I %-4ld H %-4ld L %ld%s  %s %.1f us, %s %.1f us, took %s\n",
      100 * d.regret(), cell_name(c.cell), rondo::to_string(d.work.phase).c_str(), d.work.t, d.work.n,
      c.input_size, c.hidden_size, c.num_layers,
      c.direction == rondo::Direction::kBidirectional ? " bidirectional" : "", sides[0].name.c_str(), d.us[0],
      sides[1].name.c_str(), d.us[1], sides[d.chosen].name.c_str());
}

void print_score(const char* what, const tuning::Score& s) {
  std::printf(
      "%s: mean regret %.1f %%, 95th percentile %.1f %%, %.1f %% of the shapes within 25 %%, worst %.0f %%\n",
      what, 100 * s.mean, 100 * s.p95, 100 * s.within_25, 100 * s.worst);
}

class Regret {
 public:
  explicit Regret(const RegretOptions& options) : options_(options), gpu_(find_gpu()) {
    if (const auto gpu = tuning::gpu_side()) {
      sides_ = {tuning::cpu_by_model(), *gpu};
    } else {
      sides_ = tuning::cpu_sides();
    }
    if (sides_.size() < 2) {
      throw std::runtime_error("regret: there is one thread and no GPU, so nothing to choose between");
    }
  }

  int run() {
    const std::vector<tuning::Sample> samples = tuning::collect(options_.tune_seconds, [&](double part) {
      show("tuning", part);
      return interrupted == 0;
    });
    if (interrupted != 0) return stopped();
    tuned_ = tuning::fit(samples, rondo::published_calibration());
    tuned_.origin = "tuned in this run";
    rondo::set_calibration(tuned_);
    file_["format"] = "rondo-regret 1";
    file_["context"] = run_context(gpu_);
    file_["devices"] = {sides_[0].name, sides_[1].name};
    score_grid();
    write(interrupted == 0);
    tuning::Progress::end();
    if (interrupted != 0) return stopped();
    return report();
  }

 private:
  void show(const char* what, double part) {
    progress_.show(what, part, std::to_string(std::lround(100 * part)) + " %");
  }
  // All shapes, and all again: what other programs take for a while then falls on a part of a shape's
  // samples, not on all samples of some shapes.
  void score_grid() {
    std::vector<rondo::Work> grid = tuning::scoring_grid(rondo::published_calibration(), kSlowestUs);
    if (options_.shapes > 0) grid.resize(std::min(grid.size(), static_cast<std::size_t>(options_.shapes)));
    std::vector<std::vector<std::vector<double>>> samples(grid.size());
    const std::size_t all = grid.size() * static_cast<std::size_t>(options_.rounds);
    for (std::size_t i = 0; i < all; ++i) {
      const std::size_t row = i % grid.size();
      if (row == 0 && i > 0) write(false);
      show("scoring", static_cast<double>(i) / static_cast<double>(all));
      if (interrupted != 0) return;
      tuning::add_samples(grid[row], sides_, {.samples = 5, .sample_us = 1500}, samples[row]);
      decisions_.resize(std::max(decisions_.size(), row + 1));
      decisions_[row] = tuning::decide(grid[row], sides_, tuning::quantiles(samples[row], 0.5), tuned_);
    }
  }
  static int stopped() {
    std::fprintf(stderr, "regret was interrupted\n");
    return 130;
  }
  void write(bool complete) {
    if (options_.json.empty()) return;
    const tuning::Score s = tuning::score(decisions_);
    file_["context"]["complete"] = complete;
    file_["mean"] = s.mean;
    file_["p95"] = s.p95;
    file_["within_25"] = s.within_25;
    file_["worst"] = s.worst;
    file_["passed"] = s.passed();
    file_["rows"] = Json::array();
    for (const tuning::Decision& d : decisions_) file_["rows"].push_back(json_of(d));
    write_file(options_.json, file_);
  }
  int report() {
    std::printf("%zu shapes, between %s and %s%s\n", decisions_.size(), sides_[0].name.c_str(),
                sides_[1].name.c_str(),
                gpu_.info ? "" : ": without a GPU, numbers of threads stand for devices");
    std::vector<tuning::Decision> published, worst = decisions_;
    for (const tuning::Decision& d : decisions_) {
      published.push_back(tuning::decide(d.work, sides_, d.us, rondo::published_calibration()));
    }
    std::sort(worst.begin(), worst.end(),
              [](const auto& a, const auto& b) { return a.regret() > b.regret(); });
    worst.resize(std::min<std::size_t>(worst.size(), 10));
    std::printf("the worst:\n");
    for (const tuning::Decision& d : worst) print_row(d, sides_);
    const tuning::Score s = tuning::score(decisions_);
    print_score("published figures", tuning::score(published));
    print_score("tuned", s);
    std::printf("bars (mean 5 %%, 95 %% of the shapes within 25 %%): %s\n", s.passed() ? "held" : "missed");
    return s.passed() ? 0 : 1;
  }

  const RegretOptions& options_;
  Gpu gpu_;
  std::vector<tuning::Side> sides_;
  rondo::Calibration tuned_;
  std::vector<tuning::Decision> decisions_;
  tuning::Progress progress_;
  Json file_;
};

}  // namespace

int run_regret(const RegretOptions& options) {
  struct sigaction stop = {};
  stop.sa_handler = [](int) { interrupted = 1; };
  stop.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  unsetenv("RONDO_DEVICE");
  Regret regret(options);
  const int status = regret.run();
  rondo::set_calibration(std::nullopt);
  return status;
}

}  // namespace bench
