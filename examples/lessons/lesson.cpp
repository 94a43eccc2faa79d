// Progress, jobs side by side, and the words of a verdict.
#include "lesson.h"

#include <rondo/rondo.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <future>
#include <numeric>

namespace examples {

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return "holds";
    case Verdict::kDoesNotHold:
      return "does not hold here";
    case Verdict::kTooShort:
      return "too short to judge";
    case Verdict::kNotReached:
      break;
  }
  return "not reached";
}

void LessonResult::judge(std::size_t claim, bool holds, bool quick, const std::string& finding) {
  Claim& judged = claims.at(claim);
  judged.verdict = quick ? Verdict::kTooShort : holds ? Verdict::kHolds : Verdict::kDoesNotHold;
  judged.finding = finding;
}

void LessonRun::open(const std::string& name, double share) {
  name_ = name;
  share_ = share;
  units_ = 1;
  done_ = 0;
  shown_ = 0;
}

void LessonRun::close() {
  if (!stopped()) advance("done", units_ - done_);
}

bool LessonRun::advance(const std::string& label, double units) {
  const std::lock_guard<std::mutex> lock(mutex_);
  done_ += units;
  const std::int64_t now = std::int64_t(share_ * std::min(1.0, done_ / units_));
  progress_->advance(name_ + ": " + label, now - shown_);
  shown_ = now;
  return !stopped();
}

void LessonRun::side_by_side(const std::vector<std::function<void()>>& jobs) const {
  rondo::set_num_threads(0);
  const std::size_t workers = std::min(jobs.size(), std::size_t(rondo::num_threads()));
  rondo::set_num_threads(1);
  std::atomic<std::size_t> next = 0;
  std::vector<std::future<void>> running;
  for (std::size_t w = 0; w < workers; ++w) {
    running.push_back(std::async(std::launch::async, [&] {
      for (std::size_t job = next++; job < jobs.size() && !stopped(); job = next++) jobs[job]();
    }));
  }
  for (std::future<void>& worker : running) worker.wait();
  rondo::set_num_threads(0);
  for (std::future<void>& worker : running) worker.get();
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}
double lowest(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }
double highest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

std::string brief(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, std::abs(value) < 1000 ? "%.3g" : "%.0f", value);
  return buffer;
}

std::string join(const std::vector<double>& values) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " and " : ", ";
    text += brief(values[i]);
  }
  return text;
}

}  // namespace examples
