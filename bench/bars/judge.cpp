// Verdicts.
#include "bench/bars/judge.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bench/checked_json.h"

namespace bench::bars {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Of so many rounds, that the true median is below the k-th least: fewer than k of them are.
double outside(std::size_t rounds, std::size_t k) {
  double ways = 1, sum = 0;  // ways: rounds over i
  for (std::size_t i = 0; i < k; ++i) {
    sum += ways;
    ways *= static_cast<double>(rounds - i) / static_cast<double>(i + 1);
  }
  return sum / std::pow(2.0, rounds);
}

std::size_t cut(std::size_t rounds) {
  std::size_t k = 1;
  while (2 * (k + 1) <= rounds && 1 - 2 * outside(rounds, k + 1) >= 0.9) ++k;
  return k;
}

Interval interval_of(double value, std::vector<double> rounds) {
  std::sort(rounds.begin(), rounds.end());
  const std::size_t k = cut(rounds.size());
  return {value, std::min(value, rounds[k - 1]), std::max(value, rounds[rounds.size() - k])};
}

// A peer's runner: "onednn/2" is of 2 threads.
bool is_candidate(const std::string& runner, const Section& section) {
  if (runner.starts_with(std::string(kOwn) + "/")) return false;
  if (section.better_threads) return true;
  return runner.ends_with("/" + std::to_string(section.threads));
}

const std::vector<double>* find_rounds(const Row& row, const std::string& runner) {
  const auto found = row.rounds.find(runner);
  return found == row.rounds.end() ? nullptr : &found->second;
}

std::string reasons(const Row& row, const Section& section) {
  std::string text;
  for (const auto& [runner, why] : row.errors) {
    if (is_candidate(runner, section)) text += (text.empty() ? "" : "; ") + runner + ": " + why;
  }
  return text.empty() ? "no peer was timed" : "no peer answered: " + text;
}

void find_peer(const Row& row, const Section& section, JudgedRow& judged) {
  for (const auto& [runner, rounds] : row.rounds) {
    if (!is_candidate(runner, section)) continue;
    const double us = median(rounds);
    if (!judged.other_name.empty() && us >= judged.other) continue;
    judged.other_name = runner;
    judged.other = us;
  }
}

bool within(const std::optional<double>& bar, const std::optional<Interval>& interval) {
  return bar && interval && interval->low < *bar && *bar < interval->high;
}

Verdict verdict_of(const Section& section, const JudgedRow& row) {
  if (section.own && row.own_ratio->low > *section.own) return Verdict::kLost;
  if (!section.row || row.ratio->high >= *section.row) return Verdict::kHeld;
  return section.share && row.share >= *section.share ? Verdict::kHeldByShare : Verdict::kLost;
}

JudgedRow judge_beside_peers(const Row& row, const Section& section, const Limits& limits) {
  JudgedRow judged{.row = &row};
  const std::string name = runner_name(kOwn, section.threads);
  const auto *own = find_rounds(row, name), *one = find_rounds(row, runner_name(kOwn, 1));
  if (own == nullptr || (section.own && one == nullptr)) {
    const auto why = row.errors.find(name);
    judged.note = why != row.errors.end() ? why->second : "Rondo was not timed on as many threads";
    return judged;
  }
  judged.own = median(*own);
  judged.limit_us = limit_us(row.shape, limits, section.threads);
  judged.share = judged.limit_us / judged.own;
  if (section.own) judged.own_ratio = ratio_of(*own, *one);
  find_peer(row, section, judged);
  if (judged.other_name.empty()) {
    judged.note = reasons(row, section);
    return judged;
  }
  judged.ratio = ratio_of(row.rounds.at(judged.other_name), *own);
  judged.verdict = verdict_of(section, judged);
  judged.undecided = within(section.row, judged.ratio) || within(section.own, judged.own_ratio);
  return judged;
}

// At most so much of another runner, or by itself.
JudgedRow judge_cost(const Row& row, const Section& section) {
  JudgedRow judged{.row = &row};
  for (const std::string& name : {section.what, section.over}) {
    if (name.empty() || find_rounds(row, name) != nullptr) continue;
    const auto why = row.errors.find(name);
    judged.note +=
        (judged.note.empty() ? "" : "; ") + (why == row.errors.end() ? name + " was not timed" : why->second);
  }
  if (!judged.note.empty()) return judged;
  const std::vector<double>& what = row.rounds.at(section.what);
  judged.own = median(what);
  if (section.over.empty()) {
    judged.ratio = interval_of(judged.own, what);
  } else {
    judged.other_name = section.over;
    judged.other = median(row.rounds.at(section.over));
    judged.ratio = ratio_of(what, row.rounds.at(section.over));
  }
  judged.verdict = judged.ratio->low <= *section.most ? Verdict::kHeld : Verdict::kLost;
  judged.undecided = within(section.most, judged.ratio);
  return judged;
}

JudgedRow judge_row(const Row& row, const Section& section, const Limits& limits) {
  return section.by == By::kPeers ? judge_beside_peers(row, section, limits) : judge_cost(row, section);
}

double mean_of_logs(const std::vector<double>& values) {
  double logs = 0;
  for (const double value : values) logs += std::log(value);
  return std::exp(logs / static_cast<double>(values.size()));
}

// Its interval is by the rounds' own geometric means.
JudgedMean judge_mean(const JudgedSection& judged) {
  JudgedMean mean;
  std::vector<double> ratios;
  std::size_t rounds = 0;
  for (const JudgedRow& row : judged.rows) {
    if (!row.ratio) continue;
    ratios.push_back(row.ratio->value);
    const std::size_t of_row = row.row->rounds.at(row.other_name).size();
    rounds = rounds == 0 ? of_row : std::min(rounds, of_row);
  }
  mean.rows = ratios.size();
  if (ratios.empty()) return mean;
  std::vector<double> of_rounds;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<double> of_rows;
    for (const JudgedRow& row : judged.rows) {
      if (!row.ratio) continue;
      const auto& own = row.row->rounds.at(runner_name(kOwn, judged.section->threads));
      of_rows.push_back(row.row->rounds.at(row.other_name).at(round) / own.at(round));
    }
    of_rounds.push_back(mean_of_logs(of_rows));
  }
  mean.value = interval_of(mean_of_logs(ratios), of_rounds);
  mean.verdict = mean.value.value >= *judged.section->mean ? Verdict::kHeld : Verdict::kLost;
  return mean;
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHeld:
      return "held";
    case Verdict::kHeldByShare:
      return "held by share";
    case Verdict::kLost:
      return "LOST";
    case Verdict::kNotMeasured:
      return "not measured";
  }
  return "";
}

