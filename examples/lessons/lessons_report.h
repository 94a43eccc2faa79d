// The page of the lessons, and their result.json.
#pragma once

#include <string>
#include <vector>

#include "lesson.h"

namespace examples {

struct LessonsReport {
  const std::vector<Lesson>& lessons;
  const std::vector<LessonResult>& results;  // one a lesson
  LessonSettings settings;
  double seconds = 0;
  bool interrupted = false;
};

std::string lessons_json(const LessonsReport& report);
std::string lessons_page(const LessonsReport& report);

}  // namespace examples
