// How busy other programs keep the machine while something is measured.
#pragma once

namespace bench::bars {

class Elsewhere {
 public:
  Elsewhere() : busy_(busy_seconds()), own_(own_seconds()) {}
  // Since the construction, as a share of all CPUs' time; children that still run count as others. 0 where
  // the system does not say.
  double share(double seconds) const;

 private:
  static double busy_seconds();  // of all CPUs, since the start of the system
  static double own_seconds();   // of this process and of children that have ended
  double busy_, own_;
};

}  // namespace bench::bars
