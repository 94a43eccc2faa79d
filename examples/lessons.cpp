// lessons: what an RNN course claims, each claim measured, drawn, and judged by a criterion stated before.
#include <algorithm>
#include <cstdio>

#include "lessons/lesson.h"
#include "lessons/lessons_report.h"
#include "program.h"
#include "progress.h"

namespace examples {
using namespace report;
namespace {

struct Options {
  std::string out = ".", only;
  LessonSettings settings;
};

std::vector<Lesson> all_lessons() {
  return {memory_lesson(),   adding_lesson(),    overfitting_lesson(),
          capacity_lesson(), direction_lesson(), time_lesson()};
}

void add_flags(CLI::App* app, Options* o) {
  std::vector<std::string> names;
  for (const Lesson& lesson : all_lessons()) names.push_back(lesson.name);
  app->add_option("--only", o->only, "one lesson instead of all")->check(CLI::IsMember(names));
  app->add_option("--seeds", o->settings.seeds, "how many times each network is trained")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app->add_flag("--quick", o->settings.quick,
                "a few updates each, to see that everything runs; judges little");
  app->add_option("--out", o->out, "folder for result.json and lessons.html")->capture_default_str();
  app->footer(
      "Examples:\n"
      "  lessons                              all, with three seeds: about 5 minutes on two cores\n"
      "  lessons --only adding --seeds 5      the adding problem alone\n"
      "  lessons --quick --out trial          a few seconds\n"
      "Ctrl-C stops and still writes what is done; a second one stops at once.");
}

void print_criteria(const Lesson& lesson) {
  std::printf("%s (%s)\n", lesson.title.c_str(), lesson.name.c_str());
  for (const Claim& claim : lesson.claims) {
    std::printf("  claim:     %s\n  criterion: %s\n", claim.text.c_str(), claim.criterion.c_str());
  }
  std::fflush(stdout);
}

void print_verdicts(const LessonResult& result) {
  for (const Claim& claim : result.claims) {
    std::printf("  %s: %s\n", to_string(claim.verdict).c_str(),
                claim.finding.empty() ? "stopped before" : claim.finding.c_str());
  }
  std::printf("  %.1f s\n\n", result.seconds);
  std::fflush(stdout);
}

int run_lessons(const Options& o) {
  prepare_folder(o.out);
  std::vector<Lesson> lessons = all_lessons();
  if (!o.only.empty()) std::erase_if(lessons, [&](const Lesson& lesson) { return lesson.name != o.only; });
  constexpr double kUnitsASecond = 100;  // of the bar
  double total = 0;
  for (const Lesson& lesson : lessons) total += lesson.expected_seconds * kUnitsASecond;
  StopRequest::install();
  const Stopwatch watch;
  Progress progress((std::int64_t(total)));
  LessonRun run(o.settings, &progress);
  std::vector<LessonResult> results;
  for (const Lesson& lesson : lessons) {
    results.emplace_back();
    LessonResult& result = results.back();
    result.claims = lesson.claims;
    if (run.stopped()) continue;
    progress.clear();
    print_criteria(lesson);
    const Stopwatch own;
    run.open(lesson.name, lesson.expected_seconds * kUnitsASecond);
    lesson.run(run, &result);
    run.close();
    result.seconds = own.seconds();
    result.seeds = lesson.seeded ? o.settings.seeds : 0;
    progress.clear();
    print_verdicts(result);
  }
  const LessonsReport report{lessons, results, o.settings, watch.seconds(), run.stopped()};
  const std::filesystem::path folder = o.out;
  write_file(folder / "result.json", lessons_json(report));
  write_file(folder / "lessons.html", lessons_page(report));
  std::printf("%.1f s%s\n%s\n%s\n", report.seconds, report.interrupted ? ", stopped by the user" : "",
              (folder / "result.json").c_str(), (folder / "lessons.html").c_str());
  return report.interrupted ? 130 : 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  CLI::App app("What an RNN course claims, each claim measured, drawn, and judged.", "lessons");
  examples::Options options;
  examples::add_flags(&app, &options);
  return examples::run_program(app, argc, argv, [&] { return examples::run_lessons(options); });
}
