// The page of the lessons: a summary, then a part for each with its claims, verdicts, charts and table.
#include "lessons_report.h"

#include <rondo/rondo.h>

#include <nlohmann/json.hpp>

namespace examples {
using namespace report;
namespace {

const char* color_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return palette::kGreen;
    case Verdict::kDoesNotHold:
      return palette::kRed;
    case Verdict::kTooShort:
    case Verdict::kNotReached:
      break;
  }
  return palette::kMuted;
}

std::string seeds_of(const LessonResult& result) {
  return result.seeds > 0 ? std::to_string(result.seeds) : "none";
}

// With spaces at which no browser breaks the line.
std::string on_one_line(const std::string& text) {
  std::string joined;
  for (char c : text) joined += c == ' ' ? std::string("\u00a0") : std::string(1, c);
  return joined;
}

std::string cpu_name() {
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    if (info.device.kind == rondo::Device::Kind::kCpu) return info.name;
  }
  return "cpu";
}

void add_summary(const LessonsReport& report, Page* page) {
  Table table{{"Claim", "Verdict"}, {}, {}};
  int count = 0, holding = 0;
  for (const LessonResult& result : report.results) {
    for (const Claim& claim : result.claims) {
      ++count;
      holding += claim.verdict == Verdict::kHolds;
      table.rows.push_back({claim.text, on_one_line(to_string(claim.verdict))});
    }
  }
  page->facts({{"Claims", std::to_string(count)},
               {"Hold here", std::to_string(holding)},
               {"Seeds", std::to_string(report.settings.seeds)},
               {"Time", fixed(report.seconds, 0) + " s"}});
  page->table(table);
  page->paragraph(
      "Each criterion is written in the program and was printed before its lesson ran; the verdict follows "
      "from the numbers below it. It says what these networks, settings and seeds did, not what others "
      "would do.");
}

void add_lesson(const Lesson& lesson, const LessonResult& result, Page* page) {
  page->heading(lesson.title);
  page->paragraph(lesson.setup);
  for (const Claim& claim : result.claims) {
    page->verdict(
        to_string(claim.verdict), color_of(claim.verdict), claim.text,
        {"Criterion: " + claim.criterion,
         "Measured: " + (claim.finding.empty() ? "nothing; the run was stopped before." : claim.finding)});
  }
  for (const Figure& figure : result.figures) page->chart(figure.chart, figure.caption);
  if (!result.table.rows.empty()) page->table(result.table);
  if (!result.note.empty()) page->paragraph(result.note);
  page->paragraph("Seeds: " + seeds_of(result) + ". Time: " + fixed(result.seconds, 1) + " s.");
}

}  // namespace

std::string lessons_json(const LessonsReport& report) {
  nlohmann::json lessons = nlohmann::json::array();
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const LessonResult& result = report.results[i];
    nlohmann::json claims = nlohmann::json::array(), rows = nlohmann::json::array();
    for (const Claim& claim : result.claims) {
      claims.push_back({{"claim", claim.text},
                        {"criterion", claim.criterion},
                        {"verdict", to_string(claim.verdict)},
                        {"measured", claim.finding}});
    }
    for (const auto& row : result.table.rows) rows.push_back(row);
    lessons.push_back({{"name", report.lessons[i].name},
                       {"claims", claims},
                       {"seeds", result.seeds},
                       {"seconds", result.seconds},
                       {"note", result.note},
                       {"columns", result.table.header},
                       {"rows", rows}});
  }
  const nlohmann::json json = {{"task", "lessons"},
                               {"seconds", report.seconds},
                               {"cpu", cpu_name()},
                               {"quick", report.settings.quick},
                               {"interrupted", report.interrupted},
                               {"lessons", lessons}};
  return json.dump(2) + "\n";
}

std::string lessons_page(const LessonsReport& report) {
  std::string subtitle = "What a course on recurrent networks claims, measured on " + cpu_name() + ".";
  if (report.settings.quick) subtitle += " A quick run: most of it is too short to judge.";
  if (report.interrupted) subtitle += " Stopped before its end.";
  Page page("Lessons of recurrent networks", subtitle);
  add_summary(report, &page);
  for (std::size_t i = 0; i < report.lessons.size(); ++i)
    add_lesson(report.lessons[i], report.results[i], &page);
  return page.html();
}

}  // namespace examples
