// Verdicts in words.
#include "bench/bars/tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace bench::bars {
namespace {

constexpr double kBusy = 0.03;  // of the CPUs' time: what is always there takes less

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[200];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

// Three digits, as differences are told apart by no more.
std::string time_text(double us) {
  const int digits = us >= 99.95 ? 0 : us >= 9.995 ? 1 : us >= 0.9995 ? 2 : 3;
  return format("%.*f", digits, us);
}
std::string interval_text(const Interval& i) { return format("%.2f to %.2f", i.low, i.high); }
std::string percent(double share) { return format("%.0f %%", 100 * share); }

std::string cell_name(const std::string& cell) {
  return cell == "lstm" ? "LSTM" : cell == "gru" ? "GRU" : "RNN";
}

// The geometric mean of the rows of each cell.
std::string means_of_cells(const JudgedSection& section) {
  std::map<std::string, std::pair<double, int>> logs;
  for (const JudgedRow& row : section.rows) {
    if (!row.ratio) continue;
    auto& [sum, count] = logs[row.row->shape.cell];
    sum += std::log(row.ratio->value);
    ++count;
  }
  std::string text;
  for (const auto& [cell, mean] : logs) {
    text +=
        (text.empty() ? "" : ", ") + cell_name(cell) + format(" %.2f", std::exp(mean.first / mean.second));
  }
  return text;
}

std::string bars_of(const Section& s) {
  std::string text;
  const auto add = [&](const std::string& bar) { text += (text.empty() ? "" : "; ") + bar; };
  if (s.mean) add(format("geometric mean at least %.2f", *s.mean));
  if (s.row) {
    add(format("each row at least %.2f", *s.row) +
        (s.share ? " or " + percent(*s.share) + " of its limit" : ""));
  }
  if (s.most && s.over.empty()) add(format("%s at most %.0f", s.what.c_str(), *s.most));
  if (s.most && !s.over.empty()) add(format("at most %.2f", *s.most));
  if (s.own) add(format("never over %.2f of Rondo's own time on one thread", *s.own));
  return text;
}

std::string counts_of(const JudgedSection& section) {
  std::string text = "Rows: " + std::to_string(section.rows.size());
  if (section.rows.size() < section.all_rows) text += " of " + std::to_string(section.all_rows);
  for (const Verdict verdict :
       {Verdict::kHeld, Verdict::kHeldByShare, Verdict::kLost, Verdict::kNotMeasured}) {
    const std::size_t count = section.count(verdict);
    if (count > 0) text += ", " + std::to_string(count) + " " + to_string(verdict);
  }
  return text + ".";
}

std::vector<std::string> summary_of(const JudgedSection& section) {
  std::vector<std::string> lines = {"Bars: " + bars_of(*section.section) + "."};
  if (section.mean && section.mean->rows > 0) {
    lines.push_back(format("Geometric mean of %zu rows: ", section.mean->rows) +
                    format("%.3f", section.mean->value.value) + " (" + interval_text(section.mean->value) +
                    "), " + to_string(section.mean->verdict) + "; " + means_of_cells(section) + ".");
  } else if (section.mean) {
    lines.push_back("Geometric mean: not measured.");
  }
  lines.push_back(counts_of(section));
  return lines;
}

bool is_bad(const JudgedRow& row) {
  return row.verdict == Verdict::kLost || row.verdict == Verdict::kNotMeasured;
}

// The bad ones first, the lost from the worst on.
std::vector<const JudgedRow*> ordered(const JudgedSection& section) {
  const double sign = section.section->by == By::kPeers ? 1 : -1;
  const auto worth = [&](const JudgedRow& row) { return row.ratio ? sign * row.ratio->value : 0; };
  std::vector<const JudgedRow*> rows;
  for (const JudgedRow& row : section.rows) rows.push_back(&row);
  const auto place = [&](const JudgedRow* row) {
    const bool lost = row->verdict == Verdict::kLost;
    return std::pair(lost ? 0 : is_bad(*row) ? 1 : 2, lost ? worth(*row) : 0);
  };
  std::stable_sort(rows.begin(), rows.end(), [&](auto* a, auto* b) { return place(a) < place(b); });
  return rows;
}

std::vector<std::string> peer_cells(const JudgedRow& row, const Section& s, const Record& record) {
  std::vector<std::string> cells = {row.own > 0 ? time_text(row.own) : "-"};
  if (row.ratio) {
    const std::size_t slash = row.other_name.rfind('/');
    const std::string threads = s.better_threads ? ", threads: " + row.other_name.substr(slash + 1) : "";
    cells.insert(cells.end(), {time_text(row.other), record.engine(row.other_name.substr(0, slash)) + threads,
                               format("%.2f", row.ratio->value), interval_text(*row.ratio)});
  } else {
    cells.insert(cells.end(), {"-", row.note, "-", "-"});
  }
  if (s.own) {
    cells.push_back(
        row.own_ratio ? format("%.2f (", row.own_ratio->value) + interval_text(*row.own_ratio) + ")" : "-");
  }
  cells.push_back(row.limit_us > 0 ? time_text(row.limit_us) : "-");
  cells.push_back(row.share > 0 ? percent(row.share) : "-");
  return cells;
}

// Of a run of T steps, each step.
double unit_of(const JudgedRow& row, const Section& s) {
  return s.by == By::kSteps ? static_cast<double>(row.row->shape.t) : 1;
}
std::vector<std::string> cost_cells(const JudgedRow& row, const Section& s) {
  if (s.over.empty()) {
    if (!row.ratio) return {"-", row.note};
    return {time_text(row.own), time_text(row.ratio->low) + " to " + time_text(row.ratio->high)};
  }
  if (!row.ratio) return {"-", row.note, "-", "-"};
  const double unit = unit_of(row, s);
  return {time_text(row.own / unit), time_text(row.other / unit), format("%.2f", row.ratio->value),
          interval_text(*row.ratio)};
}

// A column of others' figures, where there are any for these rows.
void add_published(Sheet& sheet, const JudgedSection& section, const Bars& bars) {
  const auto& figures = bars.published.us;
  const bool any = section.section->by == By::kSteps &&
                   std::any_of(section.rows.begin(), section.rows.end(),
                               [&](const JudgedRow& row) { return figures.contains(row.row->name); });
  if (!any) return;
  sheet.header.push_back("published");
  for (std::vector<std::string>& cells : sheet.rows) {
    const auto found = figures.find(cells.front());
    cells.push_back(found == figures.end() ? "-" : format("%.3f", found->second));
  }
  sheet.summary.push_back("Published: us of one step by " + bars.published.origin + ".");
}

Sheet sheet_of(const JudgedSection& section, const Record& record, const Bars& bars) {
  const Section& s = *section.section;
  const bool peers = s.by == By::kPeers;
  Sheet sheet{.title = s.name + ": " + s.about, .summary = summary_of(section)};
  sheet.header = {"row", "verdict"};
  if (peers) {
    sheet.header.insert(sheet.header.end(), {"Rondo us", "peer us", "peer", "ratio", "90 % interval"});
    if (s.own) sheet.header.push_back("over one thread");
    sheet.header.insert(sheet.header.end(), {"limit us", "share"});
  } else {
    sheet.header.push_back(s.what);
    if (!s.over.empty()) sheet.header.insert(sheet.header.end(), {s.over, "ratio"});
    sheet.header.push_back("90 % interval");
  }
  for (const JudgedRow* row : ordered(section)) {
    std::vector<std::string> cells = {row->row->name, to_string(row->verdict)};
    for (std::string& cell : peers ? peer_cells(*row, s, record) : cost_cells(*row, s))
      cells.push_back(std::move(cell));
    sheet.rows.push_back(cells);
    sheet.marked.push_back(is_bad(*row));
  }
  add_published(sheet, section, bars);
  return sheet;
}

std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded_table(const Sheet& sheet) {
  std::vector<std::size_t> widths;
  for (const std::string& name : sheet.header) widths.push_back(width(name));
  for (const auto& row : sheet.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      const bool left = i < 2 || sheet.header[i] == "peer";
      text += (i == 0 ? "  " : "  ") + (left ? row[i] + space : space + row[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  };
  add(sheet.header);
  for (const auto& row : sheet.rows) add(row);
  return text;
}

}  // namespace

std::vector<Sheet> sheets(const std::vector<JudgedSection>& sections, const Record& record) {
  std::vector<Sheet> all;
  for (const JudgedSection& section : sections) all.push_back(sheet_of(section, record, bars()));
  return all;
}

std::string facts_line(const Record& record) {
  const Json& c = record.context;
  std::string text = c.value("engine", "") + " on " + c.value("cpu", "") + ", " + c.value("isa", "") + ", " +
                     c.value("date", "") + "; beside ";
  std::string names;
  for (const Json& peer : c.at("peers")) {
    if (peer.at("version").is_null()) continue;
    names += (names.empty() ? "" : ", ") + record.engine(peer.at("name"));
  }
  const auto rounds = c.value("rounds", 0);
  return text + (names.empty() ? "no peer" : names) + "; " + std::to_string(rounds) +
         format(" rounds, whose intervals hold %.0f %%", 100 * coverage(static_cast<std::size_t>(rounds))) +
         (c.value("busy_elsewhere", 0.0) > kBusy
              ? "; OTHER PROGRAMS took " + percent(c.value("busy_elsewhere", 0.0)) + " of the CPUs' time"
              : "") +
         (c.value("complete", false) ? "" : "; interrupted");
}

std::string conclusion(const std::vector<JudgedSection>& sections) {
  if (all_held(sections)) return "All bars are held.";
  std::size_t lost = 0, missing = 0, means = 0;
  for (const JudgedSection& section : sections) {
    lost += section.count(Verdict::kLost);
    missing += section.count(Verdict::kNotMeasured);
    if (section.mean && section.mean->verdict != Verdict::kHeld) ++means;
  }
  return "Under their bars: " + std::to_string(lost) + " rows, " + std::to_string(means) +
         " geometric means; not measured: " + std::to_string(missing) + " rows.";
}

std::string terminal_text(const std::vector<JudgedSection>& sections, const Record& record) {
  std::string text = facts_line(record) + "\n";
  for (const Sheet& sheet : sheets(sections, record)) {
    text += "\n" + sheet.title + "\n";
    for (const std::string& line : sheet.summary) text += "  " + line + "\n";
    text += padded_table(sheet);
  }
  return text + "\n" + conclusion(sections) + "\n";
}

std::string markdown(const std::vector<JudgedSection>& sections, const Record& record) {
  std::string text = facts_line(record) + "\n\n" + conclusion(sections) + "\n";
  for (const Sheet& sheet : sheets(sections, record)) {
    text += "\n## " + sheet.title + "\n\n";
    for (const std::string& line : sheet.summary) text += line + "\n";
    const auto add = [&](const std::vector<std::string>& row) {
      text += "\n|";
      for (const std::string& cell : row) text += " " + cell + " |";
    };
    add(sheet.header);
    text += "\n|---|---|";
    for (std::size_t i = 2; i < sheet.header.size(); ++i) text += "---:|";
    for (const auto& row : sheet.rows) add(row);
    text += "\n";
  }
  return text;
}

Json verdicts(const std::vector<JudgedSection>& sections) {
  const auto json_of = [](const Interval& i) {
    return Json{{"value", i.value}, {"low", i.low}, {"high", i.high}};
  };
  Json all = Json::array();
  for (const JudgedSection& section : sections) {
    Json json{{"name", section.section->name}};
    if (section.mean) {
      json["mean"] = {{"verdict", to_string(section.mean->verdict)},
                      {"bar", *section.section->mean},
                      {"ratio", json_of(section.mean->value)},
                      {"rows", section.mean->rows}};
    }
    for (const JudgedRow& row : section.rows) {
      Json entry{{"row", row.row->name}, {"verdict", to_string(row.verdict)}, {"median", row.own}};
      if (!row.note.empty()) entry["note"] = row.note;
      if (row.ratio) entry["over"] = row.other_name, entry["ratio"] = json_of(*row.ratio);
      if (row.own_ratio) entry["over_one_thread"] = json_of(*row.own_ratio);
      if (row.limit_us > 0) entry["limit_us"] = row.limit_us, entry["share"] = row.share;
      json["rows"].push_back(entry);
    }
    all.push_back(json);
  }
  return all;
}

}  // namespace bench::bars