Interval ratio_of(const std::vector<double>& over, const std::vector<double>& under) {
  const std::size_t rounds = std::min(over.size(), under.size());
  std::vector<double> ratios;
  for (std::size_t i = 0; i < rounds; ++i) ratios.push_back(over[i] / under[i]);
  return interval_of(median(over) / median(under), ratios);
}

double coverage(std::size_t rounds) { return 1 - 2 * outside(rounds, cut(rounds)); }

std::size_t JudgedSection::count(Verdict verdict) const {
  return static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [&](const JudgedRow& row) { return row.verdict == verdict; }));
}

std::vector<JudgedSection> judge(const Bars& bars, const Record& record) {
  const Limits limits = record.limits();
  std::vector<JudgedSection> sections;
  const auto asked = get<std::set<std::string>>(record.context, "sections", "context");
  for (const Section& section : bars.sections) {
    if (!asked.contains(section.name)) continue;
    JudgedSection judged{.section = &section};
    for (const std::string& name : section.sets) {
      for (const SetRow& of_set : bars.set(name).rows) {
        ++judged.all_rows;
        if (const Row* row = record.find(name, of_set.name)) {
          judged.rows.push_back(judge_row(*row, section, limits));
        }
      }
    }
    if (judged.rows.empty()) continue;
    if (section.mean) judged.mean = judge_mean(judged);
    sections.push_back(std::move(judged));
  }
  return sections;
}

bool all_held(const std::vector<JudgedSection>& sections) {
  return std::all_of(sections.begin(), sections.end(), [](const JudgedSection& section) {
    return section.count(Verdict::kLost) + section.count(Verdict::kNotMeasured) == 0 &&
           (!section.mean || section.mean->verdict == Verdict::kHeld);
  });
}

}  // namespace bench::bars
