// What every gnuplot script of a report begins with.
#pragma once

#include <sstream>
#include <string>

#include "tools/report/report.h"

namespace report {

// As a gnuplot string: single quotes, in which a quote is doubled.
inline std::string quoted(const std::string& text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

inline std::string preamble(int width, int height) {
  std::ostringstream s;
  s << "set terminal svg size " << width << "," << height
    << " dynamic noenhanced font 'system-ui,DejaVu Sans,14' linewidth 1\n"
    << "set border 3 linecolor rgb '#b8c2cc'\nset tics nomirror out scale 0.5 textcolor rgb '#5d6b7a'\n"
    << "set grid ytics linecolor rgb '#e9edf2' linetype 1\n"
    << "set key outside top left horizontal Left reverse samplen 2 width 2 textcolor rgb '#1c2733'\n"
    << "set xlabel textcolor rgb '#5d6b7a'\nset ylabel textcolor rgb '#5d6b7a'\n";
  return s.str();
}

inline std::string title_line(const std::string& title) {
  return title.empty() ? "" : "set title " + quoted(title) + " textcolor rgb '#1c2733'\n";
}

// 'label' place, 'label' place
inline std::string ticks(const Ticks& labels) {
  std::ostringstream s;
  s.precision(9);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    s << (i > 0 ? ", " : "") << quoted(labels[i].second) << " " << labels[i].first;
  }
  return s.str();
}

}  // namespace report
