// What a lesson is, what it finds, and how it runs: a new lesson is one more file and a line in lessons.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "../progress.h"
#include "tools/report/report.h"

namespace examples {

enum class Verdict { kHolds, kDoesNotHold, kTooShort, kNotReached };
std::string to_string(Verdict verdict);  // "holds", "does not hold here", "too short to judge", "not reached"

struct Claim {
  std::string text;
  std::string criterion;  // a comparison of numbers, fixed before any is known
  Verdict verdict = Verdict::kNotReached;
  std::string finding;  // the numbers that the criterion compared
};

struct Figure {
  report::Chart chart;
  std::string caption;
};

struct LessonResult {
  std::vector<Claim> claims;
  int seeds = 0;  // none: nothing random in it
  double seconds = 0;
  std::vector<Figure> figures;
  report::Table table;
  std::string note;  // what else the page should say; may be empty

  // quick: the numbers are given, and no verdict on them.
  void judge(std::size_t claim, bool holds, bool quick, const std::string& finding);
};

struct LessonSettings {
  int seeds = 3;
  bool quick = false;  // a few updates, to see that everything runs
};

class LessonRun;

struct Lesson {
  std::string name;  // for --only
  std::string title;
  std::string setup;            // what is run, for the page
  std::vector<Claim> claims;    // not judged yet
  bool seeded = true;           // false: nothing random in it
  double expected_seconds = 0;  // with three seeds on two cores: its share of the progress bar
  // Fills in the result; leaves what it did not reach, when the user stopped it, as it is.
  void (*run)(LessonRun& run, LessonResult* result) = nullptr;
};

// The frame in which a lesson runs: settings, progress, the request to stop, and trainings side by side.
class LessonRun {
 public:
  LessonRun(LessonSettings settings, Progress* progress) : settings_(settings), progress_(progress) {}
  int seeds() const { return settings_.seeds; }
  bool quick() const { return settings_.quick; }

  // Before and after a lesson; `share` is its part of the bar, in the bar's units.
  void open(const std::string& name, double share);
  void close();
  // The lesson's own measure of all its work, in any unit.
  void expect(double units) { units_ = units; }
  // So much of it is done. False when the user asked to stop. Any thread may call it.
  bool advance(const std::string& label, double units = 1);
  bool stopped() const { return StopRequest::requested(); }

  // Runs independent jobs side by side, one thread of the CPU each: small networks gain more from that
  // than from threads within a pass. What a job throws is thrown here.
  void side_by_side(const std::vector<std::function<void()>>& jobs) const;

 private:
  LessonSettings settings_;
  Progress* progress_;
  std::mutex mutex_;
  std::string name_;
  double share_ = 0, units_ = 1, done_ = 0;
  std::int64_t shown_ = 0;  // of the share
};

double mean(const std::vector<double>& values);
double lowest(const std::vector<double>& values);
double highest(const std::vector<double>& values);
// At least three significant digits: "0.0123", "1.2e-07", "4700".
std::string brief(double value);
std::string join(const std::vector<double>& values);  // "0.01, 0.02 and 0.015"

// The lessons, each in a file of its own.
Lesson memory_lesson();
Lesson adding_lesson();
Lesson overfitting_lesson();
Lesson capacity_lesson();
Lesson direction_lesson();
Lesson time_lesson();

}  // namespace examples
